import { setTimeout as sleep } from 'node:timers/promises';
import { firstWith } from '../catalogue/nma/versions.ts';
import type { RepairForecast } from '../repair/schema.ts';
import type { ExperimentAnswer } from '../routes/answers.ts';
import type { Explanation } from '../store/explanation.ts';
import { storyNodes } from './accounts.ts';
import type { RehearsalCluster } from './cluster.ts';

/** One step of the story as it came out. */
export type StoryStep = {
  readonly step: string;
  readonly did: string;
  readonly saw: string;
  readonly node: string;
  readonly verdict: string;
  readonly explanation: Explanation;
  /** The causes that the step has to name; the first is the explanation's own. */
  readonly expected: readonly string[];
  readonly latencySeconds: number | null;
};

/** Where a step differs from what the account says it must explain; empty: nowhere. */
export function faultsOf(step: StoryStep): readonly string[] {
  const { explanation, expected } = step;
  const named = [explanation.code, ...explanation.alsoFound.map(({ code }) => code)];
  const missing = expected.filter((code) => !named.includes(code));
  return [
    ...(explanation.code === expected[0]
      ? []
      : [`explains ${explanation.code}, not ${expected[0] ?? 'nothing'}`]),
    ...missing.map((code) => `does not name ${code}`),
    ...(explanation.evidence.length > 0 ? [] : ['has no evidence']),
  ];
}

/** Half an hour without a heartbeat: what the account saw at 03:04, with 02:32 in the condition. */
const staleMs = 33 * 60_000;

/** Word for word; the address is spelled as nvidia-smi does it, not as a driver prints it. */
const handWritten = 'NVRM: Xid (PCI:00000000:00:1F.0): 31, Ch 00000001, failed to allocate GPU memory';

const { arm, amd } = storyNodes;

/** The remedy of step 5. */
const firstWithoutGate = firstWith((row) => !row.arm64Gate) ?? '';

/**
 * One user's six steps, in order, each on the real product, and the same drill again when the links are mended. What
 * each step must say stands in the account that it retells. `pause` as for `untilAgentListens`.
 */
export async function* playStory(cluster: RehearsalCluster, pause = shortPause): AsyncGenerator<StoryStep> {
  const rest = createRest(cluster.url, pause);
  await cluster.installNma({ version: '1.4.3', credentials: 'irsa', lastReportMsAgo: staleMs });
  await rest.untilReady();

  yield stepOf(
    {
      step: '1',
      did: 'installed the add-on with an IAM role for its ServiceAccount',
      saw: 'pods Running; a stack trace about a token file',
      node: arm.name,
      expected: ['credentials-broken'],
    },
    await rest.drill({ fault: { name: 'xid', parameters: { xid: 79 } }, target: only(arm) }),
  );

  // The role is taken away and the pods start again, as step 1 said; two engines of the user's own stand beside NMA's.
  await cluster.installNma({ version: '1.4.3', credentials: 'healthy' });
  const node = cluster.node(amd.name);
  node.addEngine({ pid: 3310, port: 5556, podUid: null });
  node.addEngine({ pid: 3402, port: 5557, podUid: '2b7c1f0e-9a44-4a0c-8c39-d1f5a7c1e0aa' });
  await rest.untilListening(cluster.node(amd.name).url);

  yield stepOf(
    {
      step: '2',
      did: `echo "<3>${handWritten}" | sudo tee /dev/kmsg`,
      saw: 'the line in dmesg, nothing else',
      node: amd.name,
      expected: ['kernel-log-not-read'],
    },
    await rest.drill({
      fault: { name: 'kernel-message', parameters: { text: handWritten } },
      target: only(amd),
      expectation: { kind: 'condition', type: 'AcceleratedHardwareReady', reason: 'NvidiaXID31Error' },
    }),
  );

  yield stepOf(
    {
      step: '3a',
      did: 'dcgmi test --inject --gpuid 0 -f 150 -v 48 ("XID 48")',
      saw: '"Successfully injected field info."',
      node: amd.name,
      expected: ['field-is-another-quantity'],
    },
    await rest.drill({
      fault: { name: 'dcgm-field', parameters: { field: 150, value: 48 } },
      target: only(amd),
    }),
  );
  yield stepOf(
    {
      step: '3b',
      did: 'dcgmi test --inject --gpuid 0 -f 111 -v 999 ("ECC uncorrectable")',
      saw: '"Successfully injected field info."',
      node: amd.name,
      expected: ['field-is-another-quantity'],
    },
    await rest.drill({
      fault: { name: 'dcgm-field', parameters: { field: 111, value: 999 } },
      target: only(amd),
    }),
  );
  yield stepOf(
    {
      step: '3c',
      did: 'the right field, in an nv-hostengine of their own',
      saw: '"Successfully injected field info."',
      node: amd.name,
      expected: ['wrong-engine'],
    },
    await rest.drill({
      fault: { name: 'dcgm-field', parameters: { field: 230, value: 48, engine: { pid: 3310 } } },
      target: only(amd),
    }),
  );

  yield stepOf(
    {
      step: '4',
      did: 'dcgmi test --inject -f 319 -v 4 inside dcgm-exporter',
      saw: 'success again',
      node: amd.name,
      expected: ['wrong-engine'],
    },
    await rest.drill({
      fault: { name: 'dcgm-field', parameters: { field: 319, value: 4, engine: { pid: 3402 } } },
      target: only(amd),
    }),
  );

  yield stepOf(
    {
      step: '5',
      did: 'watched AcceleratedHardwareReady on the GPU node',
      saw: 'True, whatever was injected',
      node: arm.name,
      expected: ['arm64-gate'],
    },
    await rest.drill({ fault: { name: 'xid', parameters: { xid: 79 } }, target: only(arm) }),
  );

  yield await repairStep(rest);

  await cluster.installNma({ version: firstWithoutGate, credentials: 'healthy' });
  await rest.untilListening(cluster.node(arm.name).url);
  yield stepOf(
    {
      step: 'then',
      did: `the drill of step 5 on the same node, with v${firstWithoutGate} and no role`,
      saw: 'the condition',
      node: arm.name,
      expected: ['reacted'],
    },
    await rest.drill({ fault: { name: 'xid', parameters: { xid: 79 } }, target: only(arm) }),
  );
}

