import type { Test } from 'tap';
import { nodeEnvironment, nodeFlags } from '../../shared/bundle.ts';
import { version } from '../../shared/version.ts';
import { installStub, startEngine } from '../agent/dcgm/stub.ts';
import { startProgram } from './programs.ts';

/** That an agent runs from FILE, without the sources: its NVML child, its native libraries and a pseudo terminal. */
export async function assertAgentRuns(t: Test, file: string, stateDir: string): Promise<void> {
  const engine = await startEngine(t, installStub(t));
  const args = ['--state-dir', stateDir, '--nvml', '/nowhere/libnvidia-ml.so.1'];
  const agent = await startProgram(file, args, {
    flags: nodeFlags.agent,
    env: nodeEnvironment,
    until: '/healthz',
  });
  t.teardown(agent.stop);
  const answer = await fetch(`${agent.url}/xidrill.agent.v1.AgentService/GetInventory`, { method: 'POST' });
  t.equal(answer.status, 200);
  const { agentVersion, capabilities, engines } = (await answer.json()) as {
    agentVersion: string;
    capabilities: readonly { name: string }[];
    engines: readonly { pid: number }[];
  };
  t.equal(agentVersion, version);
  t.match(
    capabilities.find(({ name }) => name === 'nvml'),
    { available: false, because: /\/nowhere\/libnvidia-ml\.so\.1 cannot be loaded/ },
    'the child ran, had its native library and said what is missing',
  );
  t.match(
    engines.find(({ pid }) => pid === engine.pid),
    { version: String, gpus: [{ uuid: /^GPU-/ }, { uuid: /^GPU-/ }], problems: [] },
    'dcgmi ran under a pseudo terminal',
  );
}
