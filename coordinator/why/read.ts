import { textDistance } from '../../shared/text-distance.ts';
import { enabledIn } from './commands/cluster.ts';
import { knownPrograms, placeInWords, programOf, readCommand } from './commands/commands.ts';
import { injectOptions } from './commands/dcgmi.ts';
import { documentAt, newestOf, readDocument } from './documents.ts';
import {
  type At,
  type Deed,
  type DeedOf,
  longestQuote,
  type NotUnderstood,
  type Place,
  type Reading,
  type TextFact,
} from './piece.ts';
import { isBackground, placeOf, readFacts, readSeen } from './seen.ts';
import { isWholeShell, readShell, type Variables } from './shell.ts';
import { unwrap } from './unwrap.ts';
import { longestLine, readWords } from './words.ts';

/** More lines, deeds and unfinished commands are not read: a paste has hundreds, and the time stays bounded. */
const most = { lines: 20_000, deeds: 2000, extensions: 2000, chunk: 40 } as const;

/** Line ends of all systems. */
export const lineEnd = /\r\n|[\r\n]/;

/** What is read so far, and what carries over from line to line. */
type State = {
  readonly deeds: Deed[];
  readonly facts: TextFact[];
  readonly notUnderstood: NotUnderstood[];
  /** Where commands run: a shell that was opened in a pod or on a node. */
  shell: Place | undefined;
  extensions: number;
  /** Of the shell that the lines were typed into. */
  variables: Variables;
  readonly json: { isHopeless: boolean };
};

/** Reads a pasted text into what was done and seen, and what is not understood. Runs nothing, never throws. */
export function readText(pasted: string): Reading {
  const lines = pasted.split(lineEnd);
  const state: State = {
    deeds: [],
    facts: [],
    notUnderstood: [],
    shell: undefined,
    extensions: 0,
    variables: new Map(),
    json: { isHopeless: false },
  };
  let index = 0;
  while (index < lines.length) {
    if (index >= most.lines || state.deeds.length >= most.deeds) {
      state.notUnderstood.push({
        ...placeOf(index + 1, lines[index] ?? ''),
        nearest: 'the text is too long: what follows this line was not read; paste it in parts',
      });
      break;
    }
    index = readAt(lines, index, state);
  }
  return { deeds: withNewest(state.deeds), facts: state.facts, notUnderstood: state.notUnderstood };
}

/** Reads what begins at a line; gives back the line behind it. */
function readAt(lines: readonly string[], index: number, state: State): number {
  const whole = lines[index] ?? '';
  if (whole.trim() === '') return index + 1;
  const text = whole.slice(0, longestLine);
  const at = placeOf(index + 1, text);
  const isSentence = /`[^`]+`/.test(text) && !isCommand(text);
  const seen = isSentence ? [] : readSeen(text, at);
  if (seen.length > 0 && !isCommand(text)) {
    state.deeds.push(...seen);
    state.facts.push(...readFacts(text, at));
    return index + 1;
  }
  const document = documentAt(lines, index, state.json);
  if (document !== undefined) {
    const { deeds, facts } = readDocument(document, lines);
    state.deeds.push(...deeds);
    state.facts.push(...facts);
    return document.to;
  }
  const facts = readFacts(text, at);
  state.facts.push(...facts);
  if (isSentence)
    return readSentence(text, at, state, facts.length > 0) ? index + 1 : notUnderstood(at, state, index);
  if (isCommand(text)) {
    const end = commandEnd(lines, index, state);
    const source = lines.slice(index, end).map(withoutPrompt).join('\n');
    if (runsOf(source, index + 1, lines, state.shell, state)) return end;
  }
  const words = readWords(text, at);
  state.deeds.push(...words);
  if (words.length > 0 || facts.length > 0 || isBackground(text) || /^\s*#/.test(text)) return index + 1;
  return notUnderstood(at, state, index);
}

/** `$ `, `# `, `user@host:~$ ` and list marks in front of a command. */
function withoutPrompt(line: string): string {
  return line.replace(
    /^\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)?(?:\[[^\]]{1,60}\]\s*)?(?:[\w.@~/:-]{0,60}[$#%]\s+)?/,
    '',
  );
}

