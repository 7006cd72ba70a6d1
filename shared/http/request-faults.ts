import type { FastifyError } from 'fastify';
import { Refusal, refusalFromUnknown } from '../errors.ts';

/** A longer message is of no use, and a small body must not cause a large answer. */
const shownFaults = 20;

/** What Fastify throws about a request, as a refusal in our words; anything unexpected becomes `internal`. */
export function refusalFromFastify(thrown: FastifyError | Refusal): Refusal {
  if (thrown instanceof Refusal) return thrown;
  if (thrown.validation !== undefined) return refusalFromValidation(thrown);
  if (thrown.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new Refusal('body_too_large', 'body: larger than this server takes', { field: 'body' }, thrown);
  }
  if (thrown.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new Refusal(
      'media_type_unsupported',
      'content-type: this server takes JSON only',
      { field: 'content-type', allowed: 'application/json' },
      thrown,
    );
  }
  if (thrown.code === 'FST_ERR_BAD_URL') {
    return new Refusal(
      'malformed_request',
      'path: is not correctly percent-encoded',
      { field: 'path' },
      thrown,
    );
  }
  if (thrown.statusCode !== undefined && thrown.statusCode >= 400 && thrown.statusCode < 500) {
    return new Refusal('malformed_request', thrown.message, { field: 'body' }, thrown);
  }
  return refusalFromUnknown(thrown);
}

type Fault = NonNullable<FastifyError['validation']>[number];

/** Where a faulty value stood, as the beginning of a sentence; a member of the body needs none. */
const places: Readonly<Record<string, string>> = {
  params: 'path parameter ',
  querystring: 'query parameter ',
  headers: 'header ',
};

/** One fault of a request: the field, and the rest of the sentence about it. */
type FieldFault = {
  /** Without the place: `target.mode`, `limit`. */
  readonly field: string;
  /** `header `, or nothing for the body. */
  readonly place: string;
  readonly message: string;
  readonly allowed: readonly unknown[];
};

/** All faults at once, each with its field. */
function refusalFromValidation(thrown: FastifyError): Refusal {
  const context = thrown.validationContext ?? 'body';
  const place = places[context] ?? '';
  const faults = (thrown.validation ?? []).map((fault): FieldFault => {
    const params = fault.params as Record<string, unknown>;
    const extra = params.additionalProperty ?? params.missingProperty;
    const path = fault.instancePath.split('/').slice(1);
    const field = [...path, ...(extra === undefined ? [] : [String(extra)])].join('.');
    return {
      field: field === '' ? 'body' : field,
      place,
      message: messageOf(fault, context),
      allowed: allowedBy(fault),
    };
  });
  const unique = mergeAlternatives(faults);
  const shown = unique.slice(0, shownFaults);
  const more = unique.length > shown.length ? [`and ${unique.length - shown.length} more`] : [];
  return new Refusal(
    'malformed_request',
    [...shown.map((fault) => `${fault.place}${fault.field} ${fault.message}`), ...more].join('; '),
    {
      field: unique[0]?.field ?? 'body',
      faults: shown.map(({ field, message, allowed }) => ({
        field,
        message,
        ...(allowed.length === 0 ? {} : { allowed }),
      })),
    },
    thrown,
  );
}

function allowedBy(fault: Fault): readonly unknown[] {
  const { allowedValues, allowedValue } = fault.params as Record<string, unknown>;
  const description = descriptionOf(fault);
  if (fault.keyword === 'pattern' && description !== undefined) return [description];
  return [allowedValues ?? allowedValue ?? []].flat();
}

function descriptionOf(fault: Fault): string | undefined {
  return (fault as { parentSchema?: { description?: string } }).parentSchema?.description;
}

/** Sentences for what JSON Schema calls otherwise; a regular expression is described by its schema's own words. */
function messageOf(fault: Fault, context: string): string {
  const { limit, type } = fault.params as { readonly limit?: number; readonly type?: unknown };
  const description = descriptionOf(fault);
  switch (fault.keyword) {
    case 'additionalProperties':
      return context === 'querystring' ? 'is not known here' : 'is not a known field';
    case 'required':
      return 'is missing';
    case 'pattern':
      return `must be ${description ?? 'written as documented'}`;
    case 'minProperties':
    case 'maxProperties':
      return `must be ${description ?? 'an object with other members'}`;
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`;
    case 'maxLength':
      return `must have at most ${limit} characters`;
    case 'minItems':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} entries`;
    case 'maxItems':
      return `must have at most ${limit} entries`;
    case 'uniqueItems':
      return 'must not have the same entry twice';
    case 'minimum':
      return `must be ${limit} or more`;
    case 'maximum':
      return `must be ${limit} or less`;
    case 'exclusiveMinimum':
      return `must be more than ${limit}`;
    case 'exclusiveMaximum':
      return `must be less than ${limit}`;
    case 'type':
      return `must be ${[type].flat().map(nameOfType).join(' or ')}`;
    default:
      return fault.message ?? 'is not valid';
  }
}

function nameOfType(type: unknown): string {
  const name = String(type);
  if (name === 'null') return name;
  return /^[aio]/.test(name) ? `an ${name}` : `a ${name}`;
}

/** A union reports each of its literals; one line with all of them is what a person wants to read. */
function mergeAlternatives(faults: readonly FieldFault[]): readonly FieldFault[] {
  return [...Map.groupBy(faults, ({ field }) => field).values()].map((ofField) => {
    const [first] = ofField as [FieldFault, ...FieldFault[]];
    const allowed = [...new Set(ofField.flatMap((fault) => fault.allowed))];
    const own = ofField.find(({ message }) => !message.startsWith('must match a schema in anyOf'));
    const isChoice = ofField.some((fault) => fault.allowed.length > 0 && fault.message === own?.message);
    const isLiteral = /^must be equal to /.test(own?.message ?? '');
    const message =
      isChoice && isLiteral ? `must be one of ${allowed.join(', ')}` : (own?.message ?? 'is not valid');
    return { ...first, allowed, message };
  });
}
