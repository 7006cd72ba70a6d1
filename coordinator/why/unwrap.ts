import type { At, Place } from './piece.ts';
import { type Invocation, readShell } from './shell.ts';

/** A program without what stood around it: sudo, `bash -c`, kubectl exec, docker exec, ssh, nsenter. */
export type Unwrapped = Invocation & {
  /** Where it ran; undefined: the text does not say. */
  readonly place: Place | undefined;
  /** It ran under sudo. */
  readonly isSudo: boolean;
  /** It opened a shell and ran nothing: what follows ran there. */
  readonly isEntry: boolean;
};

/** `bash -c "bash -c …"`: deeper ones are not read. */
const deepest = 6;

/** Everything that one line's invocation ran in the end; several for `bash -c "a; b"`. */
export function unwrap(outer: Invocation, at: At, known: Place | undefined): readonly Unwrapped[] {
  return peel({ ...outer, place: known, isSudo: false, isEntry: false }, at, 0);
}

function peel(one: Unwrapped, at: At, depth: number): readonly Unwrapped[] {
  if (depth > deepest) return [one];
  const [program = '', ...args] = one.argv;
  const name = program.slice(program.lastIndexOf('/') + 1);
  const next = (argv: readonly string[], more: Partial<Unwrapped> = {}) =>
    argv.length === 0
      ? [{ ...one, ...more, argv, isEntry: true }]
      : peel({ ...one, ...more, argv }, at, depth + 1);
  if (name === 'sudo' || name === 'doas')
    return args.length === 0 ? [one] : next(afterOptions(args, 'ugphCD'), { isSudo: true });
  if (prefixes.has(name)) {
    const rest = afterOptions(args, prefixes.get(name) ?? '');
    const argv =
      name === 'env' ? rest.slice(firstNonAssignment(rest)) : name === 'timeout' ? rest.slice(1) : rest;
    return argv.length === 0 ? [one] : next(argv);
  }
  if (shells.has(name)) return shell(one, args, at, depth);
  const inner = containerOf(name, args, at);
  if (inner !== undefined) {
    const place = { ...at, ...inner.place };
    const isShell =
      inner.argv.length === 0 ||
      (shells.has(baseName(inner.argv[0])) && !inner.argv.includes('-c') && !inner.argv.includes('-lc'));
    return isShell ? [{ ...one, argv: [], place, isEntry: true }] : next(inner.argv, { place });
  }
  if (name === 'chroot') return next(afterOptions(args, '').slice(1));
  if (name === 'nsenter') return next(afterDashes(afterOptions(args, 'tSGC')));
  if (name === 'xargs') return next(afterOptions(args, 'nIPLd'));
  return [one];
}

/** Programs that only start another one, with those of their options that take a value of their own. */
const prefixes: ReadonlyMap<string, string> = new Map([
  ['env', 'uCS'],
  ['time', 'fo'],
  ['nohup', ''],
  ['exec', ''],
  ['command', ''],
  ['timeout', 'ks'],
  ['watch', 'n'],
  ['nice', 'n'],
  ['setsid', ''],
  ['stdbuf', 'ioe'],
]);
const shells: ReadonlySet<string> = new Set(['sh', 'bash', 'ash', 'dash', 'zsh']);

function shell(one: Unwrapped, args: readonly string[], at: At, depth: number): readonly Unwrapped[] {
  const flag = args.findIndex((arg) => /^-[a-z]*c$/.test(arg));
  const script = flag < 0 ? undefined : args[flag + 1];
  if (script === undefined) return [one];
  const { invocations } = readShell(script);
  return invocations.flatMap((inner) =>
    peel(
      { ...one, ...inner, stdin: inner.stdin ?? one.stdin, pos: one.pos, place: one.place, isSudo: false },
      at,
      depth + 1,
    ),
  );
}

type Inner = { readonly place: Omit<Place, 'line' | 'quote'>; readonly argv: readonly string[] };

