import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { root } from './suite.ts';

/**
 * The rooms of each program, from the bottom up: a file imports from its own room and from rooms on lower lines, never
 * from its own line or a higher one. A room is a folder with all that is in it; imports of types count as well.
 */
const storeys: readonly (readonly string[])[] = [
  ['shared'],
  // The agent: other programs, engines and ports at the bottom, orders above them.
  ['agent/programs'],
  [
    'agent/engines',
    'agent/engine-process',
    'agent/host-files',
    'agent/kernel-log',
    'agent/nvml',
    'agent/policy',
  ],
  ['agent/dcgm', 'agent/inventory'],
  ['agent/injection'],
  ['agent'],
  // The coordinator: what speaks to others and what is data, what is stored, what is seen, what it means, what is done.
  ['coordinator/cluster', 'coordinator/agents', 'coordinator/catalogue'],
  ['coordinator/store', 'coordinator/eks'],
  ['coordinator/view'],
  ['coordinator/repair'],
  ['coordinator/diagnosis'],
  ['coordinator/drill'],
  ['coordinator/plan', 'coordinator/restore', 'coordinator/report'],
  ['coordinator/preview', 'coordinator/run', 'coordinator/why', 'coordinator/doctor', 'coordinator/drilling'],
  ['coordinator/suite', 'coordinator/live', 'coordinator/page'],
  ['coordinator/routes', 'coordinator/cli'],
  ['coordinator'],
  ['coordinator/rehearsal'],
];

/** Rooms that put a whole program together, and so know all of its parts. */
const compositions: Readonly<Record<string, string>> = {
  agent: 'app.ts and main.ts make the agent of its capabilities',
  coordinator: 'app.ts and main.ts make the coordinator of its rooms',
  'coordinator/cli': 'makes the command line of its rooms, one command a file',
  'coordinator/rehearsal': 'runs both programs over fakes, in one process',
};

/** How many other rooms a room may import from, beside `shared`, which everything stands on. */
const mostImports = 5;

/** Lines of one function, from its signature to its closing brace. */
const longestFunction = 120;

const rooms = storeys.flat();
const sources = globSync('{agent,coordinator,shared}/**/*.ts', { cwd: root })
  .toSorted()
  .map((path) =>
    ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true),
  );

/** The innermost room that a file is in. */
function roomOf(path: string): string {
  const inside = rooms.filter((room) => path.startsWith(`${room}/`));
  const room = inside.toSorted((left, right) => right.length - left.length)[0];
  // A new folder is to be given its storey, not to be taken for a part of the composition.
  const isKnown = room !== undefined && (room === 'shared' || !path.slice(room.length + 1).includes('/'));
  if (room !== undefined && (isKnown || room.includes('/'))) return room;
  throw new Error(`${path} is in no room: add its folder to the storeys`);
}

/** Files of ours that a file imports: statically, for its types, or with import(). */
function importsOf(file: ts.SourceFile): readonly string[] {
  const found: string[] = [];
  const add = (specifier: ts.Node | undefined) => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier) && specifier.text.startsWith('.'))
      found.push(normalize(join(dirname(file.fileName), specifier.text)));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found.filter((path) => path.endsWith('.ts'));
}

type Edge = { readonly from: string; readonly to: string; readonly files: string[] };

/** Imports between different rooms, each with the files that make it. */
const edges = sources
  .flatMap((file) => importsOf(file).map((to) => ({ from: file.fileName, to })))
  .reduce((all, { from, to }) => {
    const [left, right] = [roomOf(from), roomOf(to)];
    const key = `${left} → ${right}`;
    const edge = all.get(key) ?? { from: left, to: right, files: [] };
    edge.files.push(`${from} imports ${to}`);
    return left === right ? all : all.set(key, edge);
  }, new Map<string, Edge>());

const storeyOf = (room: string) => storeys.findIndex((storey) => storey.includes(room));

t.test('imports point downwards', async (t) => {
  const upward = [...edges.values()].filter(({ from, to }) => storeyOf(from) <= storeyOf(to));
  t.same(
    upward.flatMap(({ files }) => files),
    [],
    'nothing imports from its own storey or a higher one, so that there is no circle either',
  );
  const across = [...edges.values()].filter(
    ({ from, to }) => from.startsWith('agent') && to.startsWith('coordinator'),
  );
  const backwards = [...edges.values()].filter(
    ({ from, to }) =>
      from.startsWith('coordinator') && to.startsWith('agent') && from !== 'coordinator/rehearsal',
  );
  t.same(
    [...across, ...backwards].flatMap(({ files }) => files),
    [],
    'the two programs share nothing but shared/, and the rehearsal runs both',
  );
});

t.test('a room knows few others', async (t) => {
  const many = rooms.flatMap((room) => {
    const others = [...edges.values()].filter(({ from, to }) => from === room && to !== 'shared');
    if (compositions[room] !== undefined || others.length <= mostImports) return [];
    return [`${room} imports from ${others.map(({ to }) => to).join(', ')}`];
  });
  t.same(many, []);
  for (const [room, because] of Object.entries(compositions)) {
    t.ok(rooms.includes(room), `${room} is a room`);
    t.ok(because !== '', `${room}: why it may`);
  }
});

t.test('the graph', async (t) => {
  for (const room of rooms) {
    const others = [...edges.values()].filter(({ from }) => from === room);
    const shown = others.map(({ to, files }) => `${to} (${files.length})`).toSorted();
    t.comment(`${room} → ${shown.join(', ') || 'nothing'}`);
  }
  t.ok(edges.size > rooms.length, 'imports were found');
});

t.test(`no function is longer than ${longestFunction} lines`, async (t) => {
  const long = sources.flatMap((file) => longFunctions(file));
  t.same(
    long.map(({ lines, name }) => `${name}: ${lines} lines`),
    [],
  );
});

function longFunctions(file: ts.SourceFile): readonly { readonly name: string; readonly lines: number }[] {
  const found: { name: string; lines: number }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const from = file.getLineAndCharacterOfPosition(node.getStart()).line;
      const lines = file.getLineAndCharacterOfPosition(node.end).line - from + 1;
      const name = ts.getNameOfDeclaration(node as ts.Declaration)?.getText() ?? 'a function';
      if (lines > longestFunction) found.push({ name: `${file.fileName} ${name}`, lines });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
