import t from 'tap';
import { inventoryFrom, receiptFrom } from '../../../coordinator/agents/answers.ts';
import { Inventory } from '../../../shared/schemas/inventory.ts';
import { Receipt } from '../../../shared/schemas/receipt.ts';
import { engine, inventory } from '../diagnosis/builder.ts';
import { refusal as wanted } from '../rig.ts';

const asked = { node: 'n1', url: 'http://a', method: 'GetInventory' };
const read = (answer: unknown) => inventoryFrom(answer, asked);
const invalid = (message: RegExp) => ({ reason: 'agent_answer_invalid', message });

t.test('M8 an agent of another version is understood', (t) => {
  const ours = inventory();
  t.same(read(ours), ours);
  const [gpu] = ours.gpus;
  const [host] = ours.engines;
  const newer = {
    ...ours,
    gpus: [{ ...gpu, fabric: 'up' }],
    engines: [{ ...host, modules: ['policy'], nma: { ...host?.nma, since: 'now' } }],
    capabilities: [...ours.capabilities, { name: 'nvswitch', available: true }],
    logFiles: [...ours.logFiles, { path: '/var/log/new', state: 'rotated' }],
    switches: [],
  };
  t.same(read(newer), ours, 'what only a newer one knows is left out');
  const { unreadableGpus: _, ...older } = engine({ unreadableGpus: [] });
  t.same(read({ ...ours, engines: [older] }), ours, 'what an older one does not know is absent');
  t.end();
});

t.test('M8 half an inventory is none: it would prove that something is missing', (t) => {
  const ours = inventory();
  const { logFiles: _, identities: __, ...older } = ours;
  const rows: readonly (readonly [answer: unknown, because: RegExp])[] = [
    [null, /^the answer of the agent of n1 to GetInventory is not a JSON object$/],
    ['hello', /not a JSON object/],
    [[], /not a JSON object/],
    [{}, /cannot read: the answer must have required properties node, agentVersion/],
    [older, /cannot read: the answer must have required properties identities, logFiles/],
    [JSON.parse(JSON.stringify({ ...ours, engines: undefined })), /required properties engines/],
    [{ ...ours, engines: [{ pid: 7 }] }, /cannot read: \/engines\/0/],
    [{ ...ours, engines: [engine(), null] }, /cannot read: \/engines\/1/],
    [{ ...ours, gpus: {} }, /cannot read: \/gpus/],
    [{ ...ours, node: 'n2' }, /not for what was asked: node is "n2", not "n1"/],
    [{ ...ours, node: 'n1 ' }, /not for what was asked/],
    [{ ...ours, architecture: 'x'.repeat(20_000) }, /a text of 20000 characters in \/architecture/],
    [{ ...ours, ['y'.repeat(20_000)]: 1 }, /a name of 20000 characters/],
    [{ ...ours, gpus: JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) }, /nested more than 32 deep/],
    [{ ...ours, gpus: [{ ...ours.gpus[0], powerWatts: JSON.parse('1e999') }] }, /number in .* Infinity/],
  ];
  for (const [answer, message] of rows) t.throws(() => read(answer), invalid(message), message.source);
  t.throws(
    () => read(older),
    wanted({ details: { agentVersion: ours.agentVersion, remedy: /same version/ } }),
  );
  t.end();
});

const order = { orderId: 'o-1', method: 'WriteKernelMessage', body: { text: 'x' } } as const;
const written: Receipt = {
  orderId: 'o-1',
  node: 'n1',
  method: 'WriteKernelMessage',
  asked: { text: 'x' },
  state: 'ended',
  acceptedAt: '2026-03-04T05:06:07.000Z',
  endedAt: '2026-03-04T05:06:07.100Z',
  replayed: false,
  surfaces: [
    {
      surface: 'kernel-log',
      outcome: 'injected',
      at: '2026-03-04T05:06:07.050Z',
      readBack: { sequence: 7, record: '11,7,1,-;x', priority: 11, microseconds: 1 },
      undo: 'none',
      notes: [],
    },
  ],
};
const receiptOf = (answer: unknown) => receiptFrom(answer, { ...asked, method: order.method }, order);

t.test('M8 a receipt of another version is understood', (t) => {
  const [surface] = written.surfaces;
  t.same(receiptOf(written), written);
  const newer = {
    ...written,
    signature: 'abc',
    surfaces: [{ ...surface, readBack: { ...surface?.readBack, cpu: 3 }, device: '/dev/kmsg' }],
  };
  t.same(receiptOf(newer), written, 'what only a newer one knows is left out');
  t.end();
});

