import {
  type Command,
  forEachChild,
  parse,
  type Redirection,
  type Statement,
  type SyntaxNode,
  type Word,
} from 'unbash';

/** One program that a shell would have started, with what is known of it without running anything. */
export type Invocation = {
  /** Program and arguments; a part that only a shell could fill in stands as it was typed, `$X` or `$(…)`. */
  readonly argv: readonly string[];
  /** What an `echo`, `printf`, here-document or here-string before it writes to it; undefined: not known. */
  readonly stdin: Output | undefined;
  readonly redirects: readonly { readonly operator: string; readonly path: string }[];
  readonly isBackground: boolean;
  /** Offset of its first character. */
  readonly pos: number;
};

/** A text that a command writes to its standard output. */
export type Output = { readonly text: string; readonly endsWithNewline: boolean };

/** Values that are followed into a loop's body or an assignment's uses. */
export type Variables = ReadonlyMap<string, string>;

/** More than these are not read: a paste has no thousand commands, a mutated one may. */
const mostInvocations = 2000;
/** And no more than so many nodes of their syntax, loops unrolled. */
const mostNodes = 20_000;
/** Values of one loop that are followed. */
const mostLoopValues = 20;

type Walk = {
  readonly found: Invocation[];
  readonly isBackground: boolean;
  /** Nodes that may still be read: loops within loops are as many as the product of their values. */
  readonly budget: { left: number };
};

/**
 * The commands of a piece of Bash, in order, loops over literal values unrolled. Parsed by unbash (a tolerant parser that
 * neither runs nor expands anything), which gives back what it could read of broken input. Nothing is executed.
 */
export function readShell(
  source: string,
  variables: Variables = new Map(),
): {
  readonly invocations: readonly Invocation[];
  /** What later commands of the same shell see. */
  readonly variables: Variables;
} {
  const script = parse(source);
  const walk: Walk = { found: [], isBackground: false, budget: { left: mostNodes } };
  const after = statements(script.commands, variables, walk);
  return { invocations: walk.found, variables: after };
}

/** Whether a command ends where the text ends: no quote, loop or backslash is open. */
export function isWholeShell(source: string): boolean {
  return (parse(source).errors ?? []).length === 0 && !/\\\s*$/.test(source);
}

function statements(list: readonly Statement[], before: Variables, walk: Walk): Variables {
  let variables = before;
  for (const statement of list) {
    if (walk.found.length >= mostInvocations || walk.budget.left < 0) return variables;
    variables = node(statement.command, variables, { ...walk, isBackground: statement.background === true });
  }
  return variables;
}

/** Reads one node; gives back the variables that later commands see. */
function node(syntax: SyntaxNode, variables: Variables, walk: Walk): Variables {
  walk.budget.left -= 1;
  if (walk.budget.left < 0) return variables;
  switch (syntax.type) {
    case 'Command':
      return command(syntax, variables, walk, undefined).variables;
    case 'Pipeline': {
      let stdin: Output | undefined;
      for (const part of syntax.commands) {
        if (part.type === 'Command') stdin = command(part, variables, walk, stdin).stdout;
        else {
          node(part, variables, walk);
          stdin = undefined;
        }
      }
      return variables;
    }
    case 'AndOr':
      return syntax.commands.reduce((known, part) => node(part, known, walk), variables);
    case 'For': {
      const values = (syntax.wordlist ?? [])
        .flatMap((word) => valuesOf(word, variables))
        .slice(0, mostLoopValues);
      for (const value of values.length === 0 ? [`$${syntax.name.value}`] : values)
        statements(syntax.body.commands, new Map([...variables, [syntax.name.value, value]]), walk);
      return variables;
    }
    case 'Statement':
      return statements([syntax], variables, walk);
    case 'CompoundList':
      return statements(syntax.commands, variables, walk);
    case 'Word':
      return variables;
    default:
      forEachChild(syntax, (child) => void node(child, variables, walk));
      return variables;
  }
}

function command(
  syntax: Command,
  variables: Variables,
  walk: Walk,
  piped: Output | undefined,
): { readonly variables: Variables; readonly stdout: Output | undefined } {
  const words = [syntax.name, ...syntax.args].filter((word) => word !== undefined);
  const argv = words.map((word) => (word.type === 'Word' ? textOf(word, variables) : word.text));
  if (argv.length === 0) return { variables: assigned(syntax, variables), stdout: undefined };
  const stdin =
    syntax.redirects.map((one) => inputOf(one, variables)).findLast((one) => one !== undefined) ?? piped;
  const redirects = syntax.redirects.flatMap((redirect) =>
    redirect.type === 'Redirect' && redirect.target !== undefined
      ? [{ operator: redirect.operator, path: textOf(redirect.target, variables) }]
      : [],
  );
  walk.found.push({ argv, stdin, redirects, isBackground: walk.isBackground, pos: syntax.pos });
  return { variables: exported(syntax, argv, variables), stdout: outputOf(argv, stdin) };
}

