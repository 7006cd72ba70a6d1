import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { faultOf } from '../coordinator/report/check.ts';
import { createRest } from '../coordinator/rig.ts';
import { root } from '../suite.ts';
import { xidrill as command } from './command.ts';
import { startServe } from './served.ts';

const served = await startServe(t, ['--speed', '50']);
const folder = mkdtempSync(join(tmpdir(), 'xidrill-run-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const rest = createRest(served.rest);

/** The program as a process; `kill` is SIGKILL. */
function start(argv: readonly string[], kubeconfig = served.kubeconfig) {
  const words = [join(root, 'coordinator/cli/main.ts'), ...argv, '--kubeconfig', kubeconfig];
  // Without the options that tap gives to every Node below it.
  const { NODE_OPTIONS: _tap, ...env } = process.env;
  const child = spawn(process.execPath, words, { env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null,
    out,
    err,
  }));
  return { ended, kill: () => child.kill('SIGKILL') };
}

const at = ['--kubeconfig', served.kubeconfig];
const xidrill = (...argv: readonly string[]) => command([...argv, ...at]);

function suiteFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const nightly = suiteFile(
  'nightly.yaml',
  `name: nightly
defaults:
  target: {selector: {names: [cpu-1]}}
drills:
  - name: kernel-path
    tags: [smoke]
    fault: {name: task-blocked}
  - name: broken
    tags: [gpu]
    fault: {name: xid, parameters: {xid: 79}}
    target: {selector: {names: [gpu-broken]}}
  - name: last
    tags: [gpu]
    fault: {name: xid, parameters: {xid: 109}}
    target: {selector: {names: [gpu-1]}}
`,
);

/** What of `…/injections` shows how often something was written. */
async function writesOf(experiment: string): Promise<readonly string[]> {
  const injections = await rest.injections(experiment);
  return injections.flatMap(({ status }) =>
    (status?.links ?? []).flatMap(({ receipt }) => (receipt === undefined ? [] : [receipt.orderId])),
  );
}

async function experimentsOf(run: string): Promise<readonly string[]> {
  const { out } = await xidrill('list', '-o', 'json');
  const { items } = JSON.parse(out) as {
    items: readonly { metadata: { name: string; annotations?: Record<string, string> } }[];
  };
  return items
    .filter(({ metadata }) => metadata.annotations?.['xidrill.dev/suite-run'] === run)
    .map(({ metadata }) => metadata.name);
}

t.test('a suite runs, and its reports are written', async (t) => {
  const dry = await xidrill('run', nightly, '--run', 'one', '--dry-run');
  t.match(dry, { code: 0, out: /^---\napiVersion: xidrill\.dev\/v1alpha1\nkind: Experiment[\s\S]*---/ });
  t.same(await experimentsOf('one'), [], 'a dry run creates nothing');

  const reports = ['junit', 'json', 'markdown', 'html'].map((one) => `${one}=${join(folder, `r.${one}`)}`);
  const words = ['run', nightly, '--run', 'one', ...reports.flatMap((one) => ['--report', one])];
  const done = await xidrill(...words);
  t.equal(done.code, 1, done.err);
  t.match(done.err, /run one of nightly; it goes on by: xidrill run .*nightly\.yaml --run one/);
  t.match(
    done.out,
    /✓ kernel-path +pass \(.*\n✗ broken +fail: .*arm64[\s\S]*✓ last +pass[\s\S]*2 of 3 drills passed; not passed: broken\./,
  );
  const files = reports.map((one) => one.split('=') as ['junit', string]);
  const texts = files.map(([, name]) => readFileSync(name, 'utf8'));
  for (const [index, [format]] of files.entries()) t.equal(faultOf(texts[index] ?? '', format), '', format);
  t.match(JSON.parse(texts[1] ?? ''), {
    kind: 'SuiteReport',
    verdict: 'fail',
    counts: { total: 3, pass: 2, fail: 1, other: 0, skipped: 0 },
    latencies: [{ link: 'order' }, { link: 'detection' }],
  });
  t.match(texts[0], /<testsuite id="1" name="broken" tests="3" failures="1" errors="0" skipped="2"/);
  t.match(texts[2], '```sh\naws eks update-addon', 'what to run');

  t.equal((await xidrill(...words)).code, 1, 'the same again');
  t.same(
    files.map(([, name]) => readFileSync(name, 'utf8')),
    texts,
    'the same bytes again',
  );
  t.equal((await experimentsOf('one')).length, 3, 'and nothing was created again');
});

t.test('tags, a stop, drills at the same time, what is refused', async (t) => {
  const stop = suiteFile(
    'stop.yaml',
    readFileSync(nightly, 'utf8').replace('drills:', 'stopOnFail: true\ndrills:'),
  );
  const stopped = await xidrill('run', stop, '--run', 'two', '--tag', 'gpu', '--report', 'junit=-');
  t.equal(stopped.code, 1, stopped.err);
  t.equal(faultOf(stopped.out, 'junit'), '', 'standard output is the report alone');
  t.match(stopped.out, /<skipped type="skipped" message="stopOnFail: broken ended with fail"/);
  t.equal((await experimentsOf('two')).length, 1);

  const parallel = suiteFile(
    'parallel.yaml',
    readFileSync(nightly, 'utf8').replace('drills:', 'parallel: 3\ndrills:'),
  );
  t.match(await xidrill('run', parallel, '--run', 'three', '--tag', 'smoke'), {
    code: 0,
    out: /1 of 1 drills passed\./,
  });

  const changed = suiteFile('changed.yaml', readFileSync(nightly, 'utf8').replace('xid: 109', 'xid: 95'));
  t.match(await xidrill('run', changed, '--run', 'one'), {
    code: 4,
    out: /✗ last +error: experiment nightly-last-\w+ of run one exists with another spec: the drill last was changed in the file/,
  });
  t.match(await xidrill('run', suiteFile('bad.yaml', 'name: a\ndrills: [{name: b, fault: {name: xidd}}]')), {
    code: 2,
    out: '',
    err: /^run: .*bad\.yaml:2: drills\[0\]\.fault\.name is "xidd"/,
  });
  t.match(JSON.parse((await xidrill('run', '--schema')).out), { properties: { drills: { type: 'array' } } });
  t.match(await xidrill('run', 'nothere.yaml'), { code: 2, err: /nothere\.yaml cannot be read/ });
  t.match(await xidrill('run', nightly, '--tag', 'none'), { code: 2, err: /allowed: gpu, smoke/ });
  t.match(await xidrill('run', nightly, '--timeout', 'soon'), { code: 2, err: /--timeout: "soon" is no/ });
  t.match(await xidrill('run', nightly, '--report', 'pdf=x'), { code: 2, err: /with one of json, junit/ });
  t.match(
    await xidrill(
      'run',
      suiteFile('new.yaml', 'name: new\ndrills: [{name: b, fault: {name: task-blocked}}]'),
      '--resume',
    ),
    { code: 2, err: /there is no run of new to resume/ },
  );
  t.match(await xidrill('run', parallel, '--resume'), { code: 1, err: /run t?h?r?e?e?o?n?e? ?of nightly/ });
});

/** Where a run is killed: at its n-th request of that kind, before the API server gets it or before the answer comes back. */
type Kill = {
  readonly what: string;
  readonly isIt: (of: IncomingMessage, body: string) => boolean;
  readonly before: boolean;
};

/** A way to the API server on which the program is killed at one place. */
async function killer(kill: Kill) {
  const program: { current?: ReturnType<typeof start> } = {};
  let isDone = false;
  const server = createServer((from, to) => {
    const isPlace = () => !isDone && kill.isIt(from, seen);
    let seen = '';
    from.on('data', () => {});
    const end = () => {
      isDone = true;
      program.current?.kill();
      to.destroy();
    };
    if (kill.before && isPlace()) return end();
    const on = request(
      `${served.apiServer}${from.url}`,
      { method: from.method, headers: from.headers },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          seen = Buffer.concat(parts).toString();
          if (!kill.before && isPlace()) return end();
          to.writeHead(answer.statusCode ?? 500, answer.headers);
          to.end(Buffer.concat(parts));
        });
      },
    );
    on.on('error', () => to.destroy());
    from.pipe(on);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const kubeconfig = join(folder, `${kill.what.replaceAll(' ', '-')}.kubeconfig`);
  writeFileSync(
    kubeconfig,
    readFileSync(served.kubeconfig, 'utf8').replaceAll(served.apiServer, `http://127.0.0.1:${port}`),
  );
  return { kubeconfig, program, done: () => isDone };
}

const isCreation = ({ method, url = '' }: IncomingMessage) =>
  method === 'POST' && url.includes('/experiments');
const isReading = ({ method, url = '' }: IncomingMessage) =>
  method === 'GET' && /\/experiments\/[^/?]+/.test(url);

const kills: readonly Kill[] = [
  { what: 'before the creation', isIt: isCreation, before: true },
  { what: 'after the creation', isIt: isCreation, before: false },
  { what: 'while it waits', isIt: isReading, before: true },
  {
    what: 'before the report',
    isIt: (of, body) => isReading(of) && body.includes('"phase":"Completed"'),
    before: false,
  },
];

t.test('killed at each step, it goes on and injects nothing twice', async (t) => {
  const file = suiteFile(
    'killed.yaml',
    'name: killed\ndrills:\n  - name: path\n    fault: {name: task-blocked}\n    target: {selector: {names: [cpu-1]}}\n',
  );
  for (const kill of kills) {
    const run = kill.what.replaceAll(' ', '-');
    const way = await killer(kill);
    way.program.current = start(
      ['run', file, '--run', run, '--report', `json=${join(folder, 'k.json')}`],
      way.kubeconfig,
    );
    const first = await way.program.current.ended;
    t.ok(way.done(), kill.what);
    t.equal(first.signal, 'SIGKILL', `${kill.what}: ${first.err}`);
    const again = await xidrill('run', file, '--run', run, '--report', `json=${join(folder, `${run}.json`)}`);
    t.equal(again.code, 0, `${kill.what}: ${again.out}${again.err}`);
    const names = await experimentsOf(run);
    t.equal(names.length, 1, `${kill.what}: one experiment`);
    t.equal((await writesOf(names[0] ?? '')).length, 1, `${kill.what}: one order`);
    t.match(JSON.parse(readFileSync(join(folder, `${run}.json`), 'utf8')), { verdict: 'pass' });
  }
});

t.test('Ctrl-C asks once whether to abort what runs', async (t) => {
  const long = suiteFile(
    'long.yaml',
    'name: long\ndefaults: {fault: {name: task-blocked}, target: {selector: {names: [cpu-1]}}}\ndrills:\n' +
      '  - name: quiet\n    expectation: {none: true, for: 1h}\n  - name: second\n',
  );
  const words = ['run', long, '--run', 'stopped', ...at];
  const late = await command([...words, '--timeout', '1s']);
  t.match(late, { code: 4, err: /--timeout 1s: what runs goes on/ });
  t.match(late.out, /✗ quiet +error: it was left while it ran/);
  const left = await command(words, { interruptAt: /quiet: .*Running/, answer: false });
  t.equal(left.code, 130, left.err);
  t.match(left.out, /✗ quiet +error: it was left while it ran[\s\S]*– second +not run: the run was left/);
  const aborted = await command(words, { interruptAt: /quiet: .*Running/, answer: true });
  t.equal(aborted.code, 4, aborted.err);
  t.match(aborted.out, /– quiet +aborted[\s\S]*– second +not run: the run was aborted/);
});

t.test('coverage: what is proven where', async (t) => {
  const text = await xidrill('coverage');
  t.equal(text.code, 0, text.err);
  t.match(text.out, /✓ proven +xid +Karpenter node pool gpu +.* ago +\S+ s +\d\/\d/);
  t.match(text.out, /✗ broken +xid +managed node group gpu-arm +never +– +0\/\d +fail: arm64-gate/);
  t.match(text.out, /Karpenter node pool gpu, 1 nodes: \d+ faults never drilled: /);
  const json = JSON.parse((await xidrill('coverage', '-o', 'json')).out);
  const answer = await rest.ask('GET', '/api/v1/coverage');
  t.strictSame(answer.body, json, 'the same by REST');
  const only = await rest.ask<{ cells: object[] }>('GET', '/api/v1/coverage?fault=xid&state=proven');
  t.match(only.body.cells, [{ fault: 'xid', lastProven: { parameters: { xid: 109 } } }]);
  t.equal(only.body.cells.length, 1);
  t.equal((await rest.ask('GET', '/api/v1/coverage?state=no')).status, 400);
  const metrics = await (await fetch(`${served.rest}/metrics`)).text();
  t.match(
    metrics,
    /xidrill_coverage_proven_timestamp_seconds\{fault="xid",pool="Karpenter node pool gpu"\} \d/,
  );
  t.match(metrics, /xidrill_coverage_detection_seconds\{fault="xid",pool="Karpenter node pool gpu"\} \d/);
  t.match(metrics, /xidrill_coverage_pairs\{state="broken"\} 1\n/);
});

t.test('the report of one experiment, by command line and by REST', async (t) => {
  const [name = ''] = await experimentsOf('two');
  for (const format of ['junit', 'markdown', 'html'] as const) {
    const shown = await xidrill('show', name, '-o', format);
    t.equal(faultOf(shown.out, format), '', format);
    t.equal(shown.code, 1, 'as the verdict');
    const answer = await fetch(`${served.rest}/api/v1/experiments/${name}/report?format=${format}`);
    t.equal(await answer.text(), shown.out, `${format}: the same by REST`);
    t.match(answer.headers.get('content-security-policy'), /^default-src 'none'; style-src 'sha256-/);
  }
  const asked = async (path: string, accept?: string) => {
    const answer = await fetch(
      `${served.rest}/api/v1/experiments/${path}`,
      accept === undefined ? {} : { headers: { accept } },
    );
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  };
  const json = await asked(`${name}/report`);
  t.equal(faultOf(json.text, 'json'), '');
  t.equal((await xidrill('report', name, '-o', 'json')).out, json.text);
  t.match(await asked(`${name}/report`, 'text/html'), { status: 200, type: /^text\/html/ });
  t.match(await asked(`${name}/report`, 'image/png'), { status: 406, text: /"code":"not_acceptable"/ });
  t.match(await asked(`${name}/report?format=pdf`), { status: 400, text: /json, junit, markdown, html/ });
  t.match(await asked('nothere/report'), { status: 404, text: /"code":"experiment_unknown"/ });
  t.match(await xidrill('report', name, '-o', 'pdf'), {
    code: 2,
    err: /none of json, junit, markdown, html/,
  });
  t.match(JSON.parse((await xidrill('report', '--schema')).out), {
    oneOf: [{ $ref: /ExperimentReport$/ }, {}],
  });
});
