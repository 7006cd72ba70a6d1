import type { InjectOptions } from 'fastify';
import type { Chance } from './soak/chance.ts';

/** As much of an OpenAPI 3.1 document as requests are made from. */
export type ApiDocument = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
};

type Described = {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
};

type Schema = {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
};

/** How many requests a program is tried with: all that `npm run fuzz` asks for, and a fiftieth of its 200,000 with the other tests. */
export const requestRuns = Number(process.env.XIDRILL_FUZZ_RUNS ?? 4_000);

/** One request, and the operation that it is made from. */
export type FuzzedRequest = { readonly operation: string; readonly options: InjectOptions };

const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'] as const;

const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);

/** Values that have broken programs elsewhere; each may stand in any place. */
const hostile: readonly unknown[] = [
  ...[null, true, false, 0, -1, 0.1234, 1e308, -(2 ** 53), 2 ** 64, '', ' ', '0', 'null', 'NaN'],
  ...[
    '\u0000',
    '\u001b]0;x\u0007',
    '\u202e',
    '\ud800',
    'a\nb',
    '<3>NVRM: Xid',
    '%00',
    '%',
    "'; --",
    '<%= 7 %>',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '../../etc/passwd',
    '/dev/kmsg',
    'x'.repeat(4000),
  ],
  ...[[], {}, [null], deep(300), { __proto__: null, length: -1 }, { toString: 1 }, Array(500).fill('a')],
];

const contentTypes = [
  ...[
    'application/json; charset=utf-16',
    'application/xml',
    'text/plain',
    'application/x-www-form-urlencoded',
  ],
  ...['multipart/form-data', 'application/json;', 'APPLICATION/JSON', '*/*', '', 'a'],
];

const headers: readonly (readonly [string, readonly string[]])[] = [
  ['accept', ['text/html', 'application/xml', 'application/json;q=0', '', 'x'.repeat(2000)]],
  ['accept-encoding', ['gzip', 'identity;q=0', '*']],
  ['authorization', ['Bearer', 'Bearer x', `Bearer ${'a.'.repeat(2000)}`, 'Basic Og==']],
  ['content-length', ['0', '5', '999999', '-1', 'x']],
  ['expect', ['100-continue']],
  ['idempotency-key', ['', 'a', 'x'.repeat(300), 'é']],
  ['if-match', ['*', '"1"']],
  ['prefer', ['wait=0', 'wait=-1', 'wait=999999999', 'wait=', 'respond-async']],
  ['range', ['bytes=0-0']],
  ['transfer-encoding', ['chunked', 'identity']],
  ['x-forwarded-for', ['127.0.0.1, ::1']],
  ['x-http-method-override', ['DELETE']],
];

