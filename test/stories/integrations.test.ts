import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { cliFlags } from '../../shared/cli-bundle.ts';
import { root } from '../suite.ts';
import { startServe } from './served.ts';

/** The files of charts/xidrill/examples, with what is read of them here. */
const folder = join(root, 'charts/xidrill/examples');
const example = <T>(name: string): T => parse(readFileSync(join(folder, name), 'utf8')) as T;

const served = await startServe(t, ['--speed', '60']);
const work = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-integrations-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
// As in the image, where it is on PATH.
writeFileSync(
  join(work, 'xidrill'),
  `#!/bin/sh\nexec "${process.execPath}" ${cliFlags.join(' ')} "${join(root, 'coordinator/cli/main.ts')}" "$@"\n`,
  { mode: 0o755 },
);
const { NODE_OPTIONS: _tap, ...inherited } = process.env;
const env = { ...inherited, PATH: `${work}:${process.env.PATH}`, KUBECONFIG: served.kubeconfig };

type Ran = { readonly code: number; readonly out: string };
const run = (file: string, args: readonly string[]) =>
  new Promise<Ran>((resolve) => {
    execFile(file, args, { cwd: work, env }, (thrown, out, err) =>
      resolve({ code: thrown === null ? 0 : Number(thrown.code), out: out + err }),
    );
  });

type Header = { readonly name: string; readonly value?: string };
type Http = {
  readonly url: string;
  readonly method?: string;
  readonly headers?: readonly Header[];
  readonly body?: string;
  readonly successCondition?: string;
};

/** The request of an example, sent to `serve`, which asks for no token. */
async function send({ url, method = 'GET', headers = [], body }: Http) {
  const given = headers.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
  return fetch(url.replace('https://xidrill-coordinator.xidrill.svc:8475', served.rest), {
    method,
    headers: Object.fromEntries(given),
    ...(body === undefined ? {} : { body }),
  });
}

/** The statuses of `response.statusCode == A || response.statusCode == B`, which is all that the examples use of Argo's language. */
const statusesOf = (condition = '') =>
  condition.split('||').map((part) => Number(/^ *response\.statusCode == (\d+) *$/.exec(part)?.[1]));

const passedUrl = (name: string) => `${served.rest}/api/v1/experiments/${name}/passed`;

type Workflow = {
  readonly spec: {
    readonly templates: readonly {
      readonly name: string;
      readonly http?: Http;
      readonly container?: { readonly command: string[]; readonly args: string[] };
    }[];
  };
};

t.test('every example is in this test and in its table', async (t) => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  const [page, own] = [
    readFileSync(join(folder, 'README.md'), 'utf8'),
    readFileSync(join(root, 'test/stories/integrations.test.ts'), 'utf8'),
  ];
  t.ok(files.length >= 6);
  for (const file of files) t.ok(page.includes(`\`${file}\``) && own.includes(`'${file}'`), file);
});

t.test('Argo Workflows: http templates', async (t) => {
  const { templates } = example<Workflow>('argo-http.yaml').spec;
  for (const { name, http } of templates) {
    if (http === undefined) continue;
    const response = await send(http);
    const body = await response.text();
    t.ok(statusesOf(http.successCondition).includes(response.status), `${name}: ${response.status} ${body}`);
  }
  t.equal(templates.filter(({ http }) => http !== undefined).length, 3);
});

t.test('Argo Workflows: a container step', async (t) => {
  const { container } = example<Workflow>('argo-container.yaml').spec.templates[0] ?? {};
  const [program = '', ...words] = [...(container?.command ?? []), ...(container?.args ?? [])];
  t.match(await run(program, words), { code: 0, out: /✓ pass/ });
  t.equal((await fetch(passedUrl('argo-container'))).status, 200);
});

