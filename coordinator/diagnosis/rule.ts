import type { ReasonVerdict } from '../../shared/errors.ts';
import type { OrderMethod } from '../../shared/schemas/order.ts';
import type { Evidence } from '../store/explanation.ts';
import type { Facts } from '../view/facts.ts';

/**
 * One possible cause. `judge` is pure and never throws; it says "unknown" where the facts do not decide, because a
 * cause that is only not disproven is no explanation.
 */
export type Rule = {
  /** Stable: scripts and metrics match on it. */
  readonly code: string;
  /** What is wrong when this is the cause, in a few words. */
  readonly title: string;
  /** The link of the chain that it keeps from being reached (design §2.1): `order`, `detection`, `taint` … */
  readonly link: string;
  /** What a drill says of which this is the first cause. `inconclusive`: it hides a reaction rather than prevents it. */
  readonly verdict: ReasonVerdict;
  /** Orders that it may be found to block before they are sent (`Cause.blocks`); absent: it never blocks. */
  readonly mayBlock?: 'any' | readonly OrderMethod[];
  /** It may be a side finding (`Cause.incidental`), also of a drill that passed; absent: it never is. */
  readonly mayBeIncidental?: true;
  readonly judge: (facts: Facts) => Judgement;
};

/** A broken link, with its proof and what to do. */
export type Cause = {
  readonly is: 'cause';
  /** likely: everything that was read fits, but something that could contradict it was not to be read. */
  readonly certainty: 'proven' | 'likely';
  readonly summary: string;
  readonly evidence: readonly Evidence[];
  readonly remedy: string;
  /** The commands of the remedy alone, to copy; words in capitals are to be filled in. Absent: it has none. */
  readonly commands?: readonly string[];
  /** Instead of the rule's, where the cause is a refusal whose reason decides. */
  readonly verdict?: ReasonVerdict;
  /** The expected reaction cannot appear on this node, whatever is injected; a preflight then injects nothing. */
  readonly blocks: boolean;
  /** Broken, but not why this drill saw nothing: named among the further findings only. */
  readonly incidental: boolean;
};

/**
 * What a rule makes of the facts. `unknown`: something that decides it could not be read; `irrelevant`: it has no
 * bearing here.
 */
export type Judgement =
  | Cause
  | { readonly is: 'refuted'; readonly because: string }
  | {
      readonly is: 'unknown';
      readonly because: string;
      /** Only for want of this, which not everybody who asks has read. */
      readonly lacks?: Lacking;
    }
  | { readonly is: 'irrelevant' };

/** What a judgement may lack: the inventory of the node's agent, or NMA's log. */
export type Lacking = 'agent' | 'log';

/** A cause that blocks nothing and is no side finding, unless `cause` says otherwise. */
export function proven(cause: Finding): Cause {
  return { is: 'cause', certainty: 'proven', blocks: false, incidental: false, ...cause };
}

/** A likely cause never blocks: what is not proven must not keep a drill from finding out. */
export function likely(cause: Omit<Finding, 'blocks'>): Cause {
  return { is: 'cause', certainty: 'likely', blocks: false, incidental: false, ...cause };
}

/** `because` is the evidence that rules the cause out. */
export function refuted(because: string): Judgement {
  return { is: 'refuted', because };
}

/** `because` is what could not be read. */
export function unknown(because: string, lacks?: Lacking): Judgement {
  return { is: 'unknown', because, ...(lacks === undefined ? {} : { lacks }) };
}

/** Neither a cause nor ruled out: the question does not arise. */
export const irrelevant: Judgement = { is: 'irrelevant' };

type Finding = Pick<Cause, 'summary' | 'evidence' | 'remedy'> &
  Partial<Pick<Cause, 'blocks' | 'commands' | 'incidental' | 'verdict'>>;
