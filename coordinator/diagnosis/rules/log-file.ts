import { logFiles } from '../../../shared/surfaces/log-file.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import { problemsOf, seenProblem } from '../drill.ts';
import { capital, seen, withoutInventory } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/** NMA tails files that some node images do not have: there, what it looks for in them is never seen (nma.md §1). */
export const logFileMissing: Rule = {
  code: 'log-file-missing',
  title: 'The node has no such log file for NMA to read',
  link: 'order',
  verdict: 'fail',
  mayBlock: ['AppendLogLine'],
  judge: judgeFile,
};

function judgeFile(facts: Facts): Judgement {
  const { drill, agent } = facts;
  const problem = problemsOf(facts).find(({ reason }) => reason === 'log_file_missing');
  if (problem !== undefined) {
    const { remedy, value } = problem.details;
    return missing(facts, {
      path: typeof value === 'string' ? value : 'the file',
      evidence: seenProblem(problem),
      ...(typeof remedy === 'string' ? { remedy } : {}),
    });
  }
  if (drill === undefined || drill.order.method !== 'AppendLogLine' || drill.receipt !== undefined)
    return irrelevant;
  const path = logFiles[drill.order.body.file];
  if (isUnread(agent.inventory)) return withoutInventory(agent.inventory);
  const file = agent.inventory.logFiles.find((candidate) => candidate.path === path);
  if (file?.state !== 'missing') return refuted(`the node has ${path}`);
  const source = `agent ${facts.node.name} GetInventory logFiles`;
  return missing(facts, { path, evidence: seen(facts, source, `${path}: ${file.because ?? 'missing'}`) });
}

function missing(
  facts: Facts,
  found: { readonly path: string; readonly evidence: ReturnType<typeof seen>; readonly remedy?: string },
): Judgement {
  const { path, evidence, remedy } = found;
  return proven({
    summary: `Node ${facts.node.name} has no ${path}: what NMA looks for in it cannot be seen there, drilled or real. Nothing was injected.`,
    evidence: [evidence],
    remedy: `${capital(remedy ?? `let a log daemon write ${path}, or create it for the drill (touch ${path})`)}; or drill a node whose image has it.`,
    blocks: facts.drill !== undefined,
  });
}
