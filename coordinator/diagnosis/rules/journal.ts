import type { JournalReadBack } from '../../../shared/schemas/read-back.ts';
import type { SurfaceResult } from '../../../shared/schemas/receipt.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import { isSilent, seenInjection } from '../drill.ts';
import { capital, seen, withoutInventory } from '../evidence.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted } from '../rule.ts';

/**
 * A journal fault is a record of the kernel log that journald files under an identifier. NMA reads the journal, so that a
 * record which does not get there reaches nobody.
 */
export const journalMissing: Rule = {
  code: 'journal-missing',
  title: 'The record did not reach the journal that NMA reads',
  link: 'order',
  verdict: 'fail',
  mayBlock: ['WriteJournalMessage'],
  judge: judgeJournal,
};

/** The agent could not look into the journal, and nothing came: the record may never have got there. */
export const journalUnread: Rule = {
  code: 'journal-unread',
  title: 'Whether the record reached the journal is not known',
  link: 'order',
  verdict: 'inconclusive',
  judge: judgeUnread,
};

function judgeJournal(facts: Facts): Judgement {
  const { drill, agent } = facts;
  if (drill?.order.method !== 'WriteJournalMessage') return irrelevant;
  const written = writtenOf(facts);
  const missed = written.find(({ journal }) => journal.state === 'missing');
  if (missed?.journal.state === 'missing')
    return proven({
      summary:
        `The record is in the kernel log of node ${facts.node.name} and not in the journal, which is what NMA reads: ` +
        `${missed.journal.because}.`,
      evidence: [seenInjection(facts, missed.result), seenJournal(facts, missed)],
      remedy: remedyOf(missed.result),
    });
  const found = written.find(({ journal }) => journal.state === 'seen');
  if (found?.journal.state === 'seen' && written.every(({ journal }) => journal.state === 'seen'))
    return refuted(
      `the record is in the journal, ${found.journal.directory}, under ${found.journal.identifier}`,
    );
  if (written.length > 0) return irrelevant;
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
    blocks: !isWritten,
  });
}

function judgeUnread(facts: Facts): Judgement {
  const written = writtenOf(facts);
  const unread = written.find(({ journal }) => journal.state === 'unread');
  if (unread?.journal.state !== 'unread')
    return written.length === 0 ? irrelevant : refuted('the agent looked for the record in the journal');
  const { because, cause } = unread.journal;
  if (!isSilent(facts)) return irrelevant;
  const whose = cause === 'agent-lacks' ? 'the agent lacks what it takes' : 'the node lacks what it takes';
  return likely({
    summary:
      `The record is in the kernel log of node ${facts.node.name}; whether it reached the journal, which is what NMA reads, ` +
      `could not be checked (${cause === 'failed' ? 'the look failed' : whose}): ${because}.`,
    evidence: [seenInjection(facts, unread.result), seenJournal(facts, unread)],
    remedy:
      cause === 'agent-lacks'
        ? 'Give the agent what it lacks: its chart sets hostPID and privileged, and its image has util-linux; then drill again.'
        : 'Look on the node: journalctl -t kubelet -n 5; then drill again.',
  });
}

type Written = { readonly result: SurfaceResult; readonly journal: JournalReadBack };

/** What was written for the journal and looked for there; an older agent does not look. */
function writtenOf({ drill }: Facts): readonly Written[] {
  return (drill?.receipt?.surfaces ?? []).flatMap((result) => {
    const { readBack } = result;
    const journal = readBack !== undefined && 'sequence' in readBack ? readBack.journal : undefined;
    return journal === undefined ? [] : [{ result, journal }];
  });
}

function seenJournal(facts: Facts, { result, journal }: Written) {
  const observed =
    journal.state === 'seen' ? journal.cursor : `${journal.state} (${journal.cause}): ${journal.because}`;
  const at = result.at ?? facts.at;
  return { source: `agent ${facts.node.name} receipt surfaces[journal].readBack.journal`, observed, at };
}

function remedyOf({ details }: SurfaceResult): string {
  const remedy = details?.remedy;
  return `${typeof remedy === 'string' ? capital(remedy) : 'Let journald store what the kernel log has'}; then drill again.`;
}
