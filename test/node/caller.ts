import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAgentTransport } from '../../coordinator/agents/transport.ts';
import { at, type Rendered } from '../charts/render.ts';
import type { Attached } from './attached.ts';
import type { Release } from './installed.ts';
import { network } from './network.ts';

type Program = 'agent' | 'coordinator';

/** Words for helm: this process, which is no pod, may connect to the agents too. */
export const callerValues = `--set-json=agent.networkPolicy.extraFrom=[{"ipBlock":{"cidr":"${network.gateway}/32"}}]`;

/** Calls the programs in their pods, by address, as a person with the chart's role does. */
export async function callerOf({ kubectl, read }: Attached, release: Release, folder: string) {
  const { namespace, fullname } = release;
  const inRelease = (...args: readonly string[]) => kubectl('-n', namespace, ...args);
  const secretOf = async (program: Program) => {
    const { data } = await read('-n', namespace, 'secret', `${fullname}-${program}-tls`);
    return data as Readonly<Record<'ca.crt' | 'tls.crt' | 'tls.key', string>>;
  };
  /** Whom people believe; a test may write another authority into it. */
  const caFile = (program: Program) => join(folder, `${namespace}-${program}-ca.crt`);
  const transport = async (program: Program, serverName: string) => {
    writeFileSync(caFile(program), Buffer.from((await secretOf(program))['ca.crt'], 'base64'));
    return createAgentTransport({ caFile: caFile(program), serverName });
  };
  const request = {
    agent: await transport('agent', 'xidrill-agent'),
    coordinator: await transport('coordinator', `${fullname}-coordinator`),
  };
  await inRelease('create', 'serviceaccount', 'operator');
  const role = `--clusterrole=${namespace}-${fullname}-operator`;
  const binding = `${namespace}-operator`;
  await kubectl(...['create', 'clusterrolebinding', binding, role, `--serviceaccount=${namespace}:operator`]);
  const tokenOf = async (audience: string) =>
    (await inRelease('create', 'token', 'operator', `--audience=${audience}`)).trim();
  const tokens = { coordinator: await tokenOf('xidrill'), agent: await tokenOf('xidrill-agent') };

  return {
    secretOf,
    caFile,
    tokens: Object.values(tokens),
    /** POST with a body, GET without one. */
    async send(program: Program, pod: Rendered, path: string, body?: object) {
      const ports = at(pod, 'spec.containers.0.ports') as readonly { containerPort: number }[];
      const prefix = program === 'agent' ? '/xidrill.agent.v1.AgentService' : '/api/v1';
      const url = `https://${at(pod, 'status.podIP')}:${ports[0]?.containerPort}${prefix}/${path}`;
      const { status, text } = await request[program](url, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${tokens[program]}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(120_000),
      });
      return { status, body: JSON.parse(text) as Readonly<Record<string, unknown>> };
    },
    /** What is not the release's. */
    remove: () => kubectl('delete', 'clusterrolebinding', binding),
  };
}
