import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { findHelm } from '../charts/helm.ts';
import type { Rendered } from '../charts/render.ts';
import { until } from '../cluster/processes.ts';
import { type ClusterFile, clusterVariable } from './cluster.ts';
import type { RealNode } from './node.ts';
import { imageNames } from './program-images.ts';

const run = promisify(execFile);

/** The cluster that `npm run test:node` keeps for its tests. */
export type Attached = {
  readonly nodes: readonly RealNode[];
  readonly kubeconfig: string;
  /** Path of kubectl. */
  readonly program: string;
  /** Standard output of a kubectl that has succeeded; throws with its standard error otherwise. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** `kubectl apply`, of all of them at once. */
  apply(...objects: readonly object[]): Promise<string>;
  /** `kubectl create`. */
  create(object: object): Promise<string>;
  /** POST to a path of the API server. */
  post(path: string, object: object): Promise<string>;
  /** `kubectl get`. */
  read(...args: readonly string[]): Promise<Rendered>;
  helm(...args: readonly string[]): Promise<string>;
};

/** The cluster, or why there is none. */
export function attach(): Attached | { readonly because: string } {
  const file = process.env[clusterVariable];
  if (file === undefined) return { because: 'these run on a cluster of real nodes: npm run test:node' };
  const helm = findHelm();
  if ('because' in helm) return helm;
  const { kubeconfig, kubectl: program, nodes } = JSON.parse(readFileSync(file, 'utf8')) as ClusterFile;
  const env = { ...process.env, KUBECONFIG: kubeconfig, KUBECTL_KUBERC: 'false' };
  const kubectl = async (args: readonly string[], input?: string) => {
    const answer = run(program, args, { env, maxBuffer: 2 ** 26 });
    answer.child.stdin?.end(input ?? '');
    return (await answer).stdout;
  };
  return {
    nodes,
    kubeconfig,
    program,
    kubectl: (...args) => kubectl(args),
    apply: (...objects) =>
      kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })),
    create: (object) => kubectl(['create', '-f', '-'], JSON.stringify(object)),
    post: (path, object) => kubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(object)),
    read: async (...args) => JSON.parse(await kubectl(['get', '-o', 'json', ...args])) as Rendered,
    async helm(...args) {
      const { code, stdout, stderr } = await helm(args, { KUBECONFIG: kubeconfig });
      if (code !== 0) throw new Error(`helm ${args.join(' ')}: ${stdout}${stderr}`);
      return stdout;
    },
  };
}

/** As `until`, where each look starts a kubectl: what is waited for needs the processors itself. */
export const untilShown = (what: string, isSo: () => Promise<boolean>, seconds = 300): Promise<void> =>
  until(what, isSo, seconds, 250);

const repository = (image: string) => image.slice(0, image.lastIndexOf(':'));
const tag = (image: string) => image.slice(image.lastIndexOf(':') + 1);

/** Words for helm: the images that the nodes have, and nothing else that is not a default. */
export const imageValues: readonly string[] = [
  `--set=agent.image.repository=${repository(imageNames.agent)}`,
  `--set=coordinator.image.repository=${repository(imageNames.coordinator)}`,
  `--set=agent.dcgm.sidecar.image.repository=${repository(imageNames.dcgm)}`,
  `--set=agent.dcgm.sidecar.image.tag=${tag(imageNames.dcgm)}`,
];
