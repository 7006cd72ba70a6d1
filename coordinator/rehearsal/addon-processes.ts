import { findNmaVersion, type NmaVersion } from '../catalogue/nma/versions.ts';
import { isAutoNode } from '../view/node.ts';
import type { HostEngine } from './host-engine/engine.ts';
import { createNma, type Nma, type NmaOptions } from './nma/actor.ts';
import type { Credentials } from './nma/credentials.ts';
import { type NodeRow, nmaPodName } from './objects.ts';

/** What runs in a pod of the add-on on a node: NMA, or the host engine that it is connected to. */
export type AddonPod = 'monitor' | 'engine';

/** NMA and its host engine on one node, and the pods that they run in. */
export type AddonProcesses = {
  /** Starts both again, as another version or with other credentials. */
  start(nma: {
    readonly version: string;
    readonly credentials: Credentials;
    /** Of its DCGM server on this node; null: the engine is a process of the host; undefined: the node has none. */
    readonly enginePodUid: string | null | undefined;
    /** Of NMA's own pod, which ends it when it is deleted; absent: none does. */
    readonly podUid?: string;
  }): Promise<void>;
  /** The machine started again: both are new processes in the same pods. */
  reboot(): Promise<void>;
  /** Ends NMA, and leaves it so: its pod does not bring it back. */
  stop(): Promise<void>;
  /** A pod was deleted: the process in it ends. Answers which one that was; undefined: none that runs here. */
  endPod(uid: string): Promise<AddonPod | undefined>;
  /** Another pod runs in place of one that was deleted: a new process, which remembers nothing. */
  beginPod(kind: AddonPod, pod: { readonly name: string; readonly uid: string }): void;
};

const nmaEnginePid = 2201;

/** The add-on's processes of a node; `start` starts them. */
export function createAddonProcesses(
  deps: Pick<NmaOptions, 'cluster' | 'clock' | 'random' | 'log' | 'kernelLog'> & {
    readonly row: NodeRow;
    readonly hostFiles: NonNullable<NmaOptions['files']>;
    /** All host engines of the node. */
    readonly engines: HostEngine[];
    readonly addEngine: (
      engine: { readonly pid: number; readonly port: number; readonly podUid: string | null },
      version: string,
    ) => unknown;
    /** Gets each line that a container of the node writes. */
    readonly podLog: (pod: string, line: string) => void;
  },
): AddonProcesses {
  const { row, engines } = deps;
  let installed: { readonly version: NmaVersion; readonly credentials: Credentials } | undefined;
  let nma: Nma | undefined;
  /** Of the pod that NMA runs in; undefined: it does not run, or in none. */
  let nmaPodUid: string | undefined;

  const isOurs = (engine: HostEngine) => engine.process().pid === nmaEnginePid;

  function endEngine(): void {
    const present = engines.findIndex(isOurs);
    if (present >= 0) engines.splice(present, 1)[0]?.kill();
  }

  function placeEngine(version: NmaVersion, podUid: string | null | undefined): void {
    endEngine();
    if (podUid !== undefined)
      deps.addEngine({ pid: nmaEnginePid, port: 5555, podUid }, version.engineVersion);
  }

  function run(podName: string): void {
    if (installed === undefined) return;
    nma = createNma({
      ...deps,
      node: row.name,
      version: installed.version,
      credentials: installed.credentials,
      // monitors/nvidia/monitor.go: with the tag eks-auto the arm64 gate does not apply.
      arch: isAutoNode({ metadata: row }) ? 'amd64' : row.arch,
      files: deps.hostFiles,
      engine: () => engines.find(isOurs),
      accelerator: row.gpu === undefined ? 'none' : 'nvidia',
      deviceFiles: () => (row.gpu === undefined ? 0 : 1),
      podLog: (line) => deps.podLog(podName, line),
    });
    nma.start();
  }

  async function stop(): Promise<void> {
    nmaPodUid = undefined;
    await nma?.stop();
  }

  return {
    async start({ version: text, credentials, enginePodUid, podUid }) {
      await stop();
      installed = { version: findNmaVersion(text).row, credentials };
      placeEngine(installed.version, enginePodUid);
      nmaPodUid = podUid;
      run(nmaPodName(row));
    },
    async reboot() {
      if (installed === undefined) return;
      const [podUid, enginePodUid] = [nmaPodUid, engines.find(isOurs)?.process().podUid];
      await stop();
      placeEngine(installed.version, enginePodUid);
      nmaPodUid = podUid;
      run(nmaPodName(row));
    },
    stop,
    async endPod(uid) {
      if (nmaPodUid !== undefined && uid === nmaPodUid) {
        await stop();
        return 'monitor';
      }
      const engine = engines.find(isOurs);
      if (engine?.process().podUid !== uid || engine.state() === 'stopped') return undefined;
      endEngine();
      return 'engine';
    },
    beginPod(kind, { name, uid }) {
      if (installed === undefined) return;
      if (kind === 'engine') return placeEngine(installed.version, uid);
      nmaPodUid = uid;
      run(name);
    },
  };
}
