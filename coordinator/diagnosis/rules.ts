import type { Rule } from './rule.ts';
import { agentAnswerInvalid, agentDisarmed, agentUnknown, agentUnreachable } from './rules/agent.ts';
import { agentIncapable } from './rules/agent-incapable.ts';
import { arm64Gate } from './rules/arm64-gate.ts';
import { nodeNotOptedIn, policyRefused } from './rules/consent.ts';
import { credentialsBroken } from './rules/credentials.ts';
import { dcgmServerMissing } from './rules/dcgm-server.ts';
import { nobodyListens, wrongEngine } from './rules/engine.ts';
import { engineElsewhere } from './rules/engine-elsewhere.ts';
import { engineLost, engineWithoutGpus } from './rules/engine-lost.ts';
import { fieldIsAnotherQuantity } from './rules/field.ts';
import { gpuMissing } from './rules/gpu-missing.ts';
import { injectionNotProven, injectionRefused } from './rules/injection.ts';
import { injectionInterrupted } from './rules/interrupted.ts';
import { journalMissing, journalUnread } from './rules/journal.ts';
import { kernelLogNotRead } from './rules/kernel-log.ts';
import { killSwitchEngaged } from './rules/kill-switch.ts';
import { alreadyFalse, reasonReplaced } from './rules/latched.ts';
import { logFileMissing } from './rules/log-file.ts';
import { missedLaterRules, missedTaintRules } from './rules/missed-links.ts';
import { monitorDisabled, monitorNotRegistered } from './rules/monitor.ts';
import { nmaJustStarted, nmaNotInstalled, nmaNotRunning, nmaNotWriting } from './rules/nma-presence.ts';
import { nodeReplaced, observationGap, waitTooShort } from './rules/observation.ts';
import { earlierReaction, lateReaction, otherReaction, reasonNotGiven } from './rules/other-reaction.ts';
import {
  karpenterGateOff,
  karpenterNotRunning,
  karpenterTooOld,
  repairBudget,
  repairNoAction,
  repairNotDue,
  repairNotEnabled,
  repairThreshold,
  repairVetoed,
} from './rules/repair.ts';
import { conditionInsteadOfEvent, eventCombined, eventInsteadOfCondition } from './rules/severity.ts';

/**
 * Every cause, in the order of the chain: the first proven one is the explanation, the others are found besides.
 * Was anything injected, and where? Did a reaction come that was not looked for? Does NMA live, detect, write? Then
 * what only explains a part, and last what keeps the repair away.
 */
export const rules: readonly Rule[] = [
  agentUnknown,
  agentUnreachable,
  agentAnswerInvalid,
  killSwitchEngaged,
  agentDisarmed,
  nodeNotOptedIn,
  policyRefused,
  agentIncapable,
  fieldIsAnotherQuantity,
  wrongEngine,
  engineElsewhere,
  nobodyListens,
  logFileMissing,
  journalMissing,
  journalUnread,
  injectionNotProven,
  injectionRefused,
  injectionInterrupted,
  kernelLogNotRead,

  observationGap,
  nodeReplaced,
  reasonReplaced,
  eventInsteadOfCondition,
  conditionInsteadOfEvent,
  eventCombined,
  lateReaction,
  otherReaction,
  reasonNotGiven,
  earlierReaction,

  credentialsBroken,
  nmaNotRunning,
  nmaNotInstalled,
  arm64Gate,
  monitorDisabled,
  monitorNotRegistered,
  nmaNotWriting,
  dcgmServerMissing,
  engineLost,
  engineWithoutGpus,
  gpuMissing,
  alreadyFalse,
  nmaJustStarted,
  waitTooShort,

  ...missedTaintRules,
  karpenterTooOld,
  karpenterGateOff,
  karpenterNotRunning,
  repairNoAction,
  repairVetoed,
  repairBudget,
  repairThreshold,
  repairNotDue,
  repairNotEnabled,
  ...missedLaterRules,
];
