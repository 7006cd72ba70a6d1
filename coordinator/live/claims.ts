import type { Judged } from '../diagnosis/explain.ts';
import type { Evidence } from '../store/explanation.ts';
import type { CauseCode } from '../why/causes.ts';
import type { Finding } from '../why/finding.ts';

/** What the cluster says now about something that the text shows. */
export type Claim = {
  /** The code of the finding that is checked, and where it stands in the text. */
  readonly code: string;
  readonly line: number;
  readonly file?: string | undefined;
  /**
   * `still`: the cluster shows the same; `no-longer`: it shows the opposite; `open`: what would decide it could not be read, or is
   * not in the cluster.
   */
  readonly now: 'still' | 'no-longer' | 'open';
  /** The nodes on which it is so. */
  readonly nodes: readonly string[];
  /** Of the first of them. */
  readonly because: string;
  readonly evidence: readonly Evidence[];
};

/** What one node's rules made of it. */
export type JudgedNode = { readonly node: string; readonly judged: readonly Judged[] };

/** Why NMA writes no condition: the rule of the heartbeat leaves it to the others where one of them explains it. */
const silent = ['credentials-broken', 'nma-not-running', 'nma-not-installed', 'nma-not-writing'];

/** Findings that say that something works, by the rules that would say that it does not. */
const opposites: Partial<Record<CauseCode, readonly string[]>> = {
  'nma-writes': silent,
  'nma-listens': ['engine-lost'],
  'karpenter-gate-on': ['karpenter-gate-off'],
};

/** Findings that several rules decide, or one of another code. */
const sameAs: Partial<Record<CauseCode, readonly string[]>> = {
  'no-host-engine': ['dcgm-server-missing'],
  'nma-not-writing': silent,
};

/**
 * The findings of a text that a rule can decide by what the cluster shows, each with what it shows. What somebody did, such as an
 * injected value, leaves no trace there: it stays as it is. Pure.
 */
export function checkFindings(findings: readonly Finding[], nodes: readonly JudgedNode[]): readonly Claim[] {
  return findings.flatMap((finding) => {
    const opposite = opposites[finding.code as CauseCode];
    const rules = opposite ?? sameAs[finding.code as CauseCode] ?? [finding.code];
    const isWorking = finding.result === 'works' && opposite !== undefined;
    const seen = nodes.flatMap(({ node, judged }) => {
      const found = judged.filter(({ rule }) => rules.includes(rule.code)).map((one) => one.judgement);
      return found.flatMap((judgement) => (judgement.is === 'irrelevant' ? [] : [{ node, judgement }]));
    });
    const of = (is: 'cause' | 'refuted' | 'unknown') => seen.filter(({ judgement }) => judgement.is === is);
    // What is broken on one node is broken; what is open on one is not ruled out.
    const chosen = [of('cause'), of('unknown'), of('refuted')].find((group) => group.length > 0);
    const first = chosen?.[0]?.judgement;
    if (chosen === undefined || first === undefined) return [];
    const { code, line, file } = finding;
    return [
      {
        code,
        line,
        ...(file === undefined ? {} : { file }),
        now: first.is === 'unknown' ? 'open' : (first.is === 'cause') === isWorking ? 'no-longer' : 'still',
        nodes: [...new Set(chosen.map(({ node }) => node))],
        because: first.is === 'cause' ? first.summary : first.because,
        evidence: first.is === 'cause' ? first.evidence : [],
      } satisfies Claim,
    ];
  });
}
