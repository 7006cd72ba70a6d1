import { type Discovery, parseDiscovery, parseVersions } from '../../shared/dcgmi/discovery.ts';
import { groupOfNma, parseFieldGroups, whyGroupsIncomplete } from '../../shared/dcgmi/field-groups.ts';
import { causeOf, messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { EngineProcess } from '../engines/port.ts';
import { parseIntrospection, refusalFromRun, renderExit } from './codecs/injection.ts';
import type { Dcgmi } from './port.ts';

/** An engine that does not answer costs 5 s of dcgmi's own patience, so this is a bit more. */
const discoveryMs = 8000;
const questionMs = 5000;

/** The fatal SXid: on a GPU only the monitoring agent watches it, and a client's watch ends with its connection. */
const observedField = 856;

/** As many as DCGM itself takes (DCGM_MAX_NUM_DEVICES, dcgm_structs.h); each may cost one more run of dcgmi. */
const mostGpus = 32;

type Reactions = HostEngineFacts['nma'];

/**
 * Everything that can be found out about one engine until `signal` is aborted. What cannot is a problem in the answer, never a
 * throw.
 */
export async function describeEngine(
  engine: EngineProcess,
  dcgmi: Dcgmi,
  signal?: AbortSignal,
): Promise<HostEngineFacts> {
  // Whoever called a process so would get the answers, and root's dcgmi would read theirs.
  if (engine.untrusted !== undefined) return unasked(engine, engine.untrusted);
  const problems = [...engine.problems];
  let agentLacks: string | undefined;
  const attempt = async <T>(what: string, question: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await question();
    } catch (thrown) {
      if (thrown instanceof Refusal && causeOf(thrown.reason) === causeOf('agent_incapable'))
        agentLacks ??= thrown.message;
      const text =
        thrown instanceof Refusal ? `${thrown.reason}: ${thrown.message}` : messageFromUnknown(thrown);
      problems.push(`${what}: ${text}`);
      return undefined;
    }
  };
  const located = await attempt('dcgmi', () => dcgmi.locate(engine));
  if (located !== undefined && 'because' in located) {
    problems.push(`dcgmi: ${located.because}`);
    agentLacks ??= located.because;
  }
  const path = located !== undefined && 'path' in located ? located.path : null;

  const ask = questionsTo(engine, dcgmi, signal);
  // Where another process holds the address, its answers would be taken for this one's.
  const discovery =
    path === null || engine.foreign === true ? undefined : await attempt('GPUs', ask.discovery);
  const { gpus: listed = [], problems: unclear = [], ...beside } = discovery ?? {};
  problems.push(...unclear);
  const gpus = listed.slice(0, mostGpus);
  if (listed.length > mostGpus) problems.push(`GPUs: it lists ${listed.length}; ${mostGpus} are the limit`);
  // An engine that does not answer this one would keep the others waiting in vain.
  const answers = discovery !== undefined;
  const [version, nma] = answers
    ? await Promise.all([
        attempt('version', ask.version),
        attempt('listeners', () => ask.listeners({ ...discovery, gpus }, problems)),
      ])
    : [undefined, undefined];
  if (answers && version === null) problems.push('version: the engine did not say it within 0.1 s');
  return {
    ...identityOf(engine),
    version: version ?? null,
    dcgmi: path,
    gpus,
    ...beside,
    nma: nma ?? { listening: false, evidence: 'not known: the engine could not be asked', answered: false },
    problems,
    ...(agentLacks === undefined ? {} : { agentLacks }),
  };
}

function identityOf(engine: EngineProcess) {
  const { pid, commandLine, executable, container, podUid, pod, address, listening } = engine;
  return {
    ...{ pid, commandLine: [...commandLine], executable, container, podUid, address, listening },
    ...(pod === undefined ? {} : { pod }),
  };
}

function unasked(engine: EngineProcess, untrusted: string): HostEngineFacts {
  return {
    ...identityOf(engine),
    untrusted,
    version: null,
    dcgmi: null,
    gpus: [],
    nma: { listening: false, evidence: `not asked: ${untrusted}`, answered: false },
    problems: [...engine.problems, `not asked: ${untrusted}`],
  };
}

function present<T>(item: T | undefined): T[] {
  return item === undefined ? [] : [item];
}

function questionsTo(engine: EngineProcess, dcgmi: Dcgmi, signal: AbortSignal | undefined) {
  const run = (args: readonly string[], timeoutMs: number) =>
    dcgmi.run(engine, args, signal === undefined ? { timeoutMs } : { timeoutMs, signal });
  return {
    async discovery(): Promise<Discovery> {
      const done = await run(['discovery', '-l'], discoveryMs);
      const found = parseDiscovery(done.output);
      if (done.exitCode === 0) return found;
      // A table stands behind the error where a later one failed: with the NvSwitch module on the deny list dcgmi prints
      // all GPUs and ends with -33 (KempnerInstitute/kempnerpulse#15; DCGM dcgmi/Query.cpp).
      const refusal = refusalFromRun(done, 'could not list the GPUs');
      if (found.gpus.length === 0 && found.unreadableGpus === undefined) throw refusal;
      return { ...found, problems: [`the list ended with ${renderExit(done.exitCode)}`, ...found.problems] };
    },
    async version(): Promise<string | null> {
      return parseVersions((await run(['-v'], questionMs)).output).engine;
    },
    async listeners(discovery: Discovery, problems: string[]): Promise<Reactions> {
      const groups = await run(['fieldgroup', '-l'], questionMs);
      if (groups.exitCode !== 0) throw refusalFromRun(groups, 'could not list the field groups');
      const found = parseFieldGroups(groups.output);
      const group = groupOfNma(found);
      const unclear = present(whyGroupsIncomplete(groups.output, found));
      let seen: { readonly gpu: number; readonly count: number } | undefined;
      for (const { id } of discovery.gpus) {
        const args = ['test', '--introspect', '--gpuid', String(id), '-f', String(observedField)];
        try {
          const count = parseIntrospection(await run(args, questionMs))?.watchers ?? 0;
          if (count > 0) seen = { gpu: id, count };
        } catch (thrown) {
          // One GPU that cannot be asked does not hide what the others and the field groups show.
          unclear.push(`watchers on GPU ${id}: ${messageFromUnknown(thrown)}`);
        }
        if (seen !== undefined) break;
      }
      problems.push(...unclear);
      const listening = group !== undefined || seen !== undefined;
      const groupText =
        group === undefined
          ? 'no field group "watch" of the node monitoring agent'
          : `field group "watch" (${group.fields.join(', ')})`;
      const watcherText =
        seen === undefined
          ? `field ${observedField} has no watcher`
          : `${seen.count} on field ${observedField} of GPU ${seen.gpu}`;
      return {
        listening,
        evidence: `${groupText}; watchers: ${watcherText}`,
        answered: listening || unclear.length === 0,
      };
    },
  };
}
