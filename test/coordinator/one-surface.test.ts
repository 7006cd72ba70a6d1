import { cpSync, globSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import ts from 'typescript';
import type { FaultRow } from '../../coordinator/catalogue/row.ts';
import { root } from '../suite.ts';

const path = '/var/log/messages';
const line = 'error mounting "/x/etc-hosts" to rootfs at "/etc/hosts"';

/** A surface that the product does not have, as somebody would add it: a row and a file for each of the two programs. */
const added: Readonly<Record<string, string>> = {
  'shared/surfaces/syslog.ts': `
    import Type from 'typebox';
    import { OrderId } from '../schemas/order-members.ts';
    import { method, type SurfaceRow } from './row.ts';

    export type SyslogPart = { readonly surface: 'syslog'; readonly afterMs: number; readonly line: string };

    const WriteSyslogLine = Type.Object(
      { orderId: Type.Optional(OrderId), tag: Type.String({ maxLength: 16 }), text: Type.String({ maxLength: 900 }) },
      { $id: 'WriteSyslogLine', additionalProperties: false },
    );

    export const syslog = {
      name: 'syslog',
      title: 'a line of syslog',
      through: 'node',
      readBack: Type.Object(
        { bytesBefore: Type.Integer(), found: Type.String() },
        { additionalProperties: false },
      ),
      methods: {
        WriteSyslogLine: method(WriteSyslogLine, (body): readonly SyslogPart[] => [
          { surface: 'syslog', afterMs: 0, line: \`\${body.tag}: \${body.text}\` },
        ]),
      },
    } as const satisfies SurfaceRow<SyslogPart>;`,
  'agent/injection/surfaces/syslog.ts': `
    import type { SurfaceWriter } from './writer.ts';

    export const syslog: SurfaceWriter<'syslog'> = ({ afterMs, line }, { hostFiles }) => ({
      surface: 'syslog',
      afterMs,
      undo: 'stays until it is rotated away',
      async prepare() {
        await hostFiles.assertAppendable('${path}');
        return {
          async write() {
            const { offset, line: found } = await hostFiles.append('${path}', line);
            return { written: line, readBack: { bytesBefore: offset, found }, notes: [] };
          },
        };
      },
    });`,
  'coordinator/catalogue/surfaces/syslog.ts': `
    import { parseCall } from '../../../shared/orders/call.ts';
    import { type ChannelWork, fillText } from '../channels/channel.ts';
    import { matchLogRules } from '../nma/log-rules.ts';
    import { nmaOnLog } from '../readers/logs.ts';
    import type { SurfaceWork } from './work.ts';

    const source = { kind: 'file', path: '${path}' } as const;

    const lines: ChannelWork<{ readonly kind: 'syslog'; readonly text: string }> = {
      order: (work) => parseCall('WriteSyslogLine', { tag: 'made-up', text: fillText(work.channel.text, work) }),
      reactions: (work, { nma }) =>
        matchLogRules(nma, source, fillText(work.channel.text, work)).map(({ rule, reaction }) => ({
          surface: 'syslog',
          reaction,
          via: 'log-file-rule',
          plugin: rule.plugin,
          afterMs: 0,
        })),
    };

    export const syslog = {
      writes: ({ afterMs, line }, on) => [
        {
          afterSeconds: afterMs / 1000,
          where: source.path,
          what: line,
          because: [],
          readers: [nmaOnLog(source, line, on)],
        },
      ],
      kept: () => [{ what: 'the line of syslog', until: 'it is rotated away' }],
      channels: { syslog: lines },
      channelOf: (order) =>
        order.method === 'WriteSyslogLine' ? { channel: { kind: 'syslog', text: order.body.text } } : undefined,
    } as const satisfies SurfaceWork<'syslog'>;`,
};

/** The tables: each gets an import and an entry. */
const tables: Readonly<Record<string, readonly [before: string, after: string]>> = {
  'shared/surfaces/table.ts': ['hostEngine] as const', 'hostEngine, syslog] as const'],
  'agent/injection/surfaces/table.ts': [
    "'host-engine': hostEngine,",
    "'host-engine': hostEngine,\n  syslog,",
  ],
  'coordinator/catalogue/surfaces/table.ts': [
    "'host-engine': hostEngine,",
    "'host-engine': hostEngine,\n  syslog,",
  ],
};

/** A copy of the sources; `entered`: the tables that know the surface. */
function copyWith(folder: string, entered: readonly string[]): string {
  for (const name of ['agent', 'coordinator', 'shared', 'test', 'charts', 'package.json', 'tsconfig.json'])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [file, source] of Object.entries(added)) writeFileSync(join(folder, file), source);
  for (const file of entered) {
    const [before, after] = tables[file] ?? ['', ''];
    const source = readFileSync(join(folder, file), 'utf8');
    if (!source.includes(before)) throw new Error(`${file} has no ${before}`);
    writeFileSync(
      join(folder, file),
      `import { syslog } from './syslog.ts';\n${source.replace(before, after)}`,
    );
  }
  return folder;
}

