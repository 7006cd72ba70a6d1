import type { At, Deed, Place, TextFact } from '../piece.ts';
import type { Unwrapped } from '../unwrap.ts';
import { readAws, readEksctl, readHelm, readKubectl } from './cluster.ts';
import { readDcgmi } from './dcgmi.ts';
import { readLogger, readWrites } from './log-writes.ts';

/** What one program did, and what its arguments say besides. */
type Reader = (
  one: Unwrapped,
  at: At,
) => { readonly deeds: readonly Deed[]; readonly facts?: readonly TextFact[] };

const only =
  (read: (one: Unwrapped, at: At) => readonly Deed[]): Reader =>
  (one, at) => ({ deeds: read(one, at) });
const look = (what: Extract<Deed, { is: 'look' }>['what']): Reader =>
  only((_one, at) => [{ ...at, is: 'look', what }]);
const silent: Reader = () => ({ deeds: [] });

/** Programs that are understood, by name. */
const readers: Readonly<Record<string, Reader>> = {
  dcgmi: only(readDcgmi),
  'nv-hostengine': only(readEngine),
  kubectl: readKubectl,
  k: readKubectl,
  oc: readKubectl,
  aws: readAws,
  eksctl: readEksctl,
  helm: readHelm,
  logger: only(readLogger),
  'systemd-cat': only(readLogger),
  dmesg: look('kernel-log'),
  journalctl: look('kernel-log'),
  'nvidia-smi': look('nvidia-smi'),
  sleep: only((one, at) => [{ ...at, is: 'sleep', seconds: Number.parseFloat(one.argv[1] ?? '') || 0 }]),
  // They only pass on, show or pick: what they do to other programs is read there.
  ...Object.fromEntries(
    [
      'echo',
      'printf',
      'tee',
      'dd',
      'cat',
      'grep',
      'jq',
      'yq',
      'head',
      'tail',
      'less',
      'awk',
      'sed',
      'cut',
      'sort',
      'wc',
      'cd',
      'ls',
      'export',
      'set',
      'exit',
      'true',
      'for',
      'while',
      'docker',
      'podman',
      'crictl',
      'nerdctl',
      'ssh',
      'sudo',
      'bash',
      'sh',
      'chroot',
      'nsenter',
      'env',
      'timeout',
      'watch',
      'nohup',
      'time',
      'xargs',
      'cp',
      'if',
      'seq',
      'read',
      'break',
      'until',
      'column',
      'date',
      'source',
      'which',
      'ps',
      'systemctl',
      'curl',
      'apt-get',
      'yum',
      'dnf',
      'touch',
      'rm',
      'kill',
      'pkill',
    ].map((name) => [name, silent]),
  ),
};

/** Names that a line of commands may begin with. */
export const knownPrograms: readonly string[] = Object.keys(readers);

/** The name of a program without its folder. */
export function programOf(word: string): string {
  return word.slice(word.lastIndexOf('/') + 1);
}

/** What an unwrapped command did; undefined: its program is not one that is understood. */
export function readCommand(one: Unwrapped, at: At): ReturnType<Reader> | undefined {
  const name = programOf(one.argv[0] ?? '');
  const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
  const writes = readWrites(one, at);
  if (reader === undefined) return writes.length === 0 ? undefined : { deeds: writes };
  const { deeds, facts = [] } = reader(one, at);
  return { deeds: [...writes, ...deeds], facts };
}

function readEngine({ argv, place }: Unwrapped, at: At): readonly Deed[] {
  if (argv.includes('-t') || argv.includes('--term')) return [{ ...at, is: 'look', what: 'other' }];
  const port = argv.indexOf('-p') >= 0 ? argv[argv.indexOf('-p') + 1] : undefined;
  return [{ ...at, is: 'start-engine', place, port: port ?? '5555' }];
}

/** The place that a later command runs in, from the words of a sentence: `into dcgm-exporter`, `in a debug container`. */
export function placeInWords(text: string, at: At): Place | undefined {
  const pod =
    /\b(?:in|into|inside|of)\s+(?:the\s+|a\s+|its\s+)?`?(dcgm-exporter|dcgm-server|nvidia-dcgm)\b/i.exec(
      text,
    );
  if (pod !== null) {
    const target = (pod[1] ?? '').toLowerCase();
    const engine =
      target === 'dcgm-server' ? 'nma' : target === 'dcgm-exporter' ? 'dcgm-exporter' : 'gpu-operator';
    return { ...at, kind: 'pod', target, engine };
  }
  if (!/\b(?:in|into)\s+(?:a|the|my)\s+debug\s+(?:container|pod)\b/i.test(text)) return undefined;
  return { ...at, kind: 'node', target: 'a debug container', engine: 'unknown' };
}
