import { renderDuration } from '../../shared/duration.ts';
import { ownersOf, ownerText } from '../catalogue/repair/owners.ts';
import { type Judged, judgeAll } from '../diagnosis/explain.ts';
import type { Cause } from '../diagnosis/rule.ts';
import { forecastRepair } from '../repair/forecast.ts';
import type { RepairForecast } from '../repair/schema.ts';
import type { Facts } from '../view/facts.ts';
import type { DoctorCause, LinkFinding, NodeFinding, OpenQuestion, RepairSummary } from './report.ts';

/**
 * The links of one node, by the rules that explain a drill; pure. What only an agent or NMA's log shows is not asked for and
 * leaves a link as it is.
 */
export function examineNode(facts: Facts): NodeFinding {
  const judged = judgeAll(facts);
  const forecasts = forecastRepair(facts);
  return {
    node: facts.node.name,
    owner: ownersOf(facts.node.labels).map(ownerText).join(' and '),
    links: {
      order: orderOf(facts),
      detection: detectionOf(facts, ofLink(judged, 'detection')),
      taint: taintOf(ofLink(judged, 'taint'), forecasts),
    },
    repairs: forecasts.map(summaryOf),
  };
}

function ofLink(judged: readonly Judged[], link: string): readonly Judged[] {
  return judged.filter(({ rule }) => rule.link === link);
}

/** An agent is what a drill needs; without one nothing is broken. */
function orderOf({ agent }: Facts): LinkFinding {
  const [state, because] =
    agent.url !== undefined
      ? (['ok', `an agent runs on the node, at ${agent.url}`] as const)
      : agent.directory === undefined
        ? (['none', 'no agent of Xidrill runs on the node; only drills need one'] as const)
        : (['none', `whether an agent runs there could not be read: ${agent.directory.unread}`] as const);
  return { state, because, causes: [], open: [] };
}

function detectionOf(facts: Facts, judged: readonly Judged[]): LinkFinding {
  const causes = causesOf(judged);
  const open = openOf(judged);
  if (causes.length > 0) return { state: 'broken', because: '', causes, open };
  if (open.length > 0) return { state: 'unknown', because: '', causes, open };
  const { nma } = facts;
  const version = nma.version === undefined ? '' : ` ${nma.version.row.version}`;
  const ruledOut = judged.filter(({ judgement }) => judgement.is === 'refuted').length;
  const because = `NMA${version} writes conditions, and ${ruledOut} causes are ruled out`;
  return { state: 'ok', because, causes, open };
}

/** That a managed node group has its repair on is not in the cluster: what is only likely there is an open question. */
function taintOf(judged: readonly Judged[], forecasts: readonly RepairForecast[]): LinkFinding {
  const causes = causesOf(judged);
  const open = openOf(judged);
  const acting = forecasts.find(({ willAct }) => willAct === 'yes');
  if (acting !== undefined)
    return { state: 'ok', because: renderRepair(summaryOf(acting)), causes: [], open: [] };
  const isBroken = causes.some(({ certainty }) => certainty === 'proven') || forecasts.length === 0;
  return { state: isBroken ? 'broken' : 'unknown', because: '', causes, open };
}

function causesOf(judged: readonly Judged[]): readonly DoctorCause[] {
  const found = judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'cause' && !judgement.incidental ? [causeFrom(rule, judgement)] : [],
  );
  return [
    ...found.filter(({ certainty }) => certainty === 'proven'),
    ...found.filter(({ certainty }) => certainty === 'likely'),
  ];
}

function causeFrom({ code, title }: Judged['rule'], cause: Cause): DoctorCause {
  const { certainty, summary, evidence, remedy, commands = [] } = cause;
  return { code, title, certainty, summary, evidence, remedy, commands };
}

function openOf(judged: readonly Judged[]): readonly OpenQuestion[] {
  return judged.flatMap(({ rule: { code, title }, judgement }) =>
    judgement.is === 'unknown' && judgement.lacks === undefined
      ? [{ code, title, because: judgement.because }]
      : [],
  );
}

function summaryOf({ controller, willAct, action, afterSeconds }: RepairForecast): RepairSummary {
  return { controller, willAct, action, afterSeconds };
}

/** `Karpenter: replace after 10 min`, as a line says it. */
export function renderRepair({ controller, willAct, action, afterSeconds }: RepairSummary): string {
  if (willAct === 'no') return `${controller}: no repair`;
  const when =
    afterSeconds === null ? '' : ` ${renderDuration(afterSeconds)} after the condition turned False`;
  return `${controller}: ${action}${when}${willAct === 'unknown' ? ', if it is on' : ''}`;
}
