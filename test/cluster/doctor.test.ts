import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import type { DoctorReport } from '../../coordinator/doctor/report.ts';
import { bundleCli, cliFlags } from '../../shared/cli-bundle.ts';
import { createSilentLog } from '../../shared/log.ts';
import { auditPolicy, createAuditReader } from '../bench/scale/audit.ts';
import { causes, createFleet, kinds } from '../coordinator/doctor/fleet.ts';
import { kubeconfig, startControlPlane } from './controlplane/start.ts';
import { kubectlOf } from './kubectl.ts';

t.setTimeout(900_000);

/** Of each kind. */
const count = 60;

/** The bundled command as a process of its own, with what it took. */
async function doctor(program: string, file: string, ...argv: readonly string[]) {
  const began = performance.now();
  const atExit = 'process.on("exit",()=>process.stderr.write("maxRSS "+process.resourceUsage().maxRSS))';
  // Without the options that tap gives to every Node below it: its loader is no part of the command.
  const { NODE_OPTIONS: _tap, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [
      ...cliFlags,
      `--import=data:text/javascript,${encodeURIComponent(atExit)}`,
      ...[program, 'doctor', '--kubeconfig', file, ...argv],
    ],
    { env, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const memory = Number(/maxRSS (\d+)$/.exec(err)?.[1] ?? Number.NaN) / 1024;
  return { code, out, err, seconds: (performance.now() - began) / 1000, memory };
}

t.test('300 GPU nodes of five kinds, seen with the rights to look', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-doctor-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { file: program } = await bundleCli(join(folder, 'xidrill.mjs'));
  const auditLog = join(folder, 'audit.log');
  const policyFile = join(folder, 'audit-policy.json');
  writeFileSync(auditLog, '');
  const tokens = { viewer: randomBytes(24).toString('hex'), stranger: randomBytes(24).toString('hex') };
  const { rules: _, ...policy } = auditPolicy('') as { rules: unknown };
  const users = Object.keys(tokens);
  writeFileSync(
    policyFile,
    JSON.stringify({ ...policy, rules: [{ level: 'Metadata', users }, { level: 'None' }] }),
  );
  const plane = await startControlPlane({
    apiserverArgs: [
      `--audit-log-path=${auditLog}`,
      `--audit-policy-file=${policyFile}`,
      // It would taint every new node as not ready, and nothing here takes that away.
      '--disable-admission-plugins=TaintNodesByCondition',
    ],
    tokens: Object.entries(tokens).map(([user, token]) => `${token},${user},${user}`),
  });
  t.teardown(() => plane.stop());
  const kubectl = kubectlOf(plane);
  // What the role `view` is made of; the controller that puts it together does not run here.
  const view = '--clusterrole=system:aggregate-to-view';
  for (const user of users)
    await kubectl(['create', 'clusterrolebinding', `view-${user}`, view, `--user=${user}`]);
  // `view` has no nodes: they are in no namespace.
  await kubectl(['create', 'clusterrole', 'see-nodes', '--verb=get,list', '--resource=nodes']);
  await kubectl(['create', 'clusterrolebinding', 'see-nodes', '--clusterrole=see-nodes', '--user=viewer']);
  const files = Object.fromEntries(
    Object.entries(tokens).map(([user, token]) => {
      const file = join(folder, `${user}.kubeconfig`);
      writeFileSync(file, kubeconfig(plane.url, readFileSync(plane.caFile), token));
      return [user, file];
    }),
  ) as Record<keyof typeof tokens, string>;
  const cluster = createClusterClient({
    kubeconfig: { path: plane.kubeconfigPath },
    userAgent: 'test',
    fieldManager: 'test',
    log: createSilentLog(),
  });
  const counts = { healthy: count, arm: count, role: count, tainted: count, karpenter: count };
  await createFleet(cluster, counts, Date.now());
  const audited = createAuditReader(auditLog);
  audited();

  const { code, out, err, seconds, memory } = await doctor(program, files.viewer, '-o', 'json');
  t.equal(code, 1, err);
  const report = JSON.parse(out) as DoctorReport;
  t.equal(report.nodes.length, kinds.length * count);
  for (const kind of kinds)
    for (const { node, links } of report.nodes.filter((one) => one.node.startsWith(`${kind}-`)))
      for (const link of ['detection', 'taint'] as const)
        t.strictSame(
          links[link].causes.map((cause) => cause.code),
          causes[kind][link],
          `${node} ${link}`,
        );
  t.equal(report.groups.filter(({ link }) => link === 'detection').length, 4);
  t.same(report.notRead, []);
  const requests = audited();
  t.same(
    requests.filter(({ verb }) => verb !== 'get' && verb !== 'list'),
    [],
    'nothing was written',
  );
  t.ok(requests.length > 0 && requests.length <= 12, `${requests.length} requests, pages included`);
  t.ok(memory < 150, `${memory.toFixed(0)} MiB at most`);
  t.comment(`300 nodes: ${seconds.toFixed(1)} s, ${memory.toFixed(0)} MiB, ${requests.length} requests`);

  const without = await doctor(program, files.stranger, '-o', 'json');
  t.equal(without.code, 3, 'who may not see nodes gets the question, and what to ask for');
  t.match(JSON.parse(without.out), {
    result: 'unknown',
    notRead: [{ what: 'list nodes', command: 'kubectl auth can-i list nodes --all-namespaces' }],
  });
  const asking = await doctor(program, files.viewer, '--exec', '--node', 'healthy-0', '-o', 'json');
  t.match(
    (JSON.parse(asking.out) as DoctorReport).notRead,
    [{ what: 'exec in pods', command: /^kubectl auth can-i create pods\/exec -n kube-system/ }],
    'who may only look may not look into pods, and is told so',
  );
  const text = await doctor(program, files.viewer);
  t.match(text.out, /✗ +60 nodes {2}arm64-gate: /);
});
