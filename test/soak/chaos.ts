import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import type { Findings } from './findings.ts';
import { mount, type Part, type World } from './world.ts';

/** `mayKill`: our own programs. */
type Action = (world: World, chance: Chance, mayKill: boolean) => Promise<void>;

const coordinators = ['coordinator-1', 'coordinator-2'] as const satisfies readonly Part[];

/** Ends of our own programs. */
const kills: Readonly<Record<string, Action>> = {
  'kill agent': (world) => world.restart('agent'),
  'kill the other agent': (world) => world.restart('agent-other'),
  'kill agent twice': async (world, chance) => {
    await world.restart('agent');
    await sleep(chance.between(0, 300));
    await world.restart('agent');
  },
  'kill coordinator': (world, chance) => world.restart(chance.pick(coordinators)),
  'kill both coordinators': async (world) => {
    await Promise.all(coordinators.map((part) => world.now(part).kill()));
    await Promise.all(coordinators.map((part) => world.restart(part)));
  },
  'kill agent and coordinator': async (world, chance) => {
    await Promise.all([world.restart('agent'), world.restart(chance.pick(coordinators))]);
  },
};

/** What else befalls them; each takes back what it did before it ends. */
const disturbances: Readonly<Record<string, Action>> = {
  'stop coordinator': async (world, chance) => {
    const stopped = world.now(chance.pick(coordinators));
    stopped.send('SIGSTOP');
    await sleep(world.leaseSeconds * 1000 * chance.between(1, 3));
    stopped.send('SIGCONT');
  },
  'kill engine': (world) => world.restart('engine'),
  'restart monitoring agent': (world) => world.restart('nma'),
  'api errors': async (world, chance) => {
    const code = chance.pick([429, 500, 503, 504]);
    world.apiServer.faults.failNext({
      code,
      count: chance.between(1, 8),
      ...(code === 429 ? { retryAfterSeconds: 1 } : {}),
    });
    await sleep(chance.between(200, 1500));
    world.apiServer.faults.clear();
  },
  'api resets': async (world, chance) => {
    world.apiServer.faults.resetNext({ count: chance.between(1, 5) });
    await sleep(chance.between(200, 1500));
    world.apiServer.faults.clear();
  },
  'api watches': async ({ apiServer: { faults } }, chance) => {
    const turn = chance.pick([
      () => faults.cutWatches(),
      () => faults.endWatches(),
      () => faults.compact(),
      () => faults.sendToWatches('{"type":"ERR'),
      () => {
        faults.compact();
        faults.cutWatches();
      },
    ]);
    turn();
  },
  'api slow': async (world, chance) => {
    world.relay.setDelay(chance.between(100, 1200));
    await sleep(chance.between(1000, 4000));
    world.relay.setDelay(0);
  },
  'api connections cut': async (world) => world.relay.cut(),
  'disk full': (world, chance, mayKill) => whileDisk(world, { chance, mayKill }, fillDisk),
  'disk read-only': (world, chance, mayKill) => whileDisk(world, { chance, mayKill }, makeReadOnly),
  'clock step of the agent': async (world, chance) => world.setClock('agent', chance.pick(steps)),
  'clock step of the coordinators': async (world, chance) =>
    world.setClock('coordinators', chance.pick(steps)),
  'kill switch': async (world, chance) => {
    await setKillSwitch(world, true);
    await sleep(chance.between(500, 4000));
    await setKillSwitch(world, false);
  },
};

/** Milliseconds; an hour both ways, less than a lease, and right again. */
const steps = [-3_600_000, 3_600_000, -40_000, 40_000, 0];

async function whileDisk(
  world: World,
  { chance, mayKill }: { readonly chance: Chance; readonly mayKill: boolean },
  spoil: (world: World) => () => void,
): Promise<void> {
  const restore = spoil(world);
  try {
    await sleep(chance.between(200, 2000));
    if (chance.next() < 0.5 && mayKill) await world.restart('agent');
    await sleep(chance.between(200, 1000));
  } finally {
    restore();
  }
}

function fillDisk({ stateDir }: World): () => void {
  const ballast = join(stateDir, '.ballast');
  // Ends with ENOSPC when it is full, which is what is wanted.
  spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1M'], { stdio: 'ignore' });
  spawnSync('sh', ['-c', `cat /dev/zero >> '${ballast}'`], { stdio: 'ignore' });
  return () => rmSync(ballast, { force: true });
}

function makeReadOnly({ stateDir }: World): () => void {
  // EBUSY while the agent has a file open for writing, which is for moments only.
  for (let tries = 0; ; tries += 1) {
    try {
      mount('-o', 'remount,ro', stateDir);
      break;
    } catch (thrown) {
      if (tries > 200) throw thrown;
    }
  }
  return () => mount('-o', 'remount,rw', stateDir);
}

/** Through whichever coordinator answers; the bound is for a broken product. */
export async function setKillSwitch(world: World, engaged: boolean): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const url = world.coordinatorUrls[tries % world.coordinatorUrls.length];
    try {
      const { ok } = await fetch(`${url}/api/v1/killswitch`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ engaged, ...(engaged ? { reason: 'soak' } : {}) }),
        signal: AbortSignal.timeout(10_000),
      });
      if (ok) return;
    } catch {
      // The other one is asked next.
    }
    await sleep(200);
  }
  throw new Error('the kill switch could not be set');
}

/** One after the other until the signal, with pauses in which the programs come to work. */
export async function makeChaos(
  world: World,
  findings: Findings,
  options: {
    readonly chance: Chance;
    readonly signal: AbortSignal;
    /** From then on nothing is killed. */
    readonly sparing: AbortSignal;
    readonly tell: (line: string) => void;
  },
): Promise<void> {
  const { chance, signal, sparing, tell } = options;
  // Each once before any comes again: a short run sees as many kinds as it can.
  let left: [string, Action][] = [];
  while (!signal.aborted) {
    const mayKill = !sparing.aborted;
    if (!mayKill) left = left.filter(([name]) => name in disturbances);
    if (left.length === 0) left = Object.entries(mayKill ? { ...kills, ...disturbances } : disturbances);
    const [[name, act]] = left.splice(chance.between(0, left.length - 1), 1) as [[string, Action]];
    tell(name);
    await act(world, chance, mayKill);
    findings.count('actions', name);
    await sleep(chance.between(100, 3000));
  }
}