/** Nothing is drilled: what each controller would do is read from the cluster. */
async function repairStep(rest: Rest): Promise<StoryStep> {
  const { checks, repair } = await rest.preflight(amd.name);
  const gate = checks.find(({ code }) => code === 'karpenter-gate-off');
  const karpenter = repair.find(({ controller }) => controller === 'Karpenter');
  const ofGroup = await rest.preflight(arm.name);
  const group = ofGroup.repair.find(({ controller }) => controller !== 'Karpenter');
  const notEnabled = ofGroup.checks.find(({ code }) => code === 'repair-not-enabled');
  return {
    step: '6',
    did: 'waited for the node to be replaced (Karpenter; --node-repair-config enabled=true)',
    saw: 'nothing',
    node: amd.name,
    verdict: 'fail',
    expected: ['karpenter-gate-off', 'repair-not-enabled'],
    latencySeconds: null,
    explanation: {
      code: gate?.code ?? 'unexplained',
      summary: gate?.text ?? 'the preflight has no entry about repair',
      evidence: [...(karpenter?.evidence ?? []), ...(group?.evidence ?? [])],
      remedy: gate?.remedy ?? '',
      refuted: [],
      alsoFound:
        notEnabled === undefined
          ? []
          : [{ code: notEnabled.code, summary: notEnabled.text, remedy: notEnabled.remedy ?? '' }],
    },
  };
}

function only(node: { readonly name: string }) {
  return { selector: { names: [node.name] } };
}

function stepOf(
  about: Omit<StoryStep, 'verdict' | 'explanation' | 'latencySeconds'>,
  answer: Drilled,
): StoryStep {
  const nothing: Explanation = {
    code: 'none',
    summary: 'no explanation was given',
    evidence: [],
    remedy: '',
    refuted: [],
    alsoFound: [],
  };
  return {
    ...about,
    verdict: answer.verdict ?? answer.phase,
    explanation: answer.explanation ?? nothing,
    latencySeconds: answer.latency?.seconds ?? null,
  };
}

type Drilled = Pick<ExperimentAnswer, 'verdict' | 'explanation' | 'latency'> & {
  /** `Refused`: no experiment was created. */
  readonly phase: ExperimentAnswer['phase'] | 'Refused';
};

type Preflight = {
  readonly checks: readonly {
    readonly code: string;
    readonly result: string;
    readonly text: string;
    readonly remedy?: string;
  }[];
  readonly repair: readonly RepairForecast[];
};

type Rest = {
  untilReady(): Promise<void>;
  untilListening(agentUrl: string): Promise<void>;
  drill(body: object): Promise<Drilled>;
  preflight(node: string): Promise<Preflight>;
};

/** Between two looks, in real time. */
const shortPause = () => sleep(20);
/** Of real time: a bound for a rehearsal that is broken, far above what a busy machine needs. */
const patienceMs = 120_000;

/**
 * Its policies listen half a minute after it has started, and before that every injection would be refused. `pause` resolves when it is
 * time to look again; a clock that jumps has one of its own.
 */
export async function untilAgentListens(agentUrl: string, pause = shortPause): Promise<void> {
  await until('the monitoring agent listens on its host engine', pause, async () => {
    const response = await fetch(`${agentUrl}/xidrill.agent.v1.AgentService/ListHostEngines`, {
      method: 'POST',
      headers: json,
      body: '{}',
    });
    const { engines } = (await response.json()) as { engines: { nma: { listening: boolean } }[] };
    return engines.some(({ nma }) => nma.listening);
  });
}

const json = { 'content-type': 'application/json' };

/** The coordinator as a pipeline sees it. */
function createRest(url: string, pause: typeof shortPause): Rest {
  return {
    untilReady: () => until('the coordinator is ready', pause, async () => (await fetch(`${url}/readyz`)).ok),
    untilListening: (agentUrl) => untilAgentListens(agentUrl, pause),
    async drill(body) {
      const response = await fetch(`${url}/api/v1/experiments`, {
        method: 'POST',
        headers: { ...json, prefer: 'wait=240' },
        body: JSON.stringify(body),
      });
      const answer: unknown = await response.json();
      return response.ok ? (answer as ExperimentAnswer) : answerFromProblem(answer as Problem);
    },
    async preflight(node) {
      const response = await fetch(`${url}/api/v1/nodes/${node}/preflight`);
      return (await response.json()) as Preflight;
    },
  };
}

type Problem = { readonly code: string; readonly detail: string; readonly explanation?: Explanation };

/** A problem document in the shape of an answer, so that a refused drill is told like any other. */
function answerFromProblem(problem: Problem): Drilled {
  return { verdict: 'error', phase: 'Refused', explanation: problem.explanation ?? null, latency: null };
}

/** Asks again until it is so; throws with what is missing where it does not become so. */
async function until(what: string, pause: typeof shortPause, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(patienceMs);
  while (!(await isSo())) {
    if (deadline.aborted) throw new Error(`waited ${patienceMs / 1000} s in vain until ${what}`);
    await pause();
  }
}
