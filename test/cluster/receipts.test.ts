import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { Errors } from 'typebox/value';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { createStore } from '../../coordinator/store/store.ts';
import { createSilentLog } from '../../shared/log.ts';
import type { OrderMethod } from '../../shared/schemas/order.ts';
import { Receipt } from '../../shared/schemas/receipt.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import { installStub, startEngine } from '../agent/dcgm/stub.ts';
import { startAgent } from '../agent/process.ts';
import { temporaryFolder } from '../agent/rig.ts';
import { established } from '../contract/cluster.ts';
import { linkStatus, simpleChain } from '../coordinator/chained.ts';
import { startControlPlane } from './controlplane/start.ts';

/**
 * The receipts of a real agent process, on every surface: what it answers at first and at the end is stored by a real
 * API server as it is. The host engine is the stand-in that answers as DCGM was recorded to.
 */
type Row = {
  readonly method: OrderMethod;
  readonly body: object;
  /** Of the first answer. */
  readonly state: 'running' | 'ended';
  readonly surfaces: readonly object[];
};

t.setTimeout(900_000);
const plane = await startControlPlane();
t.teardown(() => plane.stop());
const cluster = createClusterClient({
  kubeconfig: { path: plane.kubeconfigPath },
  userAgent: 'test',
  fieldManager: 'test',
  log: createSilentLog(),
});
for (const definition of customResourceDefinitions()) {
  await cluster.create('customresourcedefinitions', definition);
  await established(cluster, definition.metadata.name);
}
const store = createStore(cluster, 'default');

const engine = await startEngine(t, installStub(t));
await engine.nma(true);
const hostRoot = temporaryFolder(t);
const file = join(hostRoot, logFiles.ipamd);
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, '');
const agent = await startAgent(t, { seesAll: true, flags: ['--arm', '--host-root', hostRoot] });

const gpu = { pci: '00000000:01:00.0' };
const on = { gpu, engine: { pid: engine.pid } };
const text = `xidrill-${process.pid} a text`;
const held = { sustained: { beats: 1, failures: 0, ended: undefined } };
const rows: readonly Row[] = [
  {
    method: 'WriteKernelMessage',
    body: { text },
    state: 'ended',
    surfaces: [{ outcome: 'injected', readBack: { sequence: Number } }],
  },
  {
    method: 'WriteJournalMessage',
    body: { identifier: 'kubelet', text, times: 2, gapSeconds: 60 },
    state: 'running',
    // Written to the kernel log; the root of this agent has no journald to file it.
    surfaces: [
      {
        outcome: 'failed',
        code: 'journal_record_missing',
        readBack: { sequence: Number, journal: { state: 'missing', cause: 'no-journald' } },
      },
    ],
  },
  {
    method: 'AppendLogLine',
    body: { file: 'ipamd', text },
    state: 'ended',
    surfaces: [{ outcome: 'injected', readBack: { offset: 0 } }],
  },
  {
    method: 'InjectXid',
    body: { ...on, xid: 31, surfaces: ['kernel-log', 'dcgm'] },
    state: 'ended',
    surfaces: [
      { surface: 'kernel-log', outcome: 'injected' },
      { surface: 'dcgm', outcome: 'injected', engine: { pid: engine.pid, podUid: null } },
    ],
  },
  {
    method: 'InjectCascade',
    body: {
      gpu,
      surfaces: ['kernel-log'],
      steps: [
        { xid: 31, afterSeconds: 0 },
        { xid: 43, afterSeconds: 60 },
      ],
    },
    state: 'running',
    surfaces: [{ outcome: 'injected' }],
  },
  {
    method: 'InjectSxid',
    body: { sxid: 12028, switch: { index: 0, pci: '00000000:05:00.0' } },
    state: 'ended',
    surfaces: [{ outcome: 'injected' }, { outcome: 'injected' }, { outcome: 'injected' }],
  },
  {
    method: 'InjectDcgmField',
    body: { ...on, field: 319, value: 1 },
    state: 'ended',
    surfaces: [{ outcome: 'injected', readBack: { after: { watchers: Number } } }],
  },
  {
    method: 'InjectDcgmField',
    body: { ...on, field: 311, value: 1, forSeconds: 60, everySeconds: 20 },
    state: 'running',
    surfaces: [held],
  },
  {
    method: 'PauseHostEngine',
    body: { engine: { pid: engine.pid }, forSeconds: 60 },
    state: 'running',
    surfaces: [held],
  },
];

const experiment = await store.createExperiment('receipts', { fault: { name: 'xid' } }, {});
let injection = await store.createInjection(experiment, {
  experiment: 'receipts',
  node: 'n1',
  nodeUid: 'u',
  fault: 'xid',
  parameters: {},
  chain: simpleChain(
    { orderId: 'o', method: 'WriteKernelMessage', body: { text } },
    { kind: 'event', type: 'T', reason: 'R', withinSeconds: 1 },
  ),
});

/** The stored receipt, as another reader sees it. */
async function stored(receipt: Receipt): Promise<Receipt | undefined> {
  injection = await store.writeInjectionStatus(injection, {
    phase: 'Verifying',
    links: [linkStatus('order', 'reached', { receipt })],
  });
  return (await store.readInjection(injection.metadata.name))?.status?.links?.[0]?.receipt;
}

for (const [at, { method, body, state, surfaces }] of rows.entries())
  t.test(`${method} ${at}`, async (t) => {
    const orderId = `o${at}-${process.pid}`;
    const answer = await agent.call(method, { ...body, orderId });
    t.equal(answer.status, 200, answer.body.message);
    const first = answer.body as unknown as Receipt;
    t.same(Errors(Receipt, first), []);
    t.match(first, { state, surfaces });
    t.strictSame(await stored(first), first);
    if (state === 'ended') return;
    const last = (await agent.call('StopInjection', { orderId })).body as unknown as Receipt;
    t.not(last.state, 'running');
    t.strictSame(await stored(last), last);
  });

t.test('a refusal', async (t) => {
  const order = { ...on, field: 150, value: 48, orderId: `refused-${process.pid}` };
  const { status, body } = await agent.call('InjectDcgmField', order);
  t.equal(status, 400);
  const refusal = {
    reason: 'field_value_no_effect',
    message: String(body.message),
    details: { ...body.details },
  };
  injection = await store.writeInjectionStatus(injection, {
    phase: 'Injecting',
    links: [linkStatus('order', 'missed', { refusal })],
  });
  t.strictSame((await store.readInjection(injection.metadata.name))?.status?.links?.[0]?.refusal, refusal);
});
