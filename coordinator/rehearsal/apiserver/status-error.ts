/** One thing that is wrong with one field; messages and reasons as the real server words them. */
export type Cause = { readonly reason: string; readonly message: string; readonly field: string };

/** A refusal with the Status object that is sent. */
export type StatusError = Error & {
  readonly status: {
    readonly code: number;
    readonly message: string;
    readonly reason: string;
    readonly details?: { readonly retryAfterSeconds?: number };
  };
};

type Subject = { readonly group: string; readonly plural: string; readonly kind: string };

/** An error that answers as a Status object. The texts are kube-apiserver's: clients and people match on them. */
export function statusError(
  code: number,
  reason: string,
  message: string,
  details: object = {},
): StatusError {
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(Object.keys(details).length > 0 && { details }),
    code,
  };
  return Object.assign(new Error(message), { status });
}

/** Anything else that is thrown is a defect, answered with 500. */
export function isStatusError(thrown: unknown): thrown is StatusError {
  return thrown instanceof Error && 'status' in thrown;
}

/** 404, in the real server's words. */
export function notFound(subject: Subject, name: string): StatusError {
  const details = { name, ...groupOf(subject), kind: subject.plural };
  return statusError(404, 'NotFound', `${qualified(subject)} "${name}" not found`, details);
}

/** 409, reason AlreadyExists. */
export function alreadyExists(subject: Subject, name: string): StatusError {
  const details = { name, ...groupOf(subject), kind: subject.plural };
  return statusError(409, 'AlreadyExists', `${qualified(subject)} "${name}" already exists`, details);
}

/** 409, reason Conflict. */
export function conflict(
  subject: Subject,
  name: string,
  because = 'the object has been modified; please apply your changes to the latest version and try again',
): StatusError {
  const message = `Operation cannot be fulfilled on ${qualified(subject)} "${name}": ${because}`;
  return statusError(409, 'Conflict', message, { name, ...groupOf(subject), kind: subject.plural });
}

/** 422 with one cause a field. */
export function invalid(subject: Subject, name: string, causes: readonly Cause[]): StatusError {
  const kind = subject.group === '' ? subject.kind : `${subject.kind}.${subject.group}`;
  const texts = causes.map(({ field, message }) => `${field}: ${message}`);
  const text = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  const details = { name, ...groupOf(subject), kind: subject.kind, causes };
  return statusError(422, 'Invalid', `${kind} "${name}" is invalid: ${text}`, details);
}

/** 400. */
export function badRequest(message: string): StatusError {
  return statusError(400, 'BadRequest', message);
}

/** 410: the version or the continue token is too old. */
export function expired(message: string): StatusError {
  return statusError(410, 'Expired', message);
}

/** What an unknown path or kind answers, without naming an object. */
export function noSuchResource(): StatusError {
  return statusError(404, 'NotFound', 'the server could not find the requested resource');
}

/** `nodes`, `experiments.xidrill.dev`. */
export function qualified({ group, plural }: Subject): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function groupOf({ group }: Subject): { readonly group?: string } {
  return group === '' ? {} : { group };
}
