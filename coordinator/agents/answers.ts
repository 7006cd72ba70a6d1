import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { Check, Clean, Errors } from 'typebox/value';
import { Refusal } from '../../shared/errors.ts';
import { surfacesOfOrder } from '../../shared/orders/call.ts';
import { Capability, Inventory, LogFileFacts } from '../../shared/schemas/inventory.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import { Receipt } from '../../shared/schemas/receipt.ts';

// The whole schema would be sorted anew for each answer, which takes longer than reading it. The order of variants does not matter
// where a value fits one of them only; test/coordinator/agents/answers.test.ts looks at every union of the answers.
Settings.Set({ unionPrioritySort: false });

/** Their compiled checks; made with the first answer, since the programs that read none start faster without. */
const checks = new Map<TSchema, (value: unknown) => boolean>();

function fits<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  let check = checks.get(schema);
  if (check === undefined) {
    const compiled = Compile(schema);
    check = (tried) => compiled.Check(tried);
    checks.set(schema, check);
  }
  return check(value);
}

/** Of one text: more than any message of an agent, which lists at most 16 host engines. */
const longestText = 16 * 1024;

/** Deeper than any answer of an agent: functions that follow a value down would run out of stack. */
const deepest = 32;

/**
 * Why a parsed JSON value of an agent cannot be worked with or stored: a text of more than 16 KiB, members nested more than 32
 * deep, a number beyond `largest` (default 2^53, as far as every reader of JSON is exact; 1e999 overflows any). Completes "the
 * answer …". undefined: it can.
 */
export function whyUnbounded(value: unknown, largest = Number.MAX_SAFE_INTEGER): string | undefined {
  const left: { readonly value: unknown; readonly path: string; readonly depth: number }[] = [
    { value, path: '', depth: 0 },
  ];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { value: found, path, depth } = next;
    if (typeof found === 'string' && found.length > longestText)
      return `has a text of ${found.length} characters in ${path}; ${longestText} are the limit`;
    if (typeof found === 'number' && Math.abs(found) > largest)
      return `has a number in ${path} that cannot be stored: ${found}`;
    if (typeof found !== 'object' || found === null) continue;
    if (depth >= deepest) return `is nested more than ${deepest} deep in ${path.slice(0, 200)}`;
    for (const [name, member] of Object.entries(found)) {
      if (name.length > longestText) return `has a name of ${name.length} characters in ${path}`;
      left.push({ value: member, path: `${path}/${name}`, depth: depth + 1 });
    }
  }
  return undefined;
}

/** Which answer is read: it stands in every refusal. */
export type Asked = {
  readonly node: string;
  /** Where the agent was called, `http://10.0.0.9:9475`. */
  readonly url: string;
  /** The agent's method, such as `GetInventory`. */
  readonly method: string;
};

/**
 * An agent's answer as this coordinator's inventory. Members that only a newer agent knows are left out, and so are
 * capabilities and log files of a kind that is not known here; what an older one lacks has to be optional in the schema.
 * Anything else is refused with `agent_answer_invalid`: half an inventory would prove that a host engine is missing.
 */
export function inventoryFrom(answer: unknown, asked: Asked): Inventory {
  // It is not stored, and a counter of NVML has 64 bits.
  const cleaned = cleanedBy(Inventory, answer, asked, Number.MAX_VALUE);
  const known: Record<string, unknown> = {
    ...cleaned,
    ...onlyKnown(cleaned, 'capabilities', Capability),
    ...onlyKnown(cleaned, 'logFiles', LogFileFacts),
  };
  if (!fits(Inventory, known)) throw misshapen(Inventory, known, asked, answer);
  if (known.node !== asked.node) throw forAnother(asked, 'node', known.node, asked.node);
  return known;
}

/**
 * An agent's answer as the receipt of the order that was asked for. Members that only a newer agent knows are left out.
 * Refuses with `agent_answer_invalid`, naming the member: one of another shape, of another order or node, of other surfaces
 * than the order has, with a time that is none, or one that claims an injection without what was read back.
 */
export function receiptFrom(
  answer: unknown,
  asked: Asked,
  order: Pick<AgentOrder, 'orderId'> | AgentOrder,
): Receipt {
  const receipt = cleanedBy(Receipt, answer, asked);
  if (!fits(Receipt, receipt)) throw misshapen(Receipt, receipt, asked, answer);
  if (receipt.orderId !== order.orderId) throw forAnother(asked, 'orderId', receipt.orderId, order.orderId);
  if (receipt.node !== asked.node) throw forAnother(asked, 'node', receipt.node, asked.node);
  if ('method' in order) assertFitsOrder(receipt, asked, order);
  assertProven(receipt, asked);
  assertTimes(receipt, asked);
  return receipt;
}

