import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import type { KubeObject } from '../../coordinator/cluster/port.ts';
import { startApiServer } from '../../coordinator/rehearsal/apiserver/server.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { optInLabel, optInValue } from '../../coordinator/view/node.ts';
import { nodeEnvironment, nodeFlags, type ProgramName } from '../../shared/bundle.ts';
import { createRealClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { childrenOf, type Program, residentMiB, startProgram } from './programs.ts';
import { median } from './statistics.ts';

/** Where the file of each program lies. */
export type Programs = Readonly<Record<ProgramName, string>>;

/** Medians over the starts. */
export type Idle = { readonly residentMiB: number; readonly readyMs: number };

const starts = 3;
/** The first lists, timers and the collections of garbage that follow a start are over by then. */
const settleMs = 5_000;
const namespace = 'xidrill';
const compiler = 'cc';
/** EKS, Karpenter, GPU feature discovery and the device plugin put about as many on a GPU node. */
const labelCount = 40;
const bytesWithoutImages = 4_000;
const bytesOfImage = 170;

export function startAgent(
  programs: Programs,
  folder: string,
  args: readonly string[] = [],
): Promise<Program> {
  const stateDir = mkdtempSync(join(folder, 'state-'));
  return startProgram(programs.agent, ['--state-dir', stateDir, '--arm', ...args], {
    flags: nodeFlags.agent,
    env: nodeEnvironment,
  });
}

/** `inChild`: the same for the NVML child, over the stub library; undefined where no C compiler is. */
export async function measureAgent(
  programs: Programs,
  folder: string,
): Promise<Idle & { readonly inChild: number | undefined }> {
  const library = buildStubLibrary(folder);
  const seen: { residentMiB: number; readyMs: number; inChild: number | undefined }[] = [];
  for (let start = 0; start < starts; start += 1) {
    const agent = await startAgent(programs, folder, library === undefined ? [] : ['--nvml', library]);
    try {
      await sleep(settleMs);
      const before = residentMiB(agent.pid);
      seen.push({
        residentMiB: before,
        readyMs: agent.readyMs,
        inChild: library === undefined ? undefined : await residentOfChild(agent),
      });
    } finally {
      await agent.stop();
    }
  }
  const children = seen.map(({ inChild }) => inChild).filter((value) => value !== undefined);
  return { ...medians(seen), inChild: children.length === 0 ? undefined : median(children) };
}

async function residentOfChild(agent: Program): Promise<number> {
  const url = `${agent.url}/xidrill.agent.v1.AgentService/ListGpus`;
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  if (!answer.ok) throw new Error(`ListGpus over the stub library: ${answer.status} ${await answer.text()}`);
  const [child] = childrenOf(agent.pid);
  if (child === undefined) throw new Error('the agent has no NVML child');
  await sleep(settleMs);
  return residentMiB(child);
}

function buildStubLibrary(folder: string): string | undefined {
  const source = fileURLToPath(new URL('../agent/nvml/stub/libnvidia-ml.c', import.meta.url));
  const library = join(folder, 'libnvidia-ml.so.1');
  const built = spawnSync(compiler, ['-O1', '-shared', '-fPIC', '-o', library, source], { encoding: 'utf8' });
  if (built.error !== undefined) return undefined;
  if (built.status !== 0) throw new Error(`the stub library cannot be built: ${built.stderr}`);
  return library;
}

/** Connected to the API server of the rehearsal, which holds so many nodes of so many bytes each. */
export async function measureCoordinator(
  programs: Programs,
  folder: string,
  { nodes, nodeBytes, starts = 3 }: { nodes: number; nodeBytes: number; starts?: number },
): Promise<Idle> {
  const clock = createRealClock();
  const log = createSilentLog();
  const server = await startApiServer({ clock, log });
  try {
    const cluster = createClusterClient({
      kubeconfig: { url: server.url },
      userAgent: 'xidrill-bench',
      fieldManager: 'xidrill-bench',
      log,
    });
    await cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
    for (const definition of customResourceDefinitions())
      await cluster.create('customresourcedefinitions', definition);
    for (let index = 0; index < nodes; index += 1) await cluster.create('nodes', makeNode(index, nodeBytes));
    const kubeconfig = writeKubeconfig(folder, server.url);
    const seen: Idle[] = [];
    for (let start = 0; start < starts; start += 1) {
      const coordinator = await startProgram(
        programs.coordinator,
        ['--kubeconfig', kubeconfig, '--namespace', namespace],
        { flags: nodeFlags.coordinator, env: nodeEnvironment },
      );
      try {
        const known = await listNodes(coordinator);
        if (known !== nodes) throw new Error(`the coordinator knows ${known} nodes, not ${nodes}`);
        await sleep(settleMs);
        seen.push({ residentMiB: residentMiB(coordinator.pid), readyMs: coordinator.readyMs });
      } finally {
        await coordinator.stop();
      }
    }
    return medians(seen);
  } finally {
    await server.close();
  }
}

async function listNodes(coordinator: Program): Promise<number> {
  const answer = await fetch(`${coordinator.url}/api/v1/nodes`);
  return ((await answer.json()) as { items: readonly unknown[] }).items.length;
}

/** As large as a node of a cluster in use: most of such an object is the list of images on it. */
export function makeNode(index: number, bytes: number): KubeObject {
  const name = `ip-10-0-${index >> 8}-${index & 255}.ec2.internal`;
  const digest = index.toString(16).padStart(64, '0');
  const now = new Date().toISOString();
  const own = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready', 'ContainerRuntimeReady'];
  const ofNma = ['KernelReady', 'NetworkingReady', 'StorageReady', 'AcceleratedHardwareReady'];
  const conditions = [...own, ...ofNma];
  const labels = Object.fromEntries(
    Array.from({ length: labelCount }, (_, label) => [`team.example.com/label-${label}`, `value-${index}`]),
  );
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { ...labels, 'kubernetes.io/hostname': name, [optInLabel]: optInValue } },
    spec: {},
    status: {
      conditions: conditions.map((type) => ({
        type,
        status: 'True',
        reason: `${type}Reason`,
        message: `nothing is wrong with what ${type} stands for`,
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      })),
      images: Array.from(
        { length: Math.ceil(Math.max(0, bytes - bytesWithoutImages) / bytesOfImage) },
        (_, image) => ({
          names: [
            `registry.invalid/team/image-${image}@sha256:${digest}`,
            `registry.invalid/team/image-${image}:1`,
          ],
          sizeBytes: 100_000_000 + image,
        }),
      ),
    },
  };
}

function writeKubeconfig(folder: string, server: string): string {
  const path = join(folder, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    clusters: [{ name: 'bench', cluster: { server } }],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

function medians(seen: readonly Idle[]): Idle {
  return {
    residentMiB: median(seen.map(({ residentMiB }) => residentMiB)),
    readyMs: median(seen.map(({ readyMs }) => readyMs)),
  };
}
