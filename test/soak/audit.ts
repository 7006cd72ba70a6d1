import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { AcceptedDrill } from './drills.ts';
import type { Findings } from './findings.ts';
import { auditMemory, type MemoryFigures } from './memory.ts';
import { call, type SentOrder, type Trace } from './orders.ts';
import { statesOf } from './processes.ts';
import { namespace, type World } from './world.ts';

/** Longest wait for what has to end by itself once the chaos is over; for a broken product, no measure of time. */
const calmMs = 240_000;

/** What the audit counted. */
export type Audited = {
  readonly drillsEnded: number;
  readonly receiptsFound: number;
  readonly tracesFound: number;
} & MemoryFigures;

/** Everything that must hold when the chaos is over; what does not is a violation. */
export async function audit(
  world: World,
  findings: Findings,
  work: { readonly orders: readonly SentOrder[]; readonly drills: readonly AcceptedDrill[] },
): Promise<Audited> {
  const drillsEnded = await auditDrills(world, findings, work.drills);
  const { receiptsFound, tracesFound } = await auditOrders(world, findings, work.orders);
  const ofDrills = await auditInjections(world, findings);
  const stopped = () =>
    [...statesOf('nv-hostengine'), ...statesOf('MainThread')].filter((state) => state === 'T');
  await until(() => stopped().length === 0);
  if (stopped().length > 0) findings.violate(`${stopped().length} processes are left stopped`);
  for (const death of world.deaths) findings.violate(death);
  if (world.evidence.lost() > 0)
    findings.violate(`the kernel log was overwritten ${world.evidence.lost()} times before it was read`);
  return {
    drillsEnded,
    receiptsFound: receiptsFound + ofDrills.receiptsFound,
    tracesFound: tracesFound + ofDrills.tracesFound,
    ...auditMemory(findings, world.lives),
  };
}

async function auditDrills(
  world: World,
  findings: Findings,
  drills: readonly AcceptedDrill[],
): Promise<number> {
  const kindOf = new Map(drills.map(({ name, kind }) => [name, kind]));
  const statusOf = (name: string) => {
    const found = world.apiServer.store.read('experiments', { namespace, name });
    return found === undefined
      ? undefined
      : ((found.status ?? {}) as { phase?: string; verdict?: string; explanation?: { code?: string } });
  };
  const isOpen = (name: string) => {
    const status = statusOf(name);
    return status !== undefined && !['Completed', 'Aborted'].includes(status.phase ?? '');
  };
  await until(() => !drills.some(({ name }) => isOpen(name)));
  let ended = 0;
  for (const { name } of drills) {
    const status = statusOf(name);
    if (status === undefined) continue;
    if (isOpen(name) || status.verdict === undefined)
      findings.violate(`drill ${name} (${kindOf.get(name)}) has no verdict: ${JSON.stringify(status)}`);
    else {
      ended += 1;
      findings.count('drills', `${kindOf.get(name)} ${status.verdict} (${status.explanation?.code})`);
    }
  }
  return ended;
}

async function auditOrders(world: World, findings: Findings, orders: readonly SentOrder[]) {
  let receiptsFound = 0;
  let tracesFound = 0;
  for (const order of orders) {
    const receipt = await settled(world, order.orderId);
    if (receipt === undefined) {
      if (order.receipt !== undefined) findings.violate(`the receipt of ${order.orderId} is lost`);
    } else {
      receiptsFound += 1;
      compare(findings, order, receipt);
    }
    for (const trace of order.traces)
      tracesFound += auditTrace(world, findings, order.orderId, trace, receipt);
  }
  return { receiptsFound, tracesFound };
}

/** Once it has ended; undefined: the agent does not know it. */
async function settled(world: World, orderId: string, url?: string): Promise<Receipt | undefined> {
  let receipt: Receipt | undefined;
  await until(async () => {
    const answer = await call(world, 'GetReceipt', { orderId }, url);
    receipt = answer?.status === 200 ? (answer.body as unknown as Receipt) : undefined;
    return answer !== undefined && receipt?.state !== 'running';
  });
  return receipt;
}