function assigned({ prefix }: Command, variables: Variables): Variables {
  const values = prefix.flatMap((one) =>
    one.type === 'Assignment' && one.value.type === 'Word'
      ? [[one.name, textOf(one.value, variables)] as const]
      : [],
  );
  return values.length === 0 ? variables : new Map([...variables, ...values]);
}

/** `export XID=48`. */
function exported(syntax: Command, argv: readonly string[], variables: Variables): Variables {
  if (argv[0] !== 'export' && argv[0] !== 'local' && argv[0] !== 'declare') return variables;
  const values = syntax.args.flatMap((one) =>
    one.type === 'Assignment' && one.value.type === 'Word'
      ? [[one.name, textOf(one.value, variables)] as const]
      : [],
  );
  return values.length === 0 ? variables : new Map([...variables, ...values]);
}

function inputOf(redirect: Redirection, variables: Variables): Output | undefined {
  if (redirect.type === 'HereDoc')
    return { text: filled(redirect.body.text, variables), endsWithNewline: true };
  if (redirect.type === 'HereString' && redirect.target !== undefined)
    return { text: textOf(redirect.target, variables), endsWithNewline: true };
  return undefined;
}

/** What the common writers print; undefined: only a run would show it. */
export function outputOf(argv: readonly string[], stdin: Output | undefined): Output | undefined {
  const [program, ...args] = argv;
  if (program === 'cat' && args.length === 0) return stdin;
  if (program === 'tee') return stdin;
  if (program === 'echo') {
    const options = args.findIndex((arg) => !/^-[neE]+$/.test(arg));
    const from = options < 0 ? args.length : options;
    const flags = args.slice(0, from).join('');
    const text = args.slice(from).join(' ');
    return { text: flags.includes('e') ? unescaped(text) : text, endsWithNewline: !flags.includes('n') };
  }
  if (program !== 'printf' || args[0] === undefined) return undefined;
  const values = args.slice(1);
  const text = unescaped(args[0]).replace(/%[sd]/g, (spec) => values.shift() ?? (spec === '%d' ? '0' : ''));
  return { text: text.replace(/\n$/, ''), endsWithNewline: text.endsWith('\n') };
}

function unescaped(text: string): string {
  return text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
}

function valuesOf(word: Word, variables: Variables): readonly string[] {
  const text = textOf(word, variables);
  const range =
    /^\{(-?\d{1,6})\.\.(-?\d{1,6})\}$/.exec(text) ?? /^[$`]\(?seq (-?\d{1,6}) (-?\d{1,6})[`)]$/.exec(text);
  if (range !== null) return rangeOf(Number(range[1]), Number(range[2]));
  const listed = /^\{([^{}]*,[^{}]*)\}$/.exec(text);
  if (listed !== null && word.parts?.[0]?.type === 'BraceExpansion') return (listed[1] ?? '').split(',');
  // An unquoted variable is split at blanks.
  return word.parts?.[0]?.type === 'SimpleExpansion' ? text.split(/\s+/) : [text];
}

function rangeOf(from: number, to: number): readonly string[] {
  const length = Math.min(Math.abs(to - from) + 1, mostLoopValues);
  return Array.from({ length }, (_, index) => String(from < to ? from + index : from - index));
}

/** The word as a program would get it, variables of known value filled in. */
function textOf(word: Word, variables: Variables): string {
  if (word.parts === undefined) return word.value;
  return word.parts
    .map((part) => {
      switch (part.type) {
        case 'Literal':
        case 'SingleQuoted':
        case 'AnsiCQuoted':
          return part.value;
        case 'DoubleQuoted':
        case 'LocaleString':
          return part.parts
            .map((child) => ('value' in child ? child.value : filled(child.text, variables)))
            .join('');
        default:
          return filled(part.text, variables);
      }
    })
    .join('');
}

function filled(text: string, variables: Variables): string {
  if (variables.size === 0) return text;
  return text.replace(
    /\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g,
    (whole, braced: string, plain: string) => variables.get(braced ?? plain) ?? whole,
  );
}