/** Whether a line begins with a program that is known, behind a prompt and assignments. */
function isCommand(line: string): boolean {
  const text = withoutPrompt(line.slice(0, longestLine)).replace(
    /^(?:[A-Za-z_]\w{0,60}=\S{0,200}\s+){0,5}/,
    '',
  );
  if (/^(?:for \w+ in |while |until |if |[A-Za-z_]\w*=\S+$|\(|\{ )/.test(text)) return true;
  return knownPrograms.includes(programOf(/^\S{1,200}/.exec(text)?.[0] ?? ''));
}

/** The line behind a command that goes on over several lines. */
function commandEnd(lines: readonly string[], from: number, state: State): number {
  let to = from + 1;
  while (to - from < most.chunk && state.extensions < most.extensions) {
    const source = lines.slice(from, to).map(withoutPrompt).join('\n');
    if (isWholeShell(source) && !hasOpenHereDocument(source)) return to;
    if (to >= lines.length) break;
    state.extensions += 1;
    to += 1;
  }
  return from + 1;
}

/** The parser takes the end of the text for the end of a here-document. */
function hasOpenHereDocument(source: string): boolean {
  const mark = /<<-?\s*["']?([A-Za-z_]\w*)/.exec(source)?.[1];
  return (
    mark !== undefined &&
    !source
      .split('\n')
      .slice(1)
      .some((line) => line.trim() === mark)
  );
}

/** Reads commands; whether one of them was understood. */
function runsOf(
  source: string,
  firstLine: number,
  lines: readonly string[] | undefined,
  place: Place | undefined,
  state: State,
): boolean {
  let isUnderstood = false;
  let here = place;
  const { invocations, variables } = readShell(source, state.variables);
  state.variables = variables;
  for (const invocation of invocations) {
    const line =
      lines === undefined ? firstLine : firstLine + source.slice(0, invocation.pos).split('\n').length - 1;
    const at =
      lines === undefined
        ? { line, quote: source.trim().slice(0, longestQuote) }
        : placeOf(line, lines[line - 1] ?? '');
    for (const one of unwrap(invocation, at, here)) {
      if (one.isEntry) {
        isUnderstood = true;
        if (one.place !== undefined && one.place.target !== '') here = one.place;
        continue;
      }
      if (programOf(one.argv[0] ?? '') === 'exit') here = undefined;
      const read = readCommand(one, at);
      if (read === undefined) continue;
      isUnderstood = true;
      state.deeds.push(...read.deeds);
      state.facts.push(...(read.facts ?? []));
    }
  }
  // A shell that was opened on a line of its own goes on in the next lines.
  if (lines !== undefined) state.shell = here;
  return isUnderstood;
}

/** A sentence with commands in backticks: what each of them did, and what the words between them say. */
function readSentence(text: string, at: At, state: State, hasFacts: boolean): boolean {
  let isUnderstood = hasFacts;
  let place = state.shell;
  let behind = 0;
  for (const span of text.matchAll(/`([^`]{1,1000})`/g)) {
    const [quoted, inner = ''] = span;
    place = placeInWords(text.slice(behind, span.index), at) ?? place;
    behind = span.index + quoted.length;
    // A table of Markdown escapes the pipe.
    const source = inner.replaceAll('\\|', '|').trim();
    const spanAt = { line: at.line, quote: inner.trim().slice(0, longestQuote) };
    const before = state.deeds.length;
    const ran = readSpan(source, spanAt, place, state);
    isUnderstood ||= ran || state.deeds.length > before;
  }
  const words = readWords(text, at);
  state.deeds.push(...words);
  return isUnderstood || words.length > 0;
}

function readSpan(source: string, at: At, place: Place | undefined, state: State): boolean {
  if (source.startsWith('-')) return readOptions(source, at, place, state);
  const seen = readSeen(source, at);
  if (seen.length > 0 && !isCommand(source)) {
    state.deeds.push(...seen);
    return true;
  }
  if (!isCommand(source)) return false;
  const before = state.deeds.length;
  const ran = runsOf(source, at.line, undefined, place, state);
  // The quote of a span is the span as it stands in the text.
  for (const [index, deed] of state.deeds.entries())
    if (index >= before) state.deeds[index] = { ...deed, quote: at.quote };
  return ran;
}

/** `-f 111 -v 999` behind an earlier dcgmi command, `--node-repair-config enabled=true`. */
function readOptions(source: string, at: At, place: Place | undefined, state: State): boolean {
  const args = source.split(/\s+/).slice(0, 50);
  if (source.startsWith('--node-repair-config')) {
    state.deeds.push({ ...at, is: 'node-repair', enabled: enabledIn(source) });
    return true;
  }
  const last = state.deeds.findLast((deed): deed is DeedOf<'inject'> => deed.is === 'inject');
  const given = Object.entries(injectOptions(args)).filter(([, value]) => value !== undefined);
  if (last === undefined || given.every(([name]) => name === 'hasEquals')) return false;
  state.deeds.push({
    ...at,
    is: 'inject',
    options: { ...last.options, ...Object.fromEntries(given) },
    place: place ?? last.place,
  });
  return true;
}

/** Conditions of a table are of one node: the newest heartbeat among them is that of the kubelet. */
function withNewest(deeds: readonly Deed[]): readonly Deed[] {
  const rows = deeds.filter(
    (deed): deed is DeedOf<'condition'> => deed.is === 'condition' && deed.newest === null,
  );
  const newest = newestOf(rows.map(({ condition }) => condition));
  return newest === null
    ? deeds
    : deeds.map((deed) => (deed.is === 'condition' && deed.newest === null ? { ...deed, newest } : deed));
}

const kinds =
  'commands (dcgmi, kubectl, docker, tee /dev/kmsg, logger, aws eks, eksctl, helm), kernel log lines, NMA’s log, node objects, events, dcgmi’s answers';

function notUnderstood(at: At, state: State, index: number): number {
  const word = programOf(/^\S{1,40}/.exec(withoutPrompt(at.quote))?.[0] ?? '');
  const near = knownPrograms.filter(
    (name) => name.length > 3 && word.length > 3 && textDistance(word, name) <= 2 && name !== word,
  )[0];
  state.notUnderstood.push({
    ...at,
    nearest: near === undefined ? `understood are ${kinds}` : `did you mean ${near}?`,
  });
  return index + 1;
}