t.test('M8 a receipt that proves nothing of this order is none', (t) => {
  const [surface] = written.surfaces;
  const { readBack: _, ...bare } = surface ?? {};
  const withSurface = (more: object) => ({ ...written, surfaces: [{ ...surface, ...more }] });
  const sustained = { everySeconds: 1, until: 'soon', beats: 1, failures: 0, lastAt: written.acceptedAt };
  const rows: readonly (readonly [what: string, answer: unknown, because: RegExp])[] = [
    ['nothing', {}, /cannot read: the answer must have required properties orderId, node/],
    ['a list', [written], /not a JSON object/],
    ['another order', { ...written, orderId: 'o-2' }, /orderId is "o-2", not "o-1"/],
    ['another node', { ...written, node: 'n2' }, /node is "n2", not "n1"/],
    [
      'another method',
      { ...written, method: 'InjectXid' },
      /method is "InjectXid", not "WriteKernelMessage"/,
    ],
    ['another surface', withSurface({ surface: 'dcgm' }), /surface is "dcgm", not "kernel-log"/],
    ['a surface of a newer agent', withSurface({ surface: 'bmc' }), /\/surfaces\/0\/surface/],
    ['no surface', { ...written, surfaces: [] }, /says that the order is ended, and names no surface/],
    ['surfaces of no list', { ...written, surfaces: { length: 1 } }, /\/surfaces/],
    ['no evidence', { ...written, surfaces: [bare] }, /without what was read back: \/surfaces\/0\/readBack/],
    ['evidence of no kind', withSurface({ readBack: {} }), /\/surfaces\/0\/readBack/],
    ['no time', { ...written, acceptedAt: 'yesterday' }, /time in \/acceptedAt that is none: "yesterday"/],
    ['a time of the write that is none', withSurface({ at: '' }), /time in \/surfaces\/0\/at/],
    ['an end that is none', withSurface({ sustained }), /time in \/surfaces\/0\/sustained\/until/],
    [
      'a number that no API server takes',
      withSurface({ readBack: { ...surface?.readBack, sequence: 1e300 } }),
      /number in \/surfaces\/0\/readBack\/sequence/,
    ],
    ['a long text', withSurface({ undo: 'x'.repeat(20_000) }), /a text of 20000 characters/],
    [
      'a deep one',
      { ...written, asked: { a: JSON.parse(`${'{"a":'.repeat(99)}1${'}'.repeat(99)}`) } },
      /nested more/,
    ],
  ];
  for (const [what, answer, message] of rows) t.throws(() => receiptOf(answer), invalid(message), what);
  t.end();
});

type Variant = {
  readonly type?: string;
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Variant>>;
  readonly anyOf?: readonly Variant[];
  readonly items?: Variant;
};

/** Whether no value fits both, members that are not known left out. */
function areApart(left: Variant, right: Variant): boolean {
  if (left.type !== right.type) return true;
  if (left.const !== undefined && right.const !== undefined) return left.const !== right.const;
  const { required: ofLeft = [], properties: atLeft = {} } = left;
  const { required: ofRight = [], properties: atRight = {} } = right;
  const lacks = (names: readonly string[], known: object) => names.some((name) => !(name in known));
  if (lacks(ofLeft, atRight) && lacks(ofRight, atLeft)) return true;
  return ofLeft.some((name) => {
    const [one, other] = [atLeft[name], atRight[name]];
    return ofRight.includes(name) && one && other && one.const !== other.const && areApart(one, other);
  });
}

/** Each union below a schema, with where it stands. */
function unionsIn(schema: Variant, path: string): readonly (readonly [string, readonly Variant[]])[] {
  const own = schema.anyOf === undefined ? [] : [[path, schema.anyOf] as const];
  const below = [
    ...Object.entries(schema.properties ?? {}),
    ...Object.entries(schema.anyOf ?? {}),
    ...(schema.items ? [['items', schema.items] as const] : []),
  ];
  return [...own, ...below.flatMap(([name, part]) => unionsIn(part, `${path}/${name}`))];
}

t.test('no value of an answer fits two variants of a union: they are tried in their order', (t) => {
  const unions = [...unionsIn(Inventory as Variant, 'inventory'), ...unionsIn(Receipt as Variant, 'receipt')];
  t.ok(unions.length > 20, `${unions.length} unions`);
  for (const [path, variants] of unions)
    for (const [index, variant] of variants.entries())
      for (const other of variants.slice(index + 1)) t.ok(areApart(variant, other), path);
  const wide = { type: 'object', required: ['a'], properties: { a: {} } };
  const narrow = { type: 'object', required: ['a', 'b'], properties: { a: {}, b: {} } };
  t.notOk(areApart(wide, narrow), 'and it would show');
  t.end();
});
