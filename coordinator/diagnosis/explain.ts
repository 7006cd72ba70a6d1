import type { Evidence, Explanation } from '../store/explanation.ts';
import { type Facts, isUnread } from '../view/facts.ts';
import { expectedType, hasReacted, injectedOn, seenInjection } from './drill.ts';
import { renderPod, seen, seenCondition } from './evidence.ts';
import { conditionOf } from './liveness.ts';
import type { Cause, Judgement, Rule } from './rule.ts';
import { rules as allRules } from './rules.ts';

type Judged = { readonly rule: Rule; readonly judgement: Judgement };
type Found = { readonly rule: Rule; readonly cause: Cause };

export type PreflightCheck = {
  readonly code: string;
  readonly title: string;
  readonly result: 'ok' | 'cause' | 'unknown';
  /** Why it is so, in one or two sentences. */
  readonly text: string;
  /** What to do about a cause; absent otherwise. */
  readonly remedy?: string;
  readonly blocks: boolean;
};

export type Preflight = {
  /** Set where the drill's reaction cannot appear: then nothing is to be injected. */
  readonly blocking: Explanation | undefined;
  readonly checks: readonly PreflightCheck[];
};

/** Why nothing happened: the first proven cause in the order of the rules, else the first likely one, else the open question. */
export function explain(facts: Facts, rules: readonly Rule[] = allRules): Explanation {
  const judged = judgeAll(facts, rules);
  const asked = hasReacted(facts) ? 'repair' : 'reaction';
  const fitting = causesOf(judged).filter(({ rule, cause }) => rule.link === asked && !cause.aside);
  const first = fitting.find(({ cause }) => cause.certainty === 'proven') ?? fitting[0];
  return first === undefined ? explainNothing(facts, judged) : explanationOf(first, judged);
}

/** Before the injection: everything that is found, and whether the reaction can come at all. */
export function preflight(facts: Facts, rules: readonly Rule[] = allRules): Preflight {
  const judged = judgeAll(facts, rules);
  const blocking = causesOf(judged).find(({ cause }) => cause.blocks);
  return {
    blocking: blocking && explanationOf(blocking, judged),
    checks: judged.flatMap(({ rule, judgement }) => checkOf(rule, judgement)),
  };
}

/** A drill that passed: what was seen, how soon, and what is broken besides. */
export function explainPass(
  facts: Facts,
  what: { readonly text: string; readonly latencySeconds: number; readonly source: string },
  rules: readonly Rule[] = allRules,
): Explanation {
  const { drill, node } = facts;
  const reason = drill?.expectation.reason ?? 'the reaction';
  const condition =
    drill?.expectation.kind === 'condition' ? conditionOf(facts, drill.expectation.type) : undefined;
  return {
    code: 'reacted',
    summary: `NMA reacted on node ${node.name} after ${renderLatency(what.latencySeconds)}: ${reason}.`,
    evidence: [
      ...injectedOn(drill).map((result) => seenInjection(facts, result)),
      seen(facts, what.source, what.text),
      ...(condition === undefined ? [] : [seenCondition(facts, condition)]),
    ],
    remedy:
      condition === undefined
        ? 'Nothing to do: an event leaves nothing on the node.'
        : `Restore the node, or let it be repaired: ${condition.type} stays False until NMA restarts.`,
    refuted: [],
    // What would explain a silence is no finding where there was none.
    alsoFound: causesOf(judgeAll(withReaction(facts, what), rules))
      .filter(({ rule, cause }) => rule.link === 'repair' || cause.aside)
      .map(furtherOf),
  };
}

/** The reaction may have been found by its text alone; rules that explain a silence must not see one. */
function withReaction(facts: Facts, what: { readonly text: string; readonly source: string }): Facts {
  const { drill } = facts;
  if (drill === undefined || hasReacted(facts)) return facts;
  const { source, text } = what;
  const entry = {
    at: facts.at,
    clock: 'coordinator',
    kind: drill.expectation.kind === 'condition' ? 'condition' : 'event',
    source,
    text,
    match: true,
  } as const;
  return { ...facts, drill: { ...drill, timeline: [...drill.timeline, entry] } };
}

/** A refusal before any fact could be read: by ourselves, or by an agent whose node is not known. */
export function explainRefusal(
  refusal: {
    readonly reason: string;
    readonly message: string;
    readonly details: Readonly<Record<string, unknown>>;
  },
  seenAt: { readonly source: string; readonly at: string },
): Explanation {
  const { remedy } = refusal.details;
  const code = codeOfRefusal[refusal.reason] ?? 'injection-refused';
  const said = perhapsInjected.has(code)
    ? 'Whether anything was injected is not known'
    : 'Refused, nothing was injected';
  return {
    code,
    summary: `${said}: ${refusal.message}.`.replace(/\.\.$/, '.'),
    evidence: [{ source: seenAt.source, observed: `${refusal.reason}: ${refusal.message}`, at: seenAt.at }],
    remedy: typeof remedy === 'string' ? remedy : 'Correct what the message names, then drill again.',
    refuted: [],
    alsoFound: [],
  };
}