function containerOf(name: string, args: readonly string[], at: At): Inner | undefined {
  if (['kubectl', 'k', 'oc'].includes(name)) return kubectl(args, at);
  if (['docker', 'podman', 'nerdctl', 'crictl'].includes(name)) {
    const at = args.indexOf('exec');
    const [target, ...argv] = at < 0 ? [] : afterOptions(args.slice(at + 1), 'euw');
    if (target === undefined) return undefined;
    return { place: { kind: 'container', target, engine: engineOf(target) }, argv };
  }
  if (name !== 'ssh') return undefined;
  const [target, ...argv] = afterOptions(args, 'ilpoJFL');
  if (target === undefined) return undefined;
  return {
    place: { kind: 'ssh', target, engine: 'node' },
    argv: argv.length === 1 ? (argv[0] ?? '').split(/\s+/) : argv,
  };
}

function kubectl(args: readonly string[], { quote }: At): Inner | undefined {
  const verb = args.findIndex(
    (arg) => arg === 'exec' || arg === 'debug' || arg === 'run' || arg === 'node-shell',
  );
  if (verb < 0) return undefined;
  const namespace = optionOf(args, ['-n', '--namespace']);
  const [target = '', ...rest] = afterOptions(
    args.slice(verb + 1).filter((arg, index, all) => index < dashes(all) && arg !== '--'),
    'ncf',
  );
  const dash = args.indexOf('--');
  // Without dashes kubectl still takes what follows the pod's name, with a warning.
  const argv = dash >= 0 ? args.slice(dash + 1) : args[verb] === 'exec' ? afterOptions(rest, 'ncf') : [];
  const isNode = args[verb] === 'node-shell' || (args[verb] === 'debug' && /^nodes?\//.test(target));
  if (args[verb] === 'run' && argv.length === 0) return undefined;
  const where = `${target} ${optionOf(args, ['-c', '--container']) ?? ''} ${target.includes('$') ? quote : ''}`;
  return {
    place: {
      kind: isNode ? 'node' : 'pod',
      target: target.replace(/^(pods?|ds|daemonset|deploy|deployment|nodes?)\//, ''),
      ...(namespace === undefined ? {} : { namespace }),
      engine: isNode ? 'node' : engineOf(where),
    },
    argv,
  };
}

function dashes(args: readonly string[]): number {
  const at = args.indexOf('--');
  return at < 0 ? args.length : at;
}

/** Whose engine a pod or container of that name has beside it (nma.md §8, dcgm.md §6.1). */
export function engineOf(name: string): Place['engine'] {
  if (/dcgm-server|eks-node-monitoring/.test(name)) return 'nma';
  if (name.includes('dcgm-exporter')) return 'dcgm-exporter';
  return name.includes('nvidia-dcgm') ? 'gpu-operator' : 'unknown';
}

/** The value of an option, in either spelling. */
export function optionOf(args: readonly string[], names: readonly string[]): string | undefined {
  const at = args.findIndex((arg) => names.includes(arg));
  if (at >= 0) return args[at + 1];
  for (const name of names) {
    const joined = args.find((arg) => name.startsWith('--') && arg.startsWith(`${name}=`));
    if (joined !== undefined) return joined.slice(name.length + 1);
  }
  return undefined;
}

/** What stands behind the options in front; `withValue`: one-letter options that take the next word. */
function afterOptions(args: readonly string[], withValue: string): readonly string[] {
  let at = 0;
  while (at < args.length) {
    const arg = args[at] ?? '';
    if (arg === '--') return args.slice(at + 1);
    if (!arg.startsWith('-') || arg === '-') break;
    const isShort = /^-[A-Za-z]$/.test(arg);
    const takesValue = isShort ? withValue.includes(arg.slice(1)) : longWithValue.has(arg);
    at += takesValue ? 2 : 1;
  }
  return args.slice(at);
}

const longWithValue: ReadonlySet<string> = new Set([
  '--namespace',
  '--container',
  '--image',
  '--target',
  '--user',
  '--env',
  '--workdir',
  '--context',
  '--kubeconfig',
  '--signal',
]);

function afterDashes(args: readonly string[]): readonly string[] {
  return args[0] === '--' ? args.slice(1) : args;
}

function firstNonAssignment(args: readonly string[]): number {
  const at = args.findIndex((arg) => !/^[A-Za-z_]\w*=/.test(arg));
  return at < 0 ? args.length : at;
}

function baseName(path = ''): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
