import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { slotWaitMs } from '../../../coordinator/run/send.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { Receipt, SurfaceResult } from '../../../shared/schemas/receipt.ts';
import { gpuNode, httpAgents, only, type Rig, startCoordinator, startRig, until } from '../rig.ts';

const xidField = 230;

/** How many values the node's engine was given for its only GPU. */
function injectedInto(rig: Rig, node: string): number | undefined {
  return rig.node(node).engines[0]?.facts(0, xidField)?.samples;
}

/** Takes the GPU's slot for Xids until `offsetSeconds` and a slot more have passed. */
function occupy(node: string, offsetSeconds: number) {
  return {
    fault: { name: 'dcgm-field', parameters: { field: xidField, value: 43, offsetSeconds } },
    target: only(node),
  };
}

t.test('the host engine takes one alert of a kind in a while', async (t) => {
  const nodes = ['pair', 'ahead', 'due', 'cut', 'race'];
  const rig = await startRig(t, { rows: nodes.map((name) => gpuNode(name)) });
  const { rest } = rig;
  const xid = (node: string, number: number, more: object = {}) => ({
    name: `${node}-${number}`,
    fault: { name: 'xid', parameters: { xid: number } },
    target: only(node),
    ...more,
  });
  const statusOf = async (name: string) => (await rest.injections(name))[0]?.status;
  const notesOf = async (name: string) =>
    ((await statusOf(name))?.timeline ?? []).filter(({ text }) => text.startsWith('alert_slot_busy'));

  await t.test('two Xids right after one another', async (t) => {
    for (const number of [31, 109]) {
      t.match(await rest.drill(xid('pair', number)), { verdict: 'pass' }, `Xid ${number}`);
      t.match((await statusOf(`pair-${number}`))?.receipt, {
        replayed: false,
        surfaces: [{ outcome: 'injected' }],
      });
    }
    t.equal(injectedInto(rig, 'pair'), 2);
  });

  await t.test('a slot that is taken for long: the second one waits and passes', async (t) => {
    t.match(await rest.drill(occupy('ahead', 90)), { verdict: 'pass' });
    t.match(await rest.drill(xid('ahead', 109)), { verdict: 'pass' });
    const status = await statusOf('ahead-109');
    const notes = await notesOf('ahead-109');
    t.ok(notes.length > 0, 'that it waited is told');
    t.match(notes, [{ kind: 'note', source: 'agent of ahead', text: /XID alert.*nothing was written/ }]);
    t.ok(
      Date.parse(status?.links?.[0]?.baseline?.at ?? '') > Date.parse(notes[0]?.at ?? ''),
      'compared with what was then',
    );
    t.match(status?.receipt, { replayed: false, surfaces: [{ outcome: 'injected' }] });
    t.notOk(status?.refusal);
    t.equal(status?.timeline?.filter(({ kind }) => kind === 'ordered').length, 1);
    t.equal(injectedInto(rig, 'ahead'), 2, 'exactly two');
  });

  await t.test('a slot that is taken until after the deadline', async (t) => {
    t.match(await rest.drill(occupy('due', 600)), { verdict: 'pass' });
    const answer = await rest.drill(xid('due', 109, { expectation: { within: '30s' }, deadline: '30s' }));
    t.match(answer, {
      verdict: 'error',
      explanation: {
        code: 'deadline-passed',
        summary: /before anything was written/,
        evidence: [{ source: /deadlineAt/ }, { observed: /would drop this XID alert/ }],
      },
    });
    t.ok((await notesOf('due-109')).length > 0);
    t.equal(injectedInto(rig, 'due'), 1);
  });

  await t.test('an abort does not wait for the slot', async (t) => {
    t.match(await rest.drill(occupy('cut', 600)), { verdict: 'pass' });
    await rest.create(xid('cut', 109, { deadline: '1h' }));
    await until(t, 'it waits', async () => (await notesOf('cut-109')).length > 0);
    await rest.ask('POST', '/api/v1/experiments/cut-109/abort');
    t.match(await rest.ended('cut-109'), {
      verdict: 'aborted',
      explanation: { code: 'aborted', summary: /before anything was written/ },
    });
    t.equal(injectedInto(rig, 'cut'), 1);
  });

  await t.test('an order that was begun is not given again', async (t) => {
    await rig.cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'drills' },
    });
    const orders: string[] = [];
    const agents: Agents = {
      ...httpAgents(rig),
      order: async (_node, { orderId }) => {
        orders.push(orderId);
        throw busy([failed]);
      },
    };
    const other = await startCoordinator(t, rig, { namespace: 'drills', agents });
    t.match(await other.rest.drill(xid('race', 109)), {
      verdict: 'error',
      explanation: { code: 'injection-refused', summary: /surface dcgm failed before anything was written/ },
    });
    t.equal(orders.length, 1);
  });
});

t.test('how long is waited', async (t) => {
  t.equal(slotWaitMs(busy([refused])), 3250, 'as long as the agent says, and a little');
  t.equal(slotWaitMs(busy([refused], 600_000)), 60_000, 'asked again in between');
  for (const waitMs of [undefined, 0, Number.NaN, '3'])
    t.equal(slotWaitMs(new Refusal('alert_slot_busy', 'busy', { waitMs })), 6250, `not said: ${waitMs}`);
  t.equal(slotWaitMs(busy([refused, failed])), undefined, 'its receipt stands');
  t.equal(slotWaitMs(new Refusal('dcgmi_timeout', 'slow', { waitMs: 3000 })), undefined);
});

const refused: SurfaceResult = {
  surface: 'dcgm',
  outcome: 'refused',
  code: 'alert_slot_busy',
  message: 'the engine would drop this XID alert',
  undo: 'nothing was written',
  notes: [],
};
const failed: SurfaceResult = { ...refused, outcome: 'failed', undo: 'restart the engine' };

function busy(surfaces: SurfaceResult[], waitMs: number | undefined = 3000): Refusal {
  const receipt: Receipt = {
    orderId: 'o-1',
    node: 'race',
    method: 'InjectXid',
    asked: {},
    state: 'ended',
    acceptedAt: '2026-03-04T05:06:07.000Z',
    endedAt: '2026-03-04T05:06:07.000Z',
    replayed: false,
    surfaces,
  };
  return new Refusal('alert_slot_busy', 'the engine would drop this XID alert', { waitMs, receipt });
}
