import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createFindings } from './findings.ts';
import { auditMemory } from './memory.ts';
import { type Life, startLife } from './processes.ts';

type Grows = { readonly heap?: number; readonly files?: number; readonly resident?: number };

/** A life of so many minutes, seen every 5 s; what it takes grows by so much a minute, with saw teeth of garbage on top. */
function life(name: string, minutes: number, { heap = 0, files = 0, resident = 150 }: Grows) {
  const ages = Array.from({ length: minutes * 12 }, (_, index) => (index + 1) * 5_000);
  const live = ages.map((ageMs, index) => ({
    ageMs,
    liveMiB: 75 + (index % 3) * 0.3 + (heap * ageMs) / 60_000,
  }));
  return {
    name,
    heap: () => live,
    samples: ages.map((ageMs, index) => ({
      ageMs,
      // Between two collections.
      residentMiB: resident + (index % 10) * 5,
      descriptors: Math.round(30 + (index % 4) + (files * ageMs) / 60_000),
    })),
  };
}

const rows: Readonly<
  Record<string, { readonly lives: readonly ReturnType<typeof life>[]; readonly found?: RegExp }>
> = {
  'flat, with garbage': { lives: [life('agent', 30, {}), life('coordinator-1', 30, {})] },
  'too short for a slope': { lives: [life('agent', 1.5, { heap: 20 })] },
  'what is remembered for good': { lives: [life('coordinator-1', 40, { heap: 0.4 })] },
  'compiled once': { lives: [life('coordinator-1', 2, { heap: 2 })] },
  'a leak in a short run': {
    lives: [life('coordinator-2', 2, { heap: 20 })],
    found: /coordinator-2 grew by 20/,
  },
  'a slow leak in a long run': { lives: [life('agent', 20, { heap: 1 })], found: /agent grew by 1\.0/ },
  'open files': {
    lives: [life('agent-other', 20, { files: 1 })],
    found: /open files of agent-other grew by 1\.0/,
  },
  'too much at once': { lives: [life('agent', 1, { resident: 500 })], found: /took 545 MiB/ },
  'not a program of ours': { lives: [life('nma', 20, { heap: 5, files: 5, resident: 600 })] },
};

for (const [name, { lives, found }] of Object.entries(rows))
  t.test(name, async (t) => {
    const findings = createFindings(() => {});
    auditMemory(findings, lives);
    t.equal(findings.violations.length, found === undefined ? 0 : 1, findings.violations.join('\n'));
    if (found !== undefined) t.match(findings.violations[0], found);
  });

t.test('what a real program refers to is noted, and its garbage is not', async (t) => {
  const heapOf = async (script: string): Promise<number> => {
    const heapFile = join(t.testdir({}), `${script.length}.jsonl`);
    const loaded = new URL('./live-heap.mjs', import.meta.url).href;
    const started: Life = startLife(
      'program',
      [process.execPath, '--expose-gc', '--import', loaded, '-e', script],
      {
        env: { XIDRILL_SOAK_HEAP_MS: '50' },
        heapFile,
        onDeath: (dead, how) => t.fail(`${how}: ${dead.errors()}`),
      },
    );
    while (!started.isGone() && started.heap().length < 5) await sleep(50);
    await started.kill();
    return started.heap().at(-1)?.liveMiB ?? 0;
  };
  const all =
    "const all = []; for (let n = 0; n < 100; n += 1) all.push('x'.repeat(n) + new Array(131072).fill(n));";
  const bytes = 'const all = Array.from({ length: 100 }, () => Buffer.alloc(1048576));';
  for (const made of [all, bytes]) {
    const garbage = await heapOf(`{ ${made} } setInterval(() => {}, 1000);`);
    const kept = await heapOf(`${made} globalThis.all = all; setInterval(() => {}, 1000);`);
    t.ok(kept - garbage > 20, `${kept} against ${garbage} MiB`);
  }
});
