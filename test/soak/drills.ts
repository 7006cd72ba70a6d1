import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import type { Findings } from './findings.ts';
import { gpu, node, otherNode, type World } from './world.ts';

/** All kinds of drills: one for each kind of order and of expectation. */
const drillRows: Readonly<Record<string, (label: string) => object>> = {
  event: () => ({ fault: { name: 'task-blocked' } }),
  condition: () => ({ fault: { name: 'ipamd-not-ready' } }),
  script: () => ({ fault: { name: 'ipamd-repeated-restart' } }),
  negative: (label) => ({
    fault: { name: 'kernel-message', parameters: { text: `${label} quiet` } },
    expectation: { none: true, for: '3s' },
  }),
  sustained: () => ({
    fault: {
      name: 'dcgm-field',
      parameters: { field: 'DCGM_FI_DEV_GPU_UTIL', value: 7, forSeconds: 5, force: true },
    },
    target: { selector: { names: [node] }, gpu },
    expectation: { kind: 'condition', type: 'AcceleratedHardwareReady', reason: 'DCGMError', within: '4s' },
  }),
  pause: () => ({
    target: { selector: { names: [node] } },
    fault: { name: 'engine-loss', parameters: { forSeconds: 3, force: true } },
    expectation: { kind: 'condition', type: 'AcceleratedHardwareReady', reason: 'DCGMError', within: '4s' },
  }),
};

/** A drill that a coordinator accepted; its end is looked for in what is stored. */
export type AcceptedDrill = { readonly name: string; readonly kind: string };

/** How long one drill is waited for before the next is begun; its verdict may come later. */
const turnMs = 60_000;

/** One drill after the other until the signal; coordinators die meanwhile, and whichever answers is asked. */
export async function runDrills(
  world: World,
  findings: Findings,
  options: { readonly chance: Chance; readonly mark: string; readonly signal: AbortSignal },
): Promise<readonly AcceptedDrill[]> {
  const { chance, mark, signal } = options;
  const kinds = Object.keys(drillRows);
  const accepted: AcceptedDrill[] = [];
  for (let number = 1; !signal.aborted; number += 1) {
    const kind = chance.pick(kinds);
    const name = `${mark}-${number}`;
    // One of them, the other one, or both at once.
    const names = chance.pick([[node], [otherNode], [node, otherNode]]);
    const body = {
      name,
      target: { selector: { names }, mode: 'all' },
      ...drillRows[kind]?.(name),
    };
    if (await create(world, findings, body, name, signal)) {
      accepted.push({ name, kind });
      await untilEnded(world, name, signal);
    }
    await sleep(chance.between(0, 500));
  }
  return accepted;
}

/** Drills tried when the chaos is over, each on both nodes. */
const calmTries = 5;

/** When all is well again drills pass: what came before proves nothing where nothing could have passed. */
export async function drillInCalm(
  world: World,
  findings: Findings,
  mark: string,
): Promise<readonly AcceptedDrill[]> {
  const accepted: AcceptedDrill[] = [];
  for (let number = 1; number <= calmTries; number += 1) {
    const name = `${mark}-calm-${number}`;
    const target = { selector: { names: [node, otherNode] }, mode: 'all' };
    const signal = AbortSignal.timeout(2 * turnMs);
    if (!(await create(world, findings, { name, target, fault: { name: 'task-blocked' } }, name, signal)))
      continue;
    accepted.push({ name, kind: 'calm' });
    await untilEnded(world, name, signal);
    const found = world.apiServer.store.read('experiments', { namespace: 'xidrill', name });
    if ((found?.status as { verdict?: string } | undefined)?.verdict === 'pass') return accepted;
  }
  findings.violate(`none of ${calmTries} drills passed when the chaos was over`);
  return accepted;
}

/** The same request under the same key until it is answered: that makes it one drill. */
async function create(
  world: World,
  findings: Findings,
  body: object,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (let turn = 0; !signal.aborted || turn === 0; turn += 1) {
    const url = world.coordinatorUrls[turn % world.coordinatorUrls.length];
    try {
      const response = await fetch(`${url}/api/v1/experiments`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': name },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(30_000),
      });
      const answer = (await response.json()) as { code?: string };
      if (response.ok) return true;
      if (answer.code === undefined || answer.code === 'internal')
        findings.violate(`POST experiments answered ${response.status} ${JSON.stringify(answer)}`);
      findings.count('refusals', `drill: ${answer.code}`);
      // What may pass by itself is tried again; a refusal of the drill itself is its answer.
      if (response.status < 500 && response.status !== 429 && response.status !== 409) return false;
    } catch {
      // Killed, stopped, or cut: the other one is asked next.
    }
    await sleep(200);
  }
  // Asked and never answered: it may exist, and is then looked at with the others.
  return true;
}

async function untilEnded(world: World, name: string, signal: AbortSignal): Promise<void> {
  const end = performance.now() + turnMs;
  while (!signal.aborted && performance.now() < end && phaseOf(world, name) !== undefined) await sleep(100);
}

/** Undefined: it has ended, or was never created. */
function phaseOf(world: World, name: string): string | undefined {
  const found = world.apiServer.store.read('experiments', { namespace: 'xidrill', name });
  const { phase = 'Pending' } = (found?.status ?? {}) as { phase?: string };
  return found === undefined || phase === 'Completed' || phase === 'Aborted' ? undefined : phase;
}
