import { setTimeout as sleep } from 'node:timers/promises';
import type { OrderMethod } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Chance } from './chance.ts';
import type { Findings } from './findings.ts';
import { gpu, type World } from './world.ts';

/** Something that an order may leave on the node, and how often at the most. */
export type Trace = {
  readonly where: 'kernel-log' | 'file' | 'engine';
  readonly token: string;
  /** Undefined: written again and again while it goes on. */
  readonly most: number | undefined;
};

/** An order that the soak itself gave to the agent, and the last answer to it. */
export type SentOrder = {
  readonly kind: string;
  readonly orderId: string;
  readonly method: OrderMethod;
  readonly body: object;
  readonly traces: readonly Trace[];
  /** Of the last answer with a receipt; absent: there was none. */
  receipt?: Receipt;
  /** Reason of the last refusal. */
  refusal?: string;
};

type Made = Pick<SentOrder, 'method' | 'body' | 'traces'>;

/** `label`: unique to the order, and part of whatever it writes as text. `number` is unique as a value. */
type OrderRow = (of: { readonly label: string; readonly number: number; readonly chance: Chance }) => Made;

/** Watched by nobody as an alert, so that the engine takes it at any rate (6 s apart it would have to be otherwise). */
const field = 'DCGM_FI_DEV_GPU_UTIL';

/** All kinds of orders, each as a row. */
export const orderRows: Readonly<Record<string, OrderRow>> = {
  line: ({ label }) => ({
    method: 'WriteKernelMessage',
    body: { level: 'info', text: `${label} end` },
    traces: [{ where: 'kernel-log', token: `${label} end`, most: 1 }],
  }),
  xid: ({ label }) => ({
    method: 'InjectXid',
    body: { gpu, xid: 31, surfaces: ['kernel-log'], detail: `${label} end` },
    traces: [{ where: 'kernel-log', token: `${label} end`, most: 1 }],
  }),
  script: ({ label, chance }) => {
    const times = chance.between(2, 4);
    return {
      method: 'AppendLogLine',
      body: { file: 'ipamd', text: `${label} end`, times, gapSeconds: 0.5 },
      traces: [{ where: 'file', token: `${label} end`, most: times }],
    };
  },
  cascade: ({ label, chance }) => {
    const gap = chance.pick([0.2, 1, 3]);
    const details = [0, 1, 2].map((step) => `${label} step ${step} end`);
    return {
      method: 'InjectCascade',
      body: {
        gpu,
        surfaces: ['kernel-log'],
        steps: details.map((detail, step) => ({ xid: 31, afterSeconds: step * gap, detail })),
      },
      traces: details.map((token) => ({ where: 'kernel-log', token, most: 1 })),
    };
  },
  value: ({ number }) => ({
    method: 'InjectDcgmField',
    body: { gpu, field, value: number, force: true },
    traces: [{ where: 'engine', token: String(number), most: 1 }],
  }),
  sustained: ({ number, chance }) => ({
    method: 'InjectDcgmField',
    body: { gpu, field, value: number, forSeconds: chance.between(2, 20), everySeconds: 1, force: true },
    traces: [{ where: 'engine', token: String(number), most: undefined }],
  }),
  pause: ({ chance }) => ({
    method: 'PauseHostEngine',
    body: { forSeconds: chance.between(1, 6), force: true },
    traces: [],
  }),
};

/** Longer than any part of the soak keeps an agent from answering, also on a busy machine. */
const patienceMs = 240_000;

/** Gives the order until the agent answers it, always under the same id, as a coordinator does. */
export async function give(world: World, findings: Findings, order: SentOrder): Promise<void> {
  const end = performance.now() + patienceMs;
  while (performance.now() < end) {
    const answer = await call(world, order.method, { orderId: order.orderId, ...order.body });
    if (answer === undefined) {
      await sleep(100);
      continue;
    }
    note(findings, order, answer);
    return;
  }
  findings.violate(`order ${order.orderId} had no answer for ${patienceMs / 1000} s`);
}

/** What an agent answered: a receipt, or the reason of its refusal. Undefined: nothing, it is gone or going. */
export async function call(
  world: World,
  method: string,
  body: object,
  url = world.agentUrl,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> } | undefined> {
  try {
    const response = await fetch(`${url}/xidrill.agent.v1.AgentService/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}

function note(
  findings: Findings,
  order: SentOrder,
  answer: { readonly status: number; readonly body: Record<string, unknown> },
): void {
  if (answer.status === 200) {
    order.receipt = answer.body as unknown as Receipt;
    findings.count('orders', order.kind);
    return;
  }
  const { reason } = (answer.body.details ?? {}) as { reason?: unknown };
  if (typeof reason !== 'string' || typeof answer.body.code !== 'string')
    findings.violate(`${order.method} answered ${answer.status} ${JSON.stringify(answer.body)}`);
  else if (answer.body.code === 'internal' && reason === 'internal')
    findings.violate(`${order.method}: ${JSON.stringify(answer.body)}`);
  order.refusal = String(reason);
  findings.count('refusals', String(reason));
}

/** One order after the other until the signal: new ones, some of them stopped, and old ones given again. */
export async function giveOrders(
  world: World,
  findings: Findings,
  options: { readonly chance: Chance; readonly mark: string; readonly signal: AbortSignal },
): Promise<readonly SentOrder[]> {
  const { chance, mark, signal } = options;
  const sent: SentOrder[] = [];
  const kinds = Object.keys(orderRows);
  for (let number = 1; !signal.aborted; number += 1) {
    const turn = chance.next();
    const old = sent[Math.floor(chance.next() * sent.length)];
    if (turn < 0.15 && old !== undefined) {
      await give(world, findings, old);
    } else if (turn < 0.25 && old !== undefined) {
      await call(world, 'StopInjection', { orderId: old.orderId });
    } else {
      const kind = chance.pick(kinds);
      const made = (orderRows[kind] as OrderRow)({
        label: `${mark}-${number}`,
        number: 1000 + number,
        chance,
      });
      const order: SentOrder = { kind, orderId: `${mark}-${number}`, ...made };
      sent.push(order);
      await give(world, findings, order);
    }
    await sleep(chance.between(0, 400));
  }
  return sent;
}
