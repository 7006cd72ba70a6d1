import t from 'tap';
import { refreshUntilEnd } from '../../../agent/injection/refresh.ts';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { exampleParameters } from '../../../coordinator/catalogue/parameters.ts';
import type { FaultRow } from '../../../coordinator/catalogue/row.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { Refusal } from '../../../shared/errors.ts';
import { scriptOf } from '../../../shared/orders/script.ts';
import type { Part } from '../../../shared/surfaces/table.ts';
import { type Rehearsal, rehearse } from '../catalogue/nma/rehearsal.ts';

type Value = Extract<Part, { surface: 'dcgm' }>;

/** Writes a value as the agent does, beats included; answers when the first writing is done. */
async function write({ clock, dcgm }: Rehearsal, part: Value, signal: AbortSignal): Promise<void> {
  const order = { ...part, engine: await dcgm.choose(), gpuId: 0, field: findField(part.field) };
  const { repeat, steps } = await dcgm.assertInjectable(order);
  const startMs = clock.now();
  const first = dcgm.inject(order, signal);
  await clock.advance(steps.at(-1)?.afterMs ?? 0);
  let { after: before } = await first;
  if (repeat === undefined) return;
  void refreshUntilEnd({
    clock,
    startMs,
    everyMs: repeat.everyMs,
    untilMs: startMs + repeat.forMs,
    signal,
    missed: () => undefined,
    async write() {
      ({ after: before } = await dcgm.inject(order, signal, { before }));
      return true;
    },
  });
}

const rows = faults.filter(({ channel }) => channel.kind === 'dcgm-value');
/** With the engines 4.5.2 and 4.6.1; what each has no check for yet, or no reading of (nma.md §1.4, §1.5). */
const versions: readonly (readonly [nma: string, silent: readonly string[]])[] = [
  ['1.6.7', ['health-nvlink-lifetime', 'health-row-remap-limit']],
  ['1.7.2', []],
];

/** Checks that came with Blackwell; the simulated GPU is older, so that nothing is to follow. */
const onBlackwell = ['health-nvlink-recovered', 'health-nvlink-not-recovered'];
const rowsHere = rows.filter(({ name }) => !onBlackwell.includes(name));

function planned(rehearsal: Rehearsal, row: FaultRow): ReturnType<Rehearsal['plan']> | undefined {
  try {
    return rehearsal.plan(row.name, exampleParameters(row));
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.reason === 'expectation_invalid') return undefined;
    throw thrown;
  }
}

for (const [nma, silent] of versions) {
  t.test(`every value of the catalogue with NMA ${nma} comes as planned, within its window`, async (t) => {
    const unheard: string[] = [];
    for (const row of rowsHere) {
      const rehearsal = rehearse(t, { nma });
      await rehearsal.settle();
      // Past the first ticks, and nowhere near the next ones.
      await rehearsal.clock.advance(400_000);
      const before = await rehearsal.look();
      const plan = planned(rehearsal, row);
      if (plan === undefined) {
        unheard.push(row.name);
        continue;
      }
      const [part] = scriptOf(plan.order, {});
      if (part?.surface !== 'dcgm') throw new RangeError(`${row.name} writes no value`);
      const ended = new AbortController();
      await write(rehearsal, part, ended.signal);
      const took = await rehearsal.secondsUntil(plan.expectation, before);
      t.ok(took !== undefined, `${row.name}: ${plan.expectation.reason} after ${took} s`);
      ended.abort();
      if (part.reach !== 'policy') continue;
      await rehearsal.clock.advance(60_000);
      const { reason = '' } = plan.expectation;
      const told = [rehearsal.gpu()?.message ?? '', ...rehearsal.messages()].join('\n');
      const once = plan.expectation.kind === 'event' ? `^1 ${reason}: ` : '^detected ';
      t.equal(told.match(new RegExp(once, 'gm'))?.length, 1, `${row.name}: told once`);
    }
    t.same(unheard.toSorted(), silent);
  });
}
