import type { NodeCondition } from '../view/node.ts';

/** Where something stands in the pasted text. */
export type At = {
  /** Counted from 1. */
  readonly line: number;
  /** Characters of that line, unchanged, at most `longestQuote` of them. */
  readonly quote: string;
};

/** The longest quote, in characters. */
export const longestQuote = 300;

/** Where a command ran, as far as the text says. */
export type Place = At & {
  /** `pod`: inside a container that runs already; `node`: a debug container or shell in the node's own network. */
  readonly kind: 'pod' | 'node' | 'container' | 'ssh';
  /** The name that was given: of the pod, node, container or host. */
  readonly target: string;
  readonly namespace?: string;
  /** Whose host engine `localhost` is there; `unknown`: the name does not say. */
  readonly engine: 'nma' | 'dcgm-exporter' | 'gpu-operator' | 'node' | 'unknown';
};

/** `dcgmi test --inject`, option by option, as it was typed; undefined: not given. */
export type InjectOptions = {
  readonly gpuid: string | undefined;
  readonly group: string | undefined;
  readonly field: string | undefined;
  readonly value: string | undefined;
  readonly offset: string | undefined;
  readonly host: string | undefined;
  /** `--field=230`: dcgmi wants a space (dcgm.md §1.1). */
  readonly hasEquals: boolean;
};

/** How a text was sent to the kernel log. */
export type KernelWriteHow = {
  /** `tee` and `dd` open the file themselves; a redirection is opened by the shell, with the shell's rights. */
  readonly by: 'tee' | 'redirect' | 'other';
  /** sudo stands before the program, but the redirection is the shell's own. */
  readonly sudoMissesRedirect: boolean;
  /** `echo -n` and `printf` without `\n`. */
  readonly endsWithNewline: boolean;
  /** The path as typed, `/dev/kmsg` or `/host/dev/kmsg`. */
  readonly path: string;
};

/** What somebody did or saw, read from the text. Each has its sentence in explain/. */
export type Deed = At &
  (
    | { readonly is: 'inject'; readonly options: InjectOptions; readonly place: Place | undefined }
    | {
        readonly is: 'dcgmi-other';
        readonly what: 'pause' | 'dmon' | 'introspect' | 'look' | 'watch';
        readonly args: string;
        readonly place: Place | undefined;
      }
    | { readonly is: 'kernel-write'; readonly text: string | undefined; readonly how: KernelWriteHow }
    | {
        readonly is: 'syslog-write';
        readonly text: string;
        readonly tag: string | undefined;
        readonly asKernel: boolean;
      }
    | { readonly is: 'file-write'; readonly text: string | undefined; readonly path: string }
    | { readonly is: 'kernel-line'; readonly text: string }
    | { readonly is: 'start-engine'; readonly place: Place | undefined; readonly port: string }
    | { readonly is: 'injected-said' }
    | { readonly is: 'dcgmi-said'; readonly what: DcgmiAnswer }
    | {
        readonly is: 'role';
        readonly how: 'add-on' | 'service-account' | 'annotation' | 'pod-identity' | 'pod';
      }
    | { readonly is: 'add-on'; readonly version: string | undefined }
    | { readonly is: 'role-removed' }
    | { readonly is: 'cluster-role' }
    | { readonly is: 'monitor-off'; readonly plugin: string }
    | { readonly is: 'engine-off' }
    | { readonly is: 'node-repair'; readonly enabled: boolean | undefined }
    | { readonly is: 'karpenter-gate'; readonly on: boolean }
    | { readonly is: 'karpenter-belief' }
    | { readonly is: 'repair-wait' }
    | { readonly is: 'pool-budget' }
    | { readonly is: 'karpenter-log'; readonly what: 'repairing' | 'blocked' }
    | {
        readonly is: 'condition';
        readonly condition: NodeCondition;
        readonly node: NodeAbout;
        readonly newest: string | null;
      }
    | { readonly is: 'heartbeats'; readonly nma: string; readonly others: string }
    | { readonly is: 'no-condition'; readonly node: NodeAbout }
    | { readonly is: 'nma-log'; readonly row: string }
    | { readonly is: 'event'; readonly reason: string; readonly message: string }
    | { readonly is: 'event-search'; readonly by: 'reason' | 'namespace' | 'describe' }
    | { readonly is: 'condition-edit' }
    | { readonly is: 'look'; readonly what: 'node' | 'logs' | 'kernel-log' | 'nvidia-smi' | 'other' }
    | { readonly is: 'sleep'; readonly seconds: number }
  );

/** One kind of deed. */
export type DeedOf<K extends Deed['is']> = Extract<Deed, { readonly is: K }>;

/** What dcgmi printed beside its success line (dcgm.md §1.4). */
export type DcgmiAnswer = 'bad-parameter' | 'no-engine' | 'not-watched' | 'no-gpus' | 'no-health-watches';

/** What the text says of the node beside its conditions. */
export type NodeAbout = {
  readonly name: string | undefined;
  readonly architecture: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
};

/** What a statement rests on: a place in the text, or something that was read elsewhere, with its source. */
export type Ground = At | { readonly source: string; readonly observed: string };

type About =
  | { readonly is: 'nma-version'; readonly version: string }
  | { readonly is: 'architecture'; readonly architecture: string };

/** Something about the cluster as a whole, used to judge the rest. */
export type Fact = Ground & About;

/** One that the text says. */
export type TextFact = At & About;

/** What was not understood, with the nearest thing that is. */
export type NotUnderstood = At & { readonly nearest: string };

/** All that was read out of a text, in its order. */
export type Reading = {
  readonly deeds: readonly Deed[];
  readonly facts: readonly TextFact[];
  readonly notUnderstood: readonly NotUnderstood[];
};
