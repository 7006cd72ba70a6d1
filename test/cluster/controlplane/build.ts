import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { built, type GoModule, type Log, missingIn } from './go-build.ts';

export type ControlPlaneBinaries = { etcd: string; kubeApiserver: string; kubectl: string };

/** What acts on the objects of a cluster beside the API server: controllers and the scheduler. */
export type ControllerBinaries = { controllerManager: string; scheduler: string };

export type BuildOptions = { log?: Log };

const folder = import.meta.dirname;

const names = ['etcd', 'kube-apiserver', 'kubectl'] as const;
const controllerNames = ['kube-controller-manager', 'kube-scheduler'] as const;
const nodeNames = [...controllerNames, 'kubelet', 'kube-proxy'] as const;

const kubernetes: GoModule = {
  name: 'controlplane',
  folder,
  sources: ['go.mod', 'go.sum', 'tools.go'].map((file) => join(folder, file)),
  packages: {
    etcd: 'go.etcd.io/etcd/server/v3',
    ...Object.fromEntries(
      ['kube-apiserver', 'kubectl', ...nodeNames].map((name) => [name, `k8s.io/kubernetes/cmd/${name}`]),
    ),
  },
  linkerFlags,
  advice: `set KUBEBUILDER_ASSETS to a directory that holds ${names.join(', ')}`,
};

/** Where etcd, kube-apiserver and kubectl lie, after building those that are missing. */
export async function controlPlaneBinaries({
  log = () => {},
}: BuildOptions = {}): Promise<ControlPlaneBinaries> {
  const assets = process.env.KUBEBUILDER_ASSETS;
  if (assets !== undefined && assets !== '') return await fromAssets(resolve(assets));
  return pathsIn(await built(kubernetes, names, log));
}

/** Where kube-controller-manager and kube-scheduler lie, of the same version; assets have none, so that these are built. */
export async function controllerBinaries({ log = () => {} }: BuildOptions = {}): Promise<ControllerBinaries> {
  const dir = await built(kubernetes, controllerNames, log);
  return { controllerManager: join(dir, controllerNames[0]), scheduler: join(dir, controllerNames[1]) };
}

/** The folder in which the rest of a cluster lies (nodeNames), after building what is missing: of the same version. */
export async function nodeBinaries({ log = () => {} }: BuildOptions = {}): Promise<string> {
  return await built(kubernetes, nodeNames, log);
}

function pathsIn(dir: string): ControlPlaneBinaries {
  return {
    etcd: join(dir, 'etcd'),
    kubeApiserver: join(dir, 'kube-apiserver'),
    kubectl: join(dir, 'kubectl'),
  };
}

async function fromAssets(dir: string): Promise<ControlPlaneBinaries> {
  const missing = await missingIn(dir, names);
  if (missing.length > 0) {
    throw new Error(
      `KUBEBUILDER_ASSETS is ${dir}, but no executable ${missing.join(', ')} lies there: ` +
        `put ${names.join(', ')} into it, or unset KUBEBUILDER_ASSETS to have them built with Go`,
    );
  }
  return pathsIn(dir);
}

/** Without these a binary built from the module calls itself v0.0.0, and clients refuse the version skew. */
async function linkerFlags(): Promise<readonly string[]> {
  const goMod = await readFile(join(folder, 'go.mod'), 'utf8');
  const found = /^\s*(?:require )?k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)/m.exec(goMod);
  if (found === null) throw new Error('go.mod does not name a version of k8s.io/kubernetes');
  const [, version, major, minor] = found;
  const variable = 'k8s.io/component-base/version';
  return [
    `-X ${variable}.gitVersion=${version}`,
    `-X ${variable}.gitMajor=${major}`,
    `-X ${variable}.gitMinor=${minor}`,
  ];
}