t.test('Chaos Mesh: a Task and a StatusCheck that is 200 only when good', async (t) => {
  type Chaos = {
    spec: {
      templates: {
        templateType: string;
        task?: { container: { command: string[] } };
        statusCheck?: { http: Http & { criteria: { statusCode: string } } };
      }[];
    };
  };
  const { templates } = example<Chaos>('chaos-mesh.yaml').spec;
  const task = templates.find(({ templateType }) => templateType === 'Task')?.task;
  const check = templates.find(({ templateType }) => templateType === 'StatusCheck')?.statusCheck;
  if (check === undefined) throw new Error('there is no StatusCheck');
  t.equal((await send(check.http)).status, 404, 'before it was made');
  const [program = '', ...words] = task?.container.command ?? [];
  t.match(await run(program, words), { code: 0 });
  t.equal(String((await send(check.http)).status), check.http.criteria.statusCode);
});

t.test('a drill that runs, or did not pass, is not 200', async (t) => {
  const post = (body: object) =>
    fetch(`${served.rest}/api/v1/experiments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const target = { selector: { names: ['gpu-broken'] } };
  await post({ name: 'broken', fault: { name: 'xid', parameters: { xid: 79 } }, target });
  const ended = await fetch(passedUrl('broken'), { headers: { prefer: 'wait=300' } });
  t.equal(ended.status, 409);
  t.match(await ended.json(), { code: 'experiment_not_passed', detail: /^experiment broken: fail: .*arm64/ });
  const none = { none: true, for: '20m' };
  await post({
    name: 'goes-on',
    fault: { name: 'xid', parameters: { xid: 43 } },
    expectation: none,
    target: { selector: { names: ['gpu-1'] } },
  });
  const running = await fetch(passedUrl('goes-on'));
  t.equal(running.status, 409);
  t.match(await running.json(), { code: 'experiment_running' });
  await fetch(`${served.rest}/api/v1/experiments/goes-on/abort`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
});

t.test('Litmus: probes', async (t) => {
  type Probe = {
    name: string;
    'cmdProbe/inputs'?: { command: string; comparator: { criteria: string; value: string } };
    'httpProbe/inputs'?: { url: string; method: { get: { criteria: string; responseCode: string } } };
  };
  type Engine = { spec: { experiments: { spec: { probe: Probe[] } }[] } };
  const probes = example<Engine>('litmus.yaml').spec.experiments[0]?.spec.probe ?? [];
  t.equal(probes.length, 3);
  for (const probe of probes) {
    const { 'cmdProbe/inputs': cmd, 'httpProbe/inputs': http } = probe;
    if (cmd !== undefined) {
      t.equal(cmd.comparator.criteria, 'contains');
      const { out } = await run('sh', ['-c', cmd.command]);
      t.ok(out.includes(cmd.comparator.value), `${probe.name}: ${out}`);
    }
    if (http !== undefined) {
      t.equal(http.method.get.criteria, '==');
      t.equal(String((await send({ url: http.url })).status), http.method.get.responseCode, probe.name);
    }
  }
});

t.test('GitHub Actions: a step with a report', async (t) => {
  type Actions = { jobs: { drill: { steps: { name: string; run?: string; with?: { path: string } }[] } } };
  const { steps } = example<Actions>('github-actions.yaml').jobs.drill;
  // GitHub runs a step of a container with sh -e.
  const ran = await run('sh', ['-e', '-c', steps[0]?.run ?? '']);
  t.equal(ran.code, 0, ran.out);
  t.match(readFileSync(join(work, steps[1]?.with?.path ?? ''), 'utf8'), /<testsuites?[\s\S]*kernel-log/);
});

t.test('a CronJob', async (t) => {
  type Cron = {
    spec: {
      jobTemplate: {
        spec: { template: { spec: { containers: { command: string[]; args: string[] }[] } } };
      };
    };
  };
  const [container] = example<Cron>('cronjob.yaml').spec.jobTemplate.spec.template.spec.containers;
  const [program = '', ...words] = [...(container?.command ?? []), ...(container?.args ?? [])];
  t.match(await run(program, words), { code: 0, out: /✓ pass/ });
});