/** An endless stream of requests over every operation of a document; the same chance makes the same ones. `skips`: not this one. */
export function createRequests(
  document: ApiDocument,
  chance: Chance,
  skips: (operation: string) => boolean,
): () => FuzzedRequest {
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .map(([method, described]) => ({ path, method: method.toUpperCase(), described }))
      .filter(({ method }) => methods.some((known) => known === method) && !skips(`${method} ${path}`)),
  );
  const odd = (odds: number) => chance.next() < odds;

  function madeOf(schema: Schema | undefined, depth = 0): unknown {
    if (schema === undefined || depth > 8 || odd(0.06)) return chance.pick(hostile);
    if (schema.$ref !== undefined)
      return madeOf(document.components?.schemas?.[schema.$ref.split('/').at(-1) ?? ''], depth + 1);
    if (schema.const !== undefined) return schema.const;
    if (schema.enum !== undefined) return chance.pick(schema.enum);
    const choices = schema.anyOf ?? schema.oneOf;
    if (choices !== undefined) return madeOf(chance.pick(choices), depth + 1);
    if (schema.allOf !== undefined)
      return Object.assign({}, ...schema.allOf.map((part) => madeOf(part, depth + 1)));
    const type = typeof schema.type === 'string' ? schema.type : chance.pick(schema.type ?? ['string']);
    return plainOf(type, schema, depth);
  }

  function plainOf(type: string, schema: Schema, depth: number): unknown {
    const { minimum = -2, maximum = 1000, properties = {}, required = [] } = schema;
    switch (type) {
      case 'integer':
        return chance.between(minimum, Math.min(maximum, minimum + 1000));
      case 'number':
        return minimum + chance.next() * Math.min(maximum - minimum, 1000);
      case 'boolean':
        return odd(0.5);
      case 'null':
        return null;
      case 'array':
        return Array.from({ length: chance.between(0, 3) }, () => madeOf(schema.items, depth + 1));
      case 'object': {
        const names = Object.keys(properties).filter((name) => odd(required.includes(name) ? 0.95 : 0.3));
        const members = names.map((name) => [name, madeOf(properties[name], depth + 1)] as const);
        const more = odd(0.05)
          ? [[textOf(chance.pick(hostile)).slice(0, 50), chance.pick(hostile)] as const]
          : [];
        return Object.fromEntries([...members, ...more]);
      }
      default:
        return chance.pick([
          'a',
          'n1',
          'xid',
          'kernel-log',
          '3s',
          'drill-1',
          'xidrill: text',
          `t${chance.between(0, 9)}`,
        ]);
    }
  }

  const textOf = (value: unknown) => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

  function urlOf(path: string, described: Described): string {
    const filled = path.replace(/\{(\w+)\}/g, () => encoded(textOf(madeOf({ type: 'string' }))));
    const asked = (described.parameters ?? []).filter((each) => each.in === 'query' && odd(0.4));
    const query = asked.map(({ name, schema }) => `${name}=${encoded(textOf(madeOf(schema)))}`);
    if (odd(0.05))
      query.push(`${encoded(textOf(chance.pick(hostile)).slice(0, 99))}=${chance.between(0, 9)}`);
    return query.length === 0 ? filled : `${filled}?${query.join('&')}`;
  }

  /** A lone surrogate has no encoding. */
  function encoded(text: string): string {
    return odd(0.02) ? text.replace(/[^!-~]|[?#]/g, '%') : encodeURIComponent(text.toWellFormed());
  }

  function payloadOf(schema: Schema | undefined): string | Buffer | undefined {
    if (odd(0.04))
      return Buffer.from(Array.from({ length: chance.between(0, 64) }, () => chance.between(0, 255)));
    if (odd(0.03)) return undefined;
    const text = JSON.stringify(schema === undefined ? chance.pick(hostile) : madeOf(schema)) ?? '';
    return odd(0.05) ? text.slice(0, chance.between(0, text.length)) : text;
  }

  return () => {
    const { path, method, described } = chance.pick(operations);
    const asked = odd(0.04) ? chance.pick(methods) : method;
    const body = Object.values(described.requestBody?.content ?? {})[0]?.schema;
    const payload = body !== undefined || odd(0.05) ? payloadOf(body) : undefined;
    const own = (described.parameters ?? []).filter((each) => each.in === 'header' && odd(0.2));
    const sent: Record<string, string> = {};
    if (payload !== undefined)
      sent['content-type'] = odd(0.06) ? chance.pick(contentTypes) : 'application/json';
    for (const { name, schema } of own) sent[name] = headerOf(textOf(madeOf(schema)));
    if (odd(0.1)) {
      const [name, values] = chance.pick(headers);
      sent[name] = headerOf(chance.pick(values));
    }
    const options = { method: asked, url: urlOf(path, described), headers: sent };
    return {
      operation: `${method} ${path}`,
      options: payload === undefined ? options : { ...options, payload },
    };
  };
}

/** Node refuses to send what no header may have. */
function headerOf(text: string): string {
  return text.replace(/[^\t -~\x80-\xff]/g, '?').slice(0, 3000);
}
