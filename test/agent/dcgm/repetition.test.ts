import t from 'tap';
import { createHostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { createManualClock } from '../../manual-clock.ts';
import { gpus } from '../rig.ts';
import { dcgmOver } from './simulated.ts';

/** Volatile double-bit errors. */
const field = findField(311);
const undo = [{ field: field.id, value: '0', afterMs: 0, offsetSeconds: 331 }];

async function setUp() {
  const clock = createManualClock();
  const engine = createHostEngine({
    clock,
    version: '4.6.0',
    gpus: gpus.map(({ dcgmId, uuid, pci }) => ({ id: dcgmId, name: 'NVIDIA A10G', uuid, pci })),
    pid: 100,
  });
  const connection = engine.connect('127.0.0.1:5555');
  connection.enableHealth();
  connection.watchFields('watch', [112, 856, 857]);
  const dcgm = dcgmOver(clock, engine);
  const found = await dcgm.choose();
  const order = { engine: found, gpuId: 0, field, value: 5, offsetSeconds: 330 };
  const hold = { engine: found, gpuId: 0, field: field.id, undo };
  return { clock, engine, dcgm, order, hold };
}

t.test('a held sample is taken back with one right behind it', async (t) => {
  const { clock, engine, dcgm, order, hold } = await setUp();
  const { after } = await dcgm.inject(order);
  await clock.advance(100_400);
  t.equal(engine.healthCheck().length, 1, 'it holds while real readings would have replaced it');
  t.match(await dcgm.endHold(hold), `taken back with 311 = 0 behind the sample of ${after.newest}`);
  const { newest } = (await dcgm.introspect(order.engine, 0, field.id)) ?? {};
  t.equal(Date.parse(newest ?? '') - Date.parse(after.newest ?? ''), 1000, 'no longer than it has to be');
  t.same(engine.healthCheck(), []);
});

t.test('one that has passed is left alone', async (t) => {
  const { clock, dcgm, order, hold } = await setUp();
  await dcgm.inject(order);
  await clock.advance(340_000);
  const before = await dcgm.introspect(order.engine, 0, field.id);
  t.match(await dcgm.endHold(hold), /no injected sample left/);
  t.same(await dcgm.introspect(order.engine, 0, field.id), before);
});

t.test('several values come in their order', async (t) => {
  const { dcgm, order, hold } = await setUp();
  const { after } = await dcgm.inject(order);
  const [first = undo[0]] = undo;
  const two = [first, { ...first, value: '0', offsetSeconds: 333 }] as typeof undo;
  t.match(await dcgm.endHold({ ...hold, undo: two }), /311 = 0, 311 = 0/);
  const { newest } = (await dcgm.introspect(order.engine, 0, field.id)) ?? {};
  t.equal(Date.parse(newest ?? '') - Date.parse(after.newest ?? ''), 3000);
});

t.test('a step that is due waits a moment for its slot, one that is not is refused', async (t) => {
  const { clock, dcgm, order } = await setUp();
  const xid = { ...order, field: findField(230), value: 48, offsetSeconds: undefined };
  await dcgm.inject(xid);
  await clock.advance(5000);
  const refused = { name: 'Refusal', reason: 'alert_slot_busy', details: { waitMs: 1000 } };
  await t.rejects(dcgm.inject(xid), refused);
  const due = dcgm.inject(xid, undefined, { isDue: true });
  await clock.advance(999);
  t.match(await dcgm.introspect(order.engine, 0, 230), { samples: 1 });
  await clock.advance(1);
  t.match((await due).after, { samples: 2 });
  await clock.advance(3000);
  await t.rejects(dcgm.inject(xid, undefined, { isDue: true }), { ...refused, details: { waitMs: 3000 } });
});

t.test('a beat is written whether or not the engine tells it, and takes the slot', async (t) => {
  const { clock, dcgm, order } = await setUp();
  const xid = { ...order, field: findField(230), value: 48, offsetSeconds: undefined };
  const { after } = await dcgm.inject(xid);
  await clock.advance(4000);
  t.match(await dcgm.inject(xid, undefined, { before: after }), { before: after, after: { samples: 2 } });
  await clock.advance(4000);
  await t.rejects(dcgm.inject(xid), {
    name: 'Refusal',
    reason: 'alert_slot_busy',
    details: { waitMs: 2000 },
  });
});
