import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript';
import t, { type Test } from 'tap';
import ts from 'typescript';
import { gpuNode, type Rig, startRig } from '../coordinator/rig.ts';
import { root } from '../suite.ts';

/** What somebody writes against the coordinator, with types from nothing but its document. */
const coordinatorClient = `
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

type Phase = components['schemas']['Experiment']['phase'];
type Verdict = NonNullable<components['schemas']['Experiment']['verdict']>;
// Enums, not texts: another word does not compile.
const ended: readonly Phase[] = ['Completed', 'Aborted'];
const verdicts: readonly Verdict[] = ['pass', 'fail', 'inconclusive', 'error', 'aborted'];

export async function main(baseUrl: string) {
  const client = createClient<paths>({ baseUrl });
  const body = { fault: { name: 'conntrack-full' }, target: { selector: { names: ['gpu'] } } };

  const empty = await client.GET('/api/v1/experiments', { params: { query: { limit: 10, phase: 'Running' } } });
  const items: number = empty.data?.items.length ?? -1;

  const dry = await client.POST('/api/v1/experiments', { params: { query: { dryRun: 'All' } }, body });
  if (dry.data?.kind !== 'Plan') throw new Error('a dry run is answered with a plan');
  const planned: string[] = dry.data.targets.map((target) => target.node);

  const made = await client.POST('/api/v1/experiments', {
    params: { header: { prefer: 'wait=240' } },
    body: { ...body, name: 'typed' },
  });
  if (made.data?.kind !== 'Experiment') throw new Error(JSON.stringify(made.error));

  const read = await client.GET('/api/v1/experiments/{name}', { params: { path: { name: 'typed' } } });
  const verdict = read.data?.verdict ?? null;
  const isKnown = verdict !== null && verdicts.includes(verdict);

  const second = await client.POST('/api/v1/experiments', { body: { ...body, name: 'aborted' } });
  const aborted = await client.POST('/api/v1/experiments/{name}/abort', {
    params: { path: { name: 'aborted' }, header: { prefer: 'wait=240' } },
    body: {},
  });
  const last = aborted.data?.phase;

  const wrong = await client.POST('/api/v1/experiments', { body: { fault: { name: 'nope' } } });
  return {
    items,
    planned,
    created: made.data.name,
    verdict,
    isKnown,
    second: second.response.status,
    isEnded: last !== undefined && ended.includes(last),
    problem: [wrong.error?.status, wrong.error?.code, wrong.error?.errors?.[0]?.field],
  };
}
`;

/** The same against an agent. */
const agentClient = `
import createClient from 'openapi-fetch';
import type { paths } from './schema.js';

export async function main(baseUrl: string) {
  const client = createClient<paths>({ baseUrl });
  const inventory = await client.POST('/xidrill.agent.v1.AgentService/GetInventory', { body: {} });
  const capabilities: string[] = inventory.data?.capabilities.map(({ name }) => name) ?? [];
  const refused = await client.POST('/xidrill.agent.v1.AgentService/InjectDcgmField', {
    body: { gpu: { index: 0 }, field: 150, value: 48 },
  });
  const done = await client.POST('/xidrill.agent.v1.AgentService/InjectXid', {
    body: { gpu: { index: 0 }, xid: 31, surfaces: ['kernel-log'] },
  });
  return {
    node: inventory.data?.node,
    capabilities,
    refused: [refused.response.status, refused.error?.code, refused.error?.details.reason],
    outcomes: done.data?.surfaces.map(({ outcome }) => outcome),
  };
}
`;

t.test('clients made of the documents compile under strict and run', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('gpu')] });
  t.match(await resultOf(t, rig.url, coordinatorClient), {
    items: 0,
    planned: ['gpu'],
    created: 'typed',
    verdict: 'pass',
    isKnown: true,
    second: 202,
    isEnded: true,
    problem: [400, 'fault_unknown', 'fault.name'],
  });
  t.match(await resultOf(t, agentOf(rig), agentClient), {
    node: 'gpu',
    capabilities: ['kernel-log'],
    refused: [400, 'failed_precondition', 'field_value_no_effect'],
    outcomes: ['injected'],
  });
  const wrong = coordinatorClient.replace("phase: 'Running'", "phase: 'Walking'");
  await t.rejects(
    resultOf(t, rig.url, wrong),
    /"Walking"/,
    'what the document does not know does not compile',
  );
});

function agentOf(rig: Rig): string {
  return rig.node('gpu').url;
}

/** Makes types of the served document, compiles the client with them, and runs it against the server. */
async function resultOf(t: Test, url: string, source: string): Promise<unknown> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenAPI3;
  const types = astToString(await openapiTS(document));
  // Below node_modules, where the client finds openapi-fetch.
  const caches = join(root, 'node_modules/.cache');
  mkdirSync(caches, { recursive: true });
  const folder = mkdtempSync(join(caches, 'openapi-client-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(join(folder, 'schema.ts'), types);
  const client = join(folder, 'client.ts');
  writeFileSync(client, source);
  const options: ts.CompilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2024.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
  };
  const program = ts.createProgram([client], options);
  const faults = ts.getPreEmitDiagnostics(program);
  if (faults.length > 0)
    throw new Error(
      faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')).join('\n'),
    );
  program.emit();
  const { main } = (await import(pathToFileURL(join(folder, 'client.js')).href)) as {
    main: (url: string) => Promise<unknown>;
  };
  return main(url);
}
