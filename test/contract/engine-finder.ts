import type { Test } from 'tap';
import type { EngineFinder } from '../../agent/engines/port.ts';

export type EngineFinderUnderTest = {
  readonly finder: EngineFinder;
  /** Starts another engine and answers with its pid. */
  readonly start: () => Promise<number>;
  readonly stop: (pid: number) => Promise<void>;
};

/** Runs over every adapter of `EngineFinder`. Other engines may be on the machine: only the started ones count. */
export async function engineFinderContract(
  t: Test,
  make: (t: Test) => Promise<EngineFinderUnderTest>,
): Promise<void> {
  const { finder, start, stop } = await make(t);
  const first = await start();
  const second = await start();

  await t.test('every engine is there once, in the order of the pids', async (t) => {
    const pids = (await finder.find()).map((engine) => engine.pid);
    t.ok(pids.includes(first) && pids.includes(second), 'both are found');
    t.same(
      pids,
      [...new Set(pids)].toSorted((a, b) => a - b),
    );
  });

  await t.test('who sees engines is not blind', async (t) => {
    t.equal(await finder.whyBlind(), undefined);
  });

  await t.test('an engine says where it listens and what it is', async (t) => {
    const engines = (await finder.find()).filter(({ pid }) => pid === first || pid === second);
    for (const engine of engines) {
      t.match(engine, { listening: true, commandLine: Array, executable: /nv-hostengine$/, problems: [] });
      t.match(engine.address, /^(unix:\/\/\/.+|vsock:\/\/.+|.+:\d+)$/);
    }
    t.equal(new Set(engines.map(({ address }) => address)).size, 2, 'each at an address of its own');
  });

  await t.test('an engine that went away is gone without an error', async (t) => {
    await stop(first);
    const pids = (await finder.find()).map((engine) => engine.pid);
    t.notOk(pids.includes(first), 'the stopped one');
    t.ok(pids.includes(second), 'the other one stays');
  });
}
