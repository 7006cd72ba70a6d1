import { readFileSync, writeFileSync } from 'node:fs';
import { at } from '../charts/render.ts';
import { until } from '../cluster/processes.ts';
import { createAuthority } from '../shared/http/certificates.ts';
import type { Attached } from './attached.ts';
import type { callerOf } from './caller.ts';
import type { Release } from './installed.ts';
import { processesOf } from './node-processes.ts';

type Program = 'agent' | 'coordinator';
const programs = ['agent', 'coordinator'] as const;

/** Where the pods have a Secret's entries (the chart's templates). */
const mounts: Readonly<Record<Program, readonly (readonly [file: string, of: Program, key: string])[]>> = {
  agent: [
    ['/etc/xidrill/tls/tls.crt', 'agent', 'tls.crt'],
    ['/etc/xidrill/tls/client-ca.crt', 'coordinator', 'ca.crt'],
  ],
  coordinator: [
    ['/etc/xidrill/tls/tls.crt', 'coordinator', 'tls.crt'],
    ['/etc/xidrill/agent/ca.crt', 'agent', 'ca.crt'],
  ],
};

/**
 * Renews the authorities and the keys of both programs in the order of the chart's README (believe both, show the new one,
 * believe only that), while somebody calls both all the time; each step waits until kubelets have mounted it everywhere.
 */
export async function rotate(
  { kubectl }: Attached,
  release: Release,
  caller: Awaited<ReturnType<typeof callerOf>>,
  node: string,
): Promise<{ readonly failures: readonly string[]; readonly answered: number; readonly restarts: number }> {
  const { namespace, fullname } = release;
  const service = `${fullname}-coordinator`;
  const names = { agent: 'xidrill-agent', coordinator: `${service},${service}.${namespace}.svc` };
  const old = { agent: await caller.secretOf('agent'), coordinator: await caller.secretOf('coordinator') };
  const next = createAuthority(process.env.TMPDIR ?? '/tmp', 'next');
  const nextCa = readFileSync(next.caFile);
  const base64 = (file: string) => readFileSync(file).toString('base64');

  const coordinators = await release.pods('coordinator');
  const [agent] = (await release.pods('agent')).filter(({ spec }) => at(spec, 'nodeName') === node);
  if (agent === undefined) throw new Error(`no agent on ${node}`);
  const failures: string[] = [];
  let answered = 0;
  const stopping = new AbortController();
  /** Through a coordinator to the agent, and to the agent directly. */
  const load = Promise.all(
    coordinators.map(async (coordinator) => {
      while (!stopping.signal.aborted) {
        const preflight = await caller
          .send('coordinator', coordinator, `nodes/${node}/preflight`)
          .catch((thrown: unknown) => ({ status: 0, body: { thrown: String(thrown) } }));
        const checks = (at(preflight.body, 'checks') ?? []) as readonly { code: string; result: string }[];
        const link = checks.find(({ code }) => code === 'agent-unreachable');
        if (link?.result !== 'ok') failures.push(JSON.stringify(link ?? preflight));
        const direct = await caller
          .send('agent', agent, 'GetInventory', {})
          .catch((thrown: unknown) => ({ status: 0, body: { thrown: String(thrown) } }));
        if (direct.status !== 200) failures.push(JSON.stringify(direct));
        answered += 1;
      }
    }),
  );
  const more = async (count: number) => {
    const from = answered;
    await until(`${count} more answers`, async () => answered >= from + count);
  };
  const mounted = async (program: Program): Promise<boolean> => {
    for (const [file, of, key] of mounts[program]) {
      const wanted = Buffer.from((await caller.secretOf(of))[key as 'ca.crt'], 'base64').toString();
      for (const pid of processesOf(`/opt/xidrill/${program}.mjs`))
        if (readFileSync(`/proc/${pid}/root${file}`, 'utf8') !== wanted) return false;
    }
    return true;
  };
  const renew = async (dataOf: (program: Program) => Record<string, string>) => {
    for (const program of programs)
      await kubectl(
        ...['-n', namespace, 'patch', 'secret', `${fullname}-${program}-tls`, '--type=merge', '-p'],
        JSON.stringify({ data: dataOf(program) }),
      );
    for (const program of programs) await until(`${program}s have it`, () => mounted(program));
    await more(8);
  };

  await more(4);
  await renew((program) => {
    const both = Buffer.concat([Buffer.from(old[program]['ca.crt'], 'base64'), nextCa]);
    writeFileSync(caller.caFile(program), both);
    return { 'ca.crt': both.toString('base64') };
  });
  await renew((program) => {
    const { certFile, keyFile } = next.issue(names[program]);
    return { 'tls.crt': base64(certFile), 'tls.key': base64(keyFile) };
  });
  await renew((program) => {
    writeFileSync(caller.caFile(program), nextCa);
    return { 'ca.crt': nextCa.toString('base64') };
  });
  stopping.abort();
  await load;
  const restarts = (await release.pods()).map(({ status }) =>
    Number(at(status, 'containerStatuses.0.restartCount')),
  );
  return { failures, answered, restarts: restarts.reduce((sum, count) => sum + count, 0) };
}