/** What the compiler says about the tables and the new files of a copy. */
function complaints(folder: string): readonly string[] {
  const { config } = ts.readConfigFile(join(folder, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
  const program = ts.createProgram({
    rootNames: ['agent/main.ts', 'coordinator/main.ts'].map((file) => join(folder, file)),
    options,
  });
  return [...Object.keys(tables), ...Object.keys(added)].flatMap((file) =>
    program
      .getSemanticDiagnostics(program.getSourceFile(join(folder, file)))
      .map(({ messageText }) => `${file}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
  );
}

const folder = t.testdir({ all: {}, some: {} });
const copy = copyWith(join(folder, 'all'), Object.keys(tables));

t.test('three files and an entry in each of three tables, and nothing else', async (t) => {
  const names = globSync('{agent,coordinator,shared,test,charts}/**/*.*', { cwd: copy });
  const differing = names
    .filter((file) => statSync(join(copy, file)).isFile())
    .flatMap((file) => {
      const lines = readFileSync(join(copy, file), 'utf8').split('\n');
      const known = added[file] === undefined ? readFileSync(join(root, file), 'utf8').split('\n') : [];
      const fresh = lines.filter((text) => !known.includes(text)).length;
      return fresh === 0 ? [] : [[file, added[file] === undefined ? fresh : 'a new file']];
    });
  t.strictSame(Object.fromEntries(differing), {
    ...Object.fromEntries(Object.keys(tables).map((file) => [file, 2])),
    ...Object.fromEntries(Object.keys(added).map((file) => [file, 'a new file'])),
  });
});

t.test('the compiler is content, and names the programs that lack it', async (t) => {
  t.strictSame(complaints(copy), []);
  const found = complaints(copyWith(join(folder, 'some'), ['shared/surfaces/table.ts']));
  for (const program of ['agent/injection', 'coordinator/catalogue'])
    t.ok(
      found.some(
        (text) => text.startsWith(`${program}/surfaces/table.ts: `) && text.includes("'syslog' is missing"),
      ),
      `${program}: ${found.join('\n')}`,
    );
});

/** Not among the catalogue's rows: faults are a table of their own. */
const fault = {
  name: 'syslog-mount',
  title: 'A line of syslog',
  surfaces: ['syslog'],
  parameters: {},
  channel: { kind: 'syslog', text: `${line} ({marker})` },
  risk: 'none',
  undo: 'none',
  needsGpu: false,
  sources: ['this test'],
} as unknown as FaultRow;

t.test('an order is planned, carried out, read back, watched and judged', async (t) => {
  const fromCopy = (file: string) => import(pathToFileURL(join(copy, file)).href);
  const { cpuNode, only, startCoordinator, startRig } = (await fromCopy(
    'test/coordinator/rig.ts',
  )) as typeof import('./rig.ts');
  const { faults } = (await fromCopy(
    'coordinator/catalogue/catalogue.ts',
  )) as typeof import('../../coordinator/catalogue/catalogue.ts');
  const rig = await startRig(t, { rows: [cpuNode('cpu-1')] });
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'made-up' },
  });
  const { rest } = await startCoordinator(t, rig, { namespace: 'made-up', rows: [...faults, fault] });
  const body = { name: 'drill', fault: { name: fault.name }, target: only('cpu-1') };

  const plan = await rest.ask('POST', '/api/v1/experiments?dryRun=All', body);
  t.match(plan.body, {
    targets: [
      {
        order: { method: 'WriteSyslogLine', body: { tag: 'made-up', text: String } },
        writes: [
          {
            surface: 'syslog',
            where: path,
            what: /^made-up: error mounting/,
            readers: [{ consumer: 'NMA 1.6.4', accepted: true, because: /EtcHostsMountFailed/ }],
          },
        ],
        reactions: [{ surface: 'syslog', appearsAs: 'event', reason: 'EtcHostsMountFailed' }],
        latched: [{ what: 'the line of syslog', until: 'it is rotated away' }],
        refusals: [],
        confidence: { level: 'high' },
      },
    ],
  });

  const answer = await rest.drill(body);
  t.match(answer, {
    verdict: 'pass',
    links: [{ link: 'order' }, { link: 'detection', nodes: { reached: 1 } }],
  });
  const [injection] = await rest.injections('drill');
  t.match(injection?.status?.receipt, {
    method: 'WriteSyslogLine',
    state: 'ended',
    surfaces: [
      {
        surface: 'syslog',
        outcome: 'injected',
        written: /^made-up: /,
        readBack: { bytesBefore: 0, found: /^made-up: error mounting/ },
        undo: 'stays until it is rotated away',
      },
    ],
  });
  const metrics = await (await fetch(`${rig.node('cpu-1').url}/metrics`)).text();
  t.match(metrics, 'xidrill_injections_total{surface="syslog",result="injected"} 1');
});
