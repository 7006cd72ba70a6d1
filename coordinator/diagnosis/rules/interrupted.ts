import type { SurfaceResult } from '../../../shared/schemas/receipt.ts';
import { advice, run } from '../../store/advice.ts';
import type { Facts } from '../../view/facts.ts';
import { injectedOn, type Problem, problemsOf, seenInjection, seenProblem } from '../drill.ts';
import { seen } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/** What had to last did not: a silence says nothing about a fault that was there for a part of the time. */
export const injectionInterrupted: Rule = {
  code: 'injection-interrupted',
  title: 'The injection did not last as long as it should',
  link: 'order',
  verdict: 'inconclusive',
  judge(facts) {
    const { receipt } = facts.drill ?? {};
    const stopped = problemsOf(facts).find(({ reason }) => reason === 'order_stopped');
    if (stopped !== undefined) return stoppedEarly(facts, stopped);
    const injected = injectedOn(facts.drill);
    if (receipt === undefined || injected.length === 0) return irrelevant;
    const lasting = injected.filter(({ sustained }) => sustained !== undefined);
    const broken = lasting.filter(({ sustained }) => isBroken(sustained?.ended));
    if (receipt.state !== 'interrupted' && broken.length === 0) {
      if (lasting.length === 0) return irrelevant;
      return refuted(`what had to last did: ${lasting.map(howItLasted).join('; ')}`);
    }
    const isRestart =
      receipt.state === 'interrupted' ||
      broken.some(({ sustained }) => sustained?.ended === 'agent-restarted');
    return proven({
      summary:
        `The injection was cut short: ${isRestart ? 'the agent was started again while it lasted' : 'it could not be kept up'}. ` +
        'What came of it until then is no test of the whole, so that the drill is inconclusive.',
      evidence: [
        seen(
          facts,
          `agent ${facts.node.name} receipt ${receipt.orderId} state`,
          `${receipt.state}, ended ${receipt.endedAt ?? 'not yet'}`,
        ),
        ...broken.map((result) => lastingEvidence(facts, result)),
        ...injected.map((result) => seenInjection(facts, result)),
      ],
      ...(isRestart
        ? advice`See why the agent’s pod was started again: ${run(`kubectl get pods -A -o wide -l app.kubernetes.io/component=agent --field-selector spec.nodeName=${facts.node.name}`)}, then kubectl describe; then drill again.`
        : advice`See what the last refresh failed with (message of the surface in the receipt), mend that, then drill again.`),
    });
  },
};

/** By whoever called StopInjection: what was under way then may have been written or not. */
function stoppedEarly(facts: Facts, stopped: Problem): Judgement {
  return proven({
    summary:
      'The injection was cut short: it was stopped before all of it was written, so that the drill is inconclusive.',
    evidence: [
      seenProblem(stopped),
      ...injectedOn(facts.drill).map((result) => seenInjection(facts, result)),
    ],
    remedy: 'Let it come to its end: drill again, and leave StopInjection out until then.',
  });
}

function isBroken(ended: NonNullable<SurfaceResult['sustained']>['ended']): boolean {
  return ended !== undefined && ended !== 'deadline' && ended !== 'stopped';
}

function lastingEvidence(facts: Facts, result: SurfaceResult) {
  const { message = '' } = result;
  return {
    source: `agent ${facts.node.name} receipt ${facts.drill?.receipt?.orderId ?? ''} surfaces[${result.surface}].sustained`,
    observed: `${howItLasted(result)}${message === '' ? '' : `; ${message}`}`,
    at: result.sustained?.lastAt ?? result.at ?? facts.at,
  };
}

function howItLasted({ surface, sustained }: SurfaceResult): string {
  if (sustained === undefined) return surface;
  const { beats, failures, lastAt, until, ended } = sustained;
  return `${surface} ${ended ?? 'lasts'}, ${beats} beats, ${failures} failed, the last at ${lastAt}; planned until ${until}`;
}
