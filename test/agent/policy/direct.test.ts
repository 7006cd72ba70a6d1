import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createDirectPolicy } from '../../../agent/policy/direct.ts';
import { createMethods } from '../../../agent/service.ts';
import type { Gate } from '../../../shared/http/gate.ts';
import { startRig, temporaryFolder } from '../rig.ts';

/** Lets everybody in, under the name that they show as their token. */
const gate: Gate = { admit: async (header) => header?.slice('Bearer '.length) };
const coordinator = 'system:serviceaccount:xidrill:xidrill-coordinator';
const as = (user: string) => ({ authorization: `Bearer ${user}` });

const text = { text: 'xidrill: one line' };
const xid = { gpu: { index: 0 }, xid: 31, surfaces: ['kernel-log', 'dcgm'] };
const refused = {
  status: 403,
  body: { code: 'permission_denied', details: { reason: 'policy_refused', remedy: /agent\.direct/ } },
};

t.test(
  'L7 without a policy file only the coordinator injects; others read, and end what goes on',
  async (t) => {
    const rig = await startRig(t, { gate, direct: createDirectPolicy({ file: undefined, coordinator }) });
    const pause = { forSeconds: 900, orderId: 'o1' };
    t.match(await rig.call('PauseHostEngine', pause, as(coordinator)), { body: { state: 'running' } });
    const writing = createMethods({} as never)
      .filter(({ verb, name }) => verb === 'inject' && name !== 'StopInjection' && name !== 'SetKillSwitch')
      .map(({ name }) => name);
    t.ok(writing.length >= 8, writing.join(', '));
    const bodies: Readonly<Record<string, object>> = {
      WriteKernelMessage: text,
      InjectXid: xid,
      InjectCascade: { gpu: { index: 0 }, surfaces: ['kernel-log'], steps: [{ xid: 48, afterSeconds: 0 }] },
      InjectSxid: { sxid: 12028, switch: { index: 0, pci: '0000:05:00.0' } },
      InjectDcgmField: { gpu: { index: 0 }, field: 150, value: 101 },
      WriteJournalMessage: { identifier: 'kubelet', text: 'a text' },
      AppendLogLine: { file: 'ipamd', text: 'a text' },
      PauseHostEngine: { forSeconds: 1 },
    };
    const before = rig.kernelLog.records().length;
    for (const method of writing) t.match(await rig.call(method, bodies[method], as('ann')), refused, method);
    t.equal(rig.kernelLog.records().length, before, 'nothing was written');
    t.match(await rig.call('SetKillSwitch', { engaged: false }, as('ann')), refused, 'nor a lease renewed');
    t.equal((await rig.call('GetReceipt', { orderId: 'o1' }, as('ann'))).status, 200);
    t.match(await rig.call('StopInjection', { orderId: 'o1' }, as('ann')), { status: 200 });
    t.equal((await rig.call('GetInventory', {}, as('ann'))).status, 200);
    t.match(await rig.call('SetKillSwitch', { engaged: true }, as('ann')), { status: 200 });
    t.match(await rig.call('SetKillSwitch', { engaged: false }, as('ann')), refused);
    t.match(await rig.call('SetKillSwitch', { engaged: false }, as(coordinator)), { status: 200 });
    t.match(await rig.call('WriteKernelMessage', text, as(coordinator)), { status: 200 });
  },
);

t.test('a policy names users, methods and surfaces, and counts from the next call on', async (t) => {
  const file = join(temporaryFolder(t), 'policy.json');
  const write = (...direct: object[]) => writeFileSync(file, JSON.stringify({ direct }), { mode: 0o644 });
  write({ users: ['ann'], methods: ['InjectXid'], surfaces: ['kernel-log'] });
  const rig = await startRig(t, { gate, direct: createDirectPolicy({ file, coordinator }) });
  const onlyLog = { ...xid, surfaces: ['kernel-log'] };
  t.match(await rig.call('InjectXid', onlyLog, as('ann')), { status: 200 });
  const { body } = await rig.call('InjectXid', xid, as('ann'));
  t.match(body, {
    ...refused.body,
    message: /"ann" may not call InjectXid on kernel-log and dcgm .*policy\.json/,
  });
  t.match(body.details, { remedy: /"methods":\["InjectXid"\],"surfaces":\["kernel-log","dcgm"\]/ });
  t.match(await rig.call('InjectXid', onlyLog, as('ben')), refused, 'another user');
  t.match(await rig.call('WriteKernelMessage', text, as('ann')), refused, 'another method');
  write({ methods: ['InjectXid', 'SetKillSwitch'] });
  t.match(await rig.call('InjectXid', xid, as('ben')), { status: 200 }, 'everybody, on all surfaces');
  t.match(await rig.call('SetKillSwitch', { engaged: false }, as('ben')), { status: 200 });
  t.match(await rig.call('WriteKernelMessage', text, as('ben')), refused);
});

t.test('the inventory says what its caller may do', async (t) => {
  const file = join(temporaryFolder(t), 'policy.json');
  const rig = await startRig(t, { gate, direct: createDirectPolicy({ file, coordinator }) });
  const seenBy = async (user: string) =>
    ((await rig.call('GetInventory', {}, as(user))).body as { caller?: object }).caller;
  const nothing = { user: 'ann', coordinator, methods: [] };
  t.match(await seenBy('ann'), { ...nothing, because: /ENOENT/, remedy: /policy\.json/ });
  writeFileSync(file, '{"direct":[{"users":["ben"],"methods":["InjectXid"]}]}');
  t.match(await seenBy('ann'), { ...nothing, because: /"ann" may not call/, remedy: /agent\.direct/ });
  t.same(await seenBy('ben'), { user: 'ben', coordinator, methods: ['InjectXid'] });
  t.match(await seenBy(coordinator), { user: coordinator, methods: /InjectXid/ });
});

t.test('a policy that cannot be used allows nothing, and says why', async (t) => {
  const file = join(temporaryFolder(t), 'policy.json');
  const rig = await startRig(t, { gate, direct: createDirectPolicy({ file, coordinator }) });
  const rows = [
    [undefined, /ENOENT/],
    ['', /JSON/],
    ['null', /cannot be used/],
    ['{"direct":[{"methods":["Inject"]}]}', /\/direct\/0\/methods/],
    ['{"direct":[{"methods":["InjectXid"],"surface":["dcgm"]}]}', /\/direct\/0/],
    ['{"direct":[{"methods":["WriteKernelMessage"],"users":[]}]}', /\/direct\/0\/users/],
  ] as const;
  for (const [content, because] of rows) {
    if (content !== undefined) writeFileSync(file, content);
    const { status, body } = await rig.call('WriteKernelMessage', text, as('ann'));
    t.equal(status, 403, String(content));
    t.match(body, { message: because, details: { reason: 'policy_refused', value: file } });
  }
  writeFileSync(file, '{"direct":[{"methods":["WriteKernelMessage"]}]}');
  chmodSync(file, 0o666);
  t.match(await rig.call('WriteKernelMessage', text, as('ann')), {
    status: 403,
    body: { message: /mode 0666/ },
  });
  chmodSync(file, 0o644);
  t.match(await rig.call('WriteKernelMessage', text, as('ann')), { status: 200 });
});

t.test('where callers have no names a policy is for all of them', async (t) => {
  const rig = await startRig(t, { direct: createDirectPolicy({ file: undefined, coordinator: undefined }) });
  t.match(await rig.call('WriteKernelMessage', text), {
    status: 403,
    body: { details: { reason: 'policy_refused', remedy: /--coordinator-user/ } },
  });
});
