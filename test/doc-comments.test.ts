import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { root } from './suite.ts';

/** All sources; tests describe themselves. */
const folders = ['agent', 'charts', 'coordinator', 'shared'] as const;

type Exported = { readonly name: string; readonly line: number; readonly hasComment: boolean };

/** A type and a value of one name are one symbol: either carries the comment. */
function exportedSymbols(file: ts.SourceFile): readonly Exported[] {
  const found = new Map<string, Exported>();
  for (const statement of file.statements) {
    if (!ts.canHaveModifiers(statement)) continue;
    const isExported = ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    if (isExported !== true) continue;
    const line = file.getLineAndCharacterOfPosition(statement.getStart()).line + 1;
    const hasComment = hasDocComment(statement);
    for (const name of namesOf(statement)) {
      const other = found.get(name);
      found.set(name, { name, line, hasComment: hasComment || other?.hasComment === true });
    }
  }
  return [...found.values()];
}

function namesOf(statement: ts.Statement): readonly string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  const named = statement as ts.DeclarationStatement;
  return named.name === undefined ? [] : [named.name.getText()];
}

function hasDocComment(node: ts.Node): boolean {
  return ts.getJSDocCommentsAndTags(node).some((comment) => (comment.comment ?? '') !== '');
}

/** What a port promises is described method by method. */
function bareMembers(file: ts.SourceFile): readonly string[] {
  if (!file.fileName.endsWith('/port.ts')) return [];
  return file.statements
    .filter(ts.isInterfaceDeclaration)
    .flatMap(({ name, members }) =>
      members
        .filter((member) => !hasDocComment(member))
        .map((member) => `${name.text}.${member.name?.getText() ?? '?'}`),
    );
}

function sourcesOf(folder: string): readonly ts.SourceFile[] {
  return globSync(`${folder}/**/*.ts`, { cwd: root }).map((path) =>
    ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true),
  );
}

t.test('every exported symbol has a doc comment', async (t) => {
  for (const folder of folders) {
    const sources = sourcesOf(folder);
    t.ok(sources.length > 0, `${folder} has sources`);
    const bare = sources.flatMap((file) =>
      exportedSymbols(file)
        .filter(({ hasComment }) => !hasComment)
        .map(({ name, line }) => `${file.fileName}:${line} ${name}`),
    );
    t.same(bare, [], `${folder}: exported, and without a comment that says what it is`);
  }
});

t.test('and so has every member of a port', async (t) => {
  for (const folder of folders) {
    const bare = sourcesOf(folder).flatMap((file) =>
      bareMembers(file).map((name) => `${file.fileName} ${name}`),
    );
    t.same(bare, [], folder);
  }
});

t.test('a symbol without a comment is found', async (t) => {
  const text = [
    '/** What it is. */',
    'export type Known = { readonly a: number };',
    'export const Known = 1;',
    '// no doc comment',
    'export function bare() {}',
    '/** */',
    'export const empty = 1;',
    'const inner = 2;',
  ].join('\n');
  const file = ts.createSourceFile('made-up.ts', text, ts.ScriptTarget.Latest, true);
  t.same(
    exportedSymbols(file).map(({ name, hasComment }) => [name, hasComment]),
    [
      ['Known', true],
      ['bare', false],
      ['empty', false],
    ],
  );
});
