import { createFakeHostFiles } from '../../../../agent/host-files/fake.ts';
import type { Expectation } from '../../../../coordinator/catalogue/expectation.ts';
import { findNmaVersion } from '../../../../coordinator/catalogue/nma/versions.ts';
import { baselineOf, findReaction } from '../../../../coordinator/drill/judge.ts';
import { previewPlan } from '../../../../coordinator/preview/preview.ts';
import type { NmaOptions } from '../../../../coordinator/rehearsal/nma/actor.ts';
import { conditionsOf, nodeEventFrom, type Observation } from '../../../../coordinator/view/node.ts';
import { isoFromMillis } from '../../../../shared/clock.ts';
import { fieldById } from '../../../../shared/dcgm-fields/find.ts';
import { scriptOf } from '../../../../shared/orders/script.ts';
import { logFiles } from '../../../../shared/surfaces/log-file.ts';
import type { Part } from '../../../../shared/surfaces/table.ts';
import { dcgmOver } from '../../../agent/dcgm/simulated.ts';
import { drill } from './drill.ts';

type Options = Partial<NmaOptions> & { readonly nma: string };

/** How often the judge looks. */
const lookMs = 1000;

export type Rehearsal = ReturnType<typeof rehearse>;

/** A node with an NMA version and the engine of its chart, on which orders are carried out as an agent does. */
export function rehearse(t: Parameters<typeof drill>[0], { nma: version, ...options }: Options) {
  const found = findNmaVersion(version);
  const files = createFakeHostFiles({ files: Object.values(logFiles) });
  const rig = drill(t, version, { files, engineVersion: found.row.engineVersion, ...options });
  const { clock, cluster, engine, kernelLog, nma } = rig;
  const dcgm = dcgmOver(clock, engine);

  const write = {
    'kernel-log': ({ level, text }: Extract<Part, { surface: 'kernel-log' }>) => kernelLog.write(level, text),
    journal: ({ identifier, text }: Extract<Part, { surface: 'journal' }>) =>
      kernelLog.write('err', `${identifier}: ${text}`),
    'log-file': ({ path, text }: Extract<Part, { surface: 'log-file' }>) => files.append(path, text),
    dcgm: async (part: Extract<Part, { surface: 'dcgm' }>) => {
      const host = await dcgm.choose();
      const gpuId = dcgm.gpuIdFor(host, { uuid: 'GPU-0' });
      await dcgm.inject({ ...part, engine: host, gpuId, field: fieldById(part.field) });
    },
    'host-engine': async ({ forMs }: Extract<Part, { surface: 'host-engine' }>) => {
      engine.suspend();
      void clock.sleep(forMs).then(() => engine.resume());
    },
  };

  async function look(): Promise<Observation> {
    const node = await cluster.read('nodes', { name: 'n1' });
    return {
      conditions: node === undefined ? [] : conditionsOf(node),
      events: cluster.events().map(nodeEventFrom),
    };
  }

  return {
    ...rig,
    dcgm,
    look,
    plan: (fault: string, parameters: Readonly<Record<string, unknown>>) =>
      previewPlan({
        spec: { fault: { name: fault, parameters } },
        node: 'n1',
        orderId: `${version}-${fault}`,
        marker: 'abc123',
        context: { nma: found },
      }),
    async carryOut(order: Parameters<typeof scriptOf>[0]): Promise<void> {
      let atMs = 0;
      for (const part of scriptOf(order, {})) {
        await clock.advance(part.afterMs - atMs);
        atMs = part.afterMs;
        await (write[part.surface] as (part: Part) => Promise<unknown>)(part);
      }
    },
    /** Until the judge finds it, within its window; undefined: it did not come. */
    async secondsUntil(expectation: Expectation, since: Observation): Promise<number | undefined> {
      const baseline = baselineOf(expectation, since, isoFromMillis(clock.now()));
      for (let waited = 0; waited <= expectation.withinSeconds * 1000; waited += lookMs) {
        if (findReaction(expectation, baseline, await look()) !== undefined) return waited / 1000;
        await clock.advance(lookMs);
      }
      return undefined;
    },
    /** As after a drill: the engine forgets its Xids, then NMA its conditions and the limits of its events. */
    async restore(): Promise<void> {
      engine.resume();
      engine.restart();
      await nma.restart();
      await rig.settle();
    },
  };
}