/** The refusal `agent_answer_invalid`. `because` completes "the agent's answer …": `lacks /orderId`. */
export function invalidAnswer(asked: Asked, because: string, more: object = {}): Refusal {
  const { node, url, method } = asked;
  return new Refusal('agent_answer_invalid', `the answer of the agent of ${node} to ${method} ${because}`, {
    url,
    method,
    remedy: `install agent and coordinator of the same version, and see what answers at ${url}`,
    ...more,
  });
}

function assertFitsOrder({ method, surfaces, state }: Receipt, asked: Asked, order: AgentOrder): void {
  if (method !== order.method) throw forAnother(asked, 'method', method, order.method);
  const known = surfacesOfOrder(order);
  const other = surfaces.findIndex(({ surface }) => !known.includes(surface));
  if (other >= 0) {
    const { surface = '' } = surfaces[other] ?? {};
    throw forAnother(asked, `surfaces/${other}/surface`, surface, known.join(' or '));
  }
  // Nothing was written and nothing refused: silence of the node would then be blamed on the monitoring agent.
  if (state !== 'running' && surfaces.length === 0)
    throw invalidAnswer(asked, `says that the order is ${state}, and names no surface`);
}

function assertProven({ surfaces }: Receipt, asked: Asked): void {
  const bare = surfaces.findIndex(
    ({ outcome, readBack }) => outcome === 'injected' && readBack === undefined,
  );
  if (bare >= 0)
    throw invalidAnswer(asked, `claims an injection without what was read back: /surfaces/${bare}/readBack`);
}

/** Latencies and the ends of sustained parts are computed from them. */
function assertTimes(receipt: Receipt, asked: Asked): void {
  const times: (readonly [path: string, time: string | null | undefined])[] = [
    ['/acceptedAt', receipt.acceptedAt],
    ['/endedAt', receipt.endedAt],
    ...receipt.surfaces.flatMap(({ at, sustained }, index) => [
      [`/surfaces/${index}/at`, at] as const,
      [`/surfaces/${index}/sustained/until`, sustained?.until] as const,
      [`/surfaces/${index}/sustained/lastAt`, sustained?.lastAt] as const,
    ]),
  ];
  for (const [path, time] of times) {
    if (time === undefined || time === null) continue;
    if (/^\d{4}-\d{2}-\d{2}T\S{1,24}$/.test(time) && !Number.isNaN(Date.parse(time))) continue;
    throw invalidAnswer(asked, `has a time in ${path} that is none: ${JSON.stringify(time.slice(0, 40))}`);
  }
}

function cleanedBy(
  schema: TSchema,
  answer: unknown,
  asked: Asked,
  largest?: number,
): Record<string, unknown> {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer))
    throw invalidAnswer(asked, 'is not a JSON object', { agentVersion: versionOf(answer) });
  const because = whyUnbounded(answer, largest);
  if (because !== undefined) throw invalidAnswer(asked, because);
  return Clean(schema, structuredClone(answer)) as Record<string, unknown>;
}

/** The member with what is known here of its list; nothing where it is no list, which is for the schema to say. */
function onlyKnown(answer: Readonly<Record<string, unknown>>, member: string, schema: TSchema): object {
  const list = answer[member];
  return Array.isArray(list) ? { [member]: list.filter((item) => Check(schema, item)) } : {};
}

/** So many members are named; the rest is counted. */
const mostNamed = 5;

function misshapen(schema: TSchema, value: unknown, asked: Asked, answer: unknown): Refusal {
  const faults = [...Errors(schema, value)].map(
    ({ instancePath, message }) => `${instancePath === '' ? 'the answer' : instancePath} ${message}`,
  );
  const distinct = [...new Set(faults)];
  const more = distinct.length > mostNamed ? ` and ${distinct.length - mostNamed} more` : '';
  return invalidAnswer(
    asked,
    `is in a form that this coordinator cannot read: ${distinct.slice(0, mostNamed).join('; ')}${more}`,
    { agentVersion: versionOf(answer) },
  );
}

function forAnother(asked: Asked, member: string, found: string, meant: string): Refusal {
  const text = JSON.stringify(found.slice(0, 253));
  return invalidAnswer(
    asked,
    `is not for what was asked: ${member} is ${text}, not ${JSON.stringify(meant)}`,
    {
      field: member,
      value: found.slice(0, 253),
      allowed: meant,
    },
  );
}

function versionOf(answer: unknown): string {
  const version = (answer as { readonly agentVersion?: unknown } | null)?.agentVersion;
  return typeof version === 'string' ? version.slice(0, 64) : 'not given';
}