/** What was answered as ended stays as it was answered. */
function compare(findings: Findings, order: SentOrder, receipt: Receipt): void {
  const before = order.receipt;
  if (before === undefined || before.state === 'running') return;
  if (!isDeepStrictEqual(before.surfaces, receipt.surfaces) || before.state !== receipt.state)
    findings.violate(
      `the receipt of ${order.orderId} changed: ${JSON.stringify(before)} became ${JSON.stringify(receipt)}`,
    );
}

/** By the evidence on the node: not more than was ordered, and at least what the receipt claims. Returns how many there are. */
function auditTrace(
  world: World,
  findings: Findings,
  orderId: string,
  { where, token, most }: Trace,
  receipt: Receipt | undefined,
): number {
  const claimed = (receipt?.surfaces ?? []).filter(
    ({ outcome, written }) => outcome === 'injected' && (where === 'engine' || written?.includes(token)),
  );
  const { evidence } = world;
  const count =
    where === 'engine'
      ? evidence.inEngine(token).length
      : where === 'file'
        ? evidence.inFile(token)
        : evidence.inKernelLog(token);
  const told = `${orderId}: ${count} times in the ${where}, ${claimed.length} injected by its receipt (${receipt?.state ?? 'none'})`;
  if (most !== undefined && count > most) findings.violate(`double injection, ${told}, at most ${most}`);
  if (count < Math.min(claimed.length, most ?? 1)) findings.violate(`a receipt without evidence, ${told}`);
  return count;
}

/** The same for what coordinators ordered: the stored orders against evidence and the agent's receipts. */
async function auditInjections(world: World, findings: Findings) {
  let receiptsFound = 0;
  let tracesFound = 0;
  const planned = new Map<string, { trace: Trace; orderIds: readonly string[] }>();
  for (const injection of world.apiServer.store.list('injections')) {
    const stored = receiptsIn(injection.status);
    for (const { orderId, method, body } of ordersIn(injection.spec)) {
      const receipt = await settled(world, orderId, world.agentUrls[nodeOf(injection.spec)]);
      if (receipt !== undefined) receiptsFound += 1;
      // One that was refused on every surface has no effect, and the agent does not remember it.
      else if (stored.some((one) => one.orderId === orderId && one.surfaces.some(isNoRefusal)))
        findings.violate(`the receipt of ${orderId} is lost`);
      const { text, times = 1 } = body as { text?: string; times?: number };
      if (text === undefined || (method !== 'WriteKernelMessage' && method !== 'AppendLogLine')) continue;
      const where = method === 'AppendLogLine' ? 'file' : 'kernel-log';
      const known = planned.get(`${where} ${text}`);
      planned.set(`${where} ${text}`, {
        trace: { where, token: text, most: times + (known?.trace.most ?? 0) },
        orderIds: [...(known?.orderIds ?? []), orderId],
      });
    }
  }
  for (const { trace, orderIds } of planned.values())
    tracesFound += auditTrace(world, findings, orderIds.join('+'), trace, undefined);
  return { receiptsFound, tracesFound };
}

const isNoRefusal = ({ outcome }: Receipt['surfaces'][number]) => outcome !== 'refused';

function nodeOf(spec: unknown): string {
  return (spec as { node: string }).node;
}

/** Every order of a stored Injection, wherever its chain has it. */
function ordersIn(value: unknown): readonly AgentOrder[] {
  if (Array.isArray(value)) return value.flatMap(ordersIn);
  if (typeof value !== 'object' || value === null) return [];
  const { order } = value as { order?: AgentOrder };
  const own = typeof order?.orderId === 'string' && typeof order.body === 'object' ? [order] : [];
  return [...own, ...Object.values(value).flatMap(ordersIn)];
}

/** Every receipt that a coordinator has stored. */
function receiptsIn(value: unknown): readonly Receipt[] {
  if (Array.isArray(value)) return value.flatMap(receiptsIn);
  if (typeof value !== 'object' || value === null) return [];
  const own = 'orderId' in value && 'acceptedAt' in value && 'surfaces' in value ? [value as Receipt] : [];
  return [...own, ...Object.values(value).flatMap(receiptsIn)];
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + calmMs;
  while (!(await isSo()) && performance.now() < end) await sleep(200);
}
