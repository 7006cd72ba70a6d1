import t from 'tap';
import { Refusal } from '../../../shared/errors.ts';
import {
  acceptsRisk,
  engineNamed,
  gpuNamed,
  isForced,
  lastingSeconds,
  parseCall,
  scheduledMs,
  xidsNamed,
} from '../../../shared/orders/call.ts';
import type { MethodCall } from '../../../shared/schemas/order.ts';

const gpu = { index: 0 };
const plain: MethodCall = { method: 'WriteKernelMessage', body: { text: 'x' } };

t.test('what an order names', async (t) => {
  const xid = parseCall('InjectXid', {
    gpu,
    xid: 79,
    surfaces: ['dcgm'],
    engine: { pid: 7 },
    force: true,
    acceptRisk: true,
  });
  t.same(gpuNamed(xid), gpu);
  t.same(engineNamed(xid), { pid: 7 });
  t.ok(isForced(xid));
  t.ok(acceptsRisk(xid));
  t.same(
    [gpuNamed(plain), engineNamed(plain), isForced(plain), acceptsRisk(plain)],
    [undefined, undefined, false, false],
  );
});

t.test('the Xids of an order', async (t) => {
  const field = (field: number | string, value: number | string): MethodCall => ({
    method: 'InjectDcgmField',
    body: { gpu, field, value },
  });
  const rows: readonly (readonly [MethodCall, readonly number[]])[] = [
    [parseCall('InjectXid', { gpu, xid: 31, surfaces: ['dcgm'] }), [31]],
    [cascade(48, 63), [48, 63]],
    [field(230, 79), [79]],
    [field('DCGM_FI_DEV_XID_ERRORS', '79'), [79]],
    [field(150, 79), []],
    [plain, []],
  ];
  for (const [call, expected] of rows) t.same(xidsNamed(call), expected, JSON.stringify(call));
});

t.test('when the last part of an order is due, and how long it lasts', async (t) => {
  const lines = (times?: number, gapSeconds?: number): MethodCall => ({
    method: 'AppendLogLine',
    body: {
      file: 'cron',
      text: 'x',
      ...(times === undefined ? {} : { times }),
      ...(gapSeconds === undefined ? {} : { gapSeconds }),
    },
  });
  const rows: readonly (readonly [MethodCall, number, number | undefined])[] = [
    [plain, 0, undefined],
    [{ method: 'PauseHostEngine', body: { forSeconds: 60 } }, 0, 60],
    [lines(6, 10), 50_000, undefined],
    [lines(6), 0, undefined],
    [lines(undefined, 10), 0, undefined],
    [cascade(48, 63), 6500, undefined],
  ];
  for (const [call, due, lasts] of rows)
    t.same([scheduledMs(call), lastingSeconds(call)], [due, lasts], JSON.stringify(call));
});

t.test('a body that the agent would not take is refused by the name of its member', async (t) => {
  const rows = [
    [() => parseCall('InjectXid', { gpu, xid: 0, surfaces: ['dcgm'] }), 'xid'],
    [() => parseCall('PauseHostEngine', { forSeconds: 60, engine: {} }), 'engine'],
    [
      () => parseCall('InjectXid', { gpu, xid: 1, surfaces: ['dcgm'], mig: { gpuInstance: -1 } }),
      'mig.gpuInstance',
    ],
    [() => parseCall('WriteKernelMessage', {}), 'body'],
  ] as const;
  for (const [parse, field] of rows) {
    const thrown = caught(parse);
    t.match(thrown, { reason: 'parameter_invalid', details: { field } });
    t.type(thrown, Refusal);
  }
});

function caught(run: () => unknown): unknown {
  try {
    return run();
  } catch (thrown) {
    return thrown;
  }
}

function cascade(...xids: number[]): MethodCall {
  const steps = xids.map((xid, index) => ({ xid, afterSeconds: index * 6.5 }));
  return { method: 'InjectCascade', body: { gpu, surfaces: ['dcgm'], steps } };
}
