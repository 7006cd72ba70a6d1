import { type Facts, isUnread } from '../../view/facts.ts';
import { seen, withoutInventory } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/**
 * A journal fault is a record of the kernel log that journald files under an identifier. Its read-back is the kernel's,
 * so that a node without journald takes the record and shows NMA nothing.
 */
export const journalMissing: Rule = {
  code: 'journal-missing',
  title: 'The node has no journal for NMA to read',
  link: 'order',
  verdict: 'fail',
  judge: judgeJournal,
};

function judgeJournal(facts: Facts): Judgement {
  const { drill, agent } = facts;
  if (drill?.order.method !== 'WriteJournalMessage') return irrelevant;
  if (isUnread(agent.inventory)) return withoutInventory(agent.inventory);
  const journal = agent.inventory.capabilities.find(({ name }) => name === 'journal');
  if (journal === undefined || journal.available) return refuted('the agent sees a journald on the node');
  const isWritten = drill.receipt !== undefined;
  return proven({
    summary:
      `Nothing reaches the journal of node ${facts.node.name}: ${journal.because ?? 'no reason given'}.` +
      (isWritten ? ' What was injected stands in the kernel log only, which NMA does not read for it.' : ''),
    evidence: [
      seen(
        facts,
        `agent ${facts.node.name} GetInventory capabilities[journal]`,
        journal.because ?? 'not available',
      ),
    ],
    remedy:
      'Drill a node that runs systemd-journald with ReadKMsg=yes, its default; or, where it does, give the agent the host’s root (hostPID, or --host-root).',
  });
}