/** As the rules name them: `injection-not-proven` only where the reason itself says that it was tried. */
const codeOfRefusal: Readonly<Record<string, string>> = {
  agent_unknown: 'agent-unknown',
  wrong_node: 'agent-unknown',
  agent_unreachable: 'agent-unreachable',
  disarmed: 'agent-disarmed',
  field_value_no_effect: 'field-is-another-quantity',
  nobody_listens: 'nobody-listens',
  engine_unreachable: 'engine-lost',
  engine_not_found: 'dcgm-server-missing',
  read_back_failed: 'injection-not-proven',
  injection_not_visible: 'injection-not-proven',
  order_interrupted: 'injection-not-proven',
  process_not_paused: 'injection-not-proven',
  order_stopped: 'injection-interrupted',
  log_file_missing: 'log-file-missing',
};

const perhapsInjected: ReadonlySet<string> = new Set([
  'injection-not-proven',
  'injection-interrupted',
  'agent-unreachable',
]);

function judgeAll(facts: Facts, rules: readonly Rule[]): readonly Judged[] {
  return rules.map((rule) => ({ rule, judgement: rule.judge(facts) }));
}

function causesOf(judged: readonly Judged[]): readonly Found[] {
  return judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'cause' ? [{ rule, cause: judgement }] : [],
  );
}

function explanationOf(first: Found, judged: readonly Judged[]): Explanation {
  const { rule, cause } = first;
  return {
    code: rule.code,
    summary: cause.certainty === 'likely' ? `Likely, not proven: ${cause.summary}` : cause.summary,
    evidence: [...cause.evidence],
    remedy: cause.remedy,
    refuted: refutedOf(judged),
    alsoFound: causesOf(judged)
      .filter((found) => found.rule !== rule)
      .map(furtherOf),
  };
}

function furtherOf({ rule, cause }: Found): Explanation['alsoFound'][number] {
  return { code: rule.code, summary: cause.summary, remedy: cause.remedy };
}

function refutedOf(judged: readonly Judged[]): Explanation['refuted'] {
  return judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'refuted' ? [{ code: rule.code, because: judgement.because }] : [],
  );
}

function explainNothing(facts: Facts, judged: readonly Judged[]): Explanation {
  const refuted = refutedOf(judged);
  const open = judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'unknown' ? [`${rule.code}: ${judgement.because}`] : [],
  );
  const unread = [...open, ...unreadOf(facts)];
  const notRead =
    unread.length === 0
      ? 'Everything that was asked for could be read.'
      : `Not decided: ${unread.join('; ')}.`;
  const missing = hasReacted(facts) ? 'no repair' : 'no reaction';
  return {
    code: 'unexplained',
    summary: `There was ${missing}, and no known cause fits: ${judged.length} were checked, ${refuted.length} are ruled out. ${notRead}`,
    evidence: standing(facts),
    remedy:
      unread.length === 0
        ? `Drill again, with NMA’s log at hand: kubectl -n ${facts.nma.pod?.namespace ?? 'kube-system'} logs -f ${facts.nma.pod?.name ?? 'NMA-POD'}; a line "sending condition to exporter" means that it detected the fault.`
        : 'Make readable what could not be read, then drill again.',
    refuted,
    alsoFound: causesOf(judged).map(furtherOf),
  };
}

function unreadOf({ nma, agent }: Facts): string[] {
  return [
    ...(isUnread(nma.log) ? [`NMA’s log: ${nma.log.unread}`] : []),
    ...Object.values(nma.kept ?? {}).map(({ unread }) => `NMA: ${unread}`),
    ...(isUnread(agent.inventory) ? [`the agent’s inventory: ${agent.inventory.unread}`] : []),
  ];
}

/** How things stood: the injection, the condition, NMA. */
function standing(facts: Facts): Evidence[] {
  const { drill, nma, node } = facts;
  const type = expectedType(facts);
  const condition = conditionOf(facts, type);
  return [
    ...injectedOn(drill).map((result) => seenInjection(facts, result)),
    condition === undefined
      ? seen(facts, `nodes/${node.name} status.conditions`, `no ${type}`)
      : seenCondition(facts, condition),
    seen(
      facts,
      `NMA on node ${node.name}`,
      nma.pod === undefined ? 'no pod' : `${nma.pod.name}: ${renderPod(nma.pod)}`,
    ),
  ];
}

function checkOf(rule: Rule, judgement: Judgement): PreflightCheck[] {
  const { code, title } = rule;
  switch (judgement.is) {
    case 'irrelevant':
      return [];
    case 'refuted':
      return [{ code, title, result: 'ok', text: judgement.because, blocks: false }];
    case 'unknown':
      return [{ code, title, result: 'unknown', text: judgement.because, blocks: false }];
    case 'cause':
      return [
        {
          code,
          title,
          result: 'cause',
          text: judgement.summary,
          remedy: judgement.remedy,
          blocks: judgement.blocks,
        },
      ];
  }
}

/** Below ten seconds the fraction matters. */
function renderLatency(seconds: number): string {
  if (seconds < 0.05) return 'less than 0.1 s';
  return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
}
