/** One thing that a finding can say, with the link of the chain that it is about (design: order, detection, taint). */
type Cause = { readonly link: 'order' | 'detection' | 'taint'; readonly title: string };

/**
 * Every code of a finding. Codes that a rule of diagnosis/ has as well mean the same there. A new one is a row here, an
 * explainer and an input in the table of tests.
 */
export const causes = {
  'field-is-another-quantity': {
    link: 'order',
    title: 'The DCGM field is another quantity, or the value is healthy',
  },
  'field-unknown': { link: 'order', title: 'There is no such DCGM field' },
  'field-not-injectable': { link: 'order', title: 'dcgmi cannot inject this field' },
  'value-misread': { link: 'order', title: 'dcgmi reads the value as another number' },
  'inject-refused': { link: 'order', title: 'dcgmi refused the command and injected nothing' },
  'gpuid-default': { link: 'order', title: 'Without --gpuid the value goes to GPU 1' },
  'wrong-engine': { link: 'order', title: 'The value went into an engine that NMA is not connected to' },
  'engine-not-known': { link: 'order', title: 'Which host engine took the value is not in the text' },
  'no-host-engine': { link: 'order', title: 'No host engine answered' },
  'engine-without-gpus': { link: 'order', title: 'The host engine has no GPU' },
  'engine-paused': { link: 'order', title: 'The host engine was paused' },
  'sample-overwritten': { link: 'order', title: 'The injected value is overwritten at once' },
  'policy-slot': { link: 'order', title: 'The second of two alerts within five seconds is dropped' },
  'offset-mutes': { link: 'order', title: 'The offset mutes real readings and alerts' },
  'stored-only': {
    link: 'order',
    title: '"Successfully injected" says only that the engine stored the value',
  },
  'watches-only': { link: 'order', title: 'Switching watches on for a group of one’s own tells NMA nothing' },
  'kernel-log-refused': { link: 'order', title: 'The line did not get into the kernel log' },
  'not-the-kernel-log': { link: 'order', title: 'logger writes to the journal, not to the kernel log' },
  'xid-wedges-engine': { link: 'order', title: 'This line stops the host engine from reading GPUs' },
  'reaches-nma': { link: 'detection', title: 'NMA is told of this' },
  'kernel-log-not-read': { link: 'detection', title: 'NMA does not read Xid lines from the kernel log' },
  'nobody-reads-it': { link: 'detection', title: 'NMA has no rule for this line' },
  'nma-reads-it': { link: 'detection', title: 'NMA has a rule for this line' },
  'driver-reported': { link: 'detection', title: 'The driver’s own line is no proof that NMA saw it' },
  'sample-too-short': {
    link: 'detection',
    title: 'NMA looks every five minutes, and the value is gone by then',
  },
  'event-instead-of-condition': {
    link: 'detection',
    title: 'The fault ends in an event, not in the condition',
  },
  'credentials-broken': { link: 'detection', title: 'An AWS role on the pod breaks NMA’s condition writes' },
  'role-not-needed': { link: 'detection', title: 'NMA needs no role' },
  'cluster-role-not-the-cause': { link: 'detection', title: 'The ClusterRole is not the cause' },
  'arm64-gate': { link: 'detection', title: 'This NMA version switches GPU detection off on arm64' },
  'nma-not-writing': { link: 'detection', title: 'NMA is not writing conditions' },
  'nma-writes': { link: 'detection', title: 'NMA writes conditions' },
  'nma-listens': { link: 'detection', title: 'NMA listens on a host engine' },
  'nma-reacted': { link: 'detection', title: 'NMA reacted' },
  'already-false': { link: 'detection', title: 'The condition is False already and stays so' },
  'monitor-disabled': { link: 'detection', title: 'The monitor is switched off' },
  'monitor-not-registered': { link: 'detection', title: 'NMA does not watch GPUs on this node' },
  'engine-lost': { link: 'detection', title: 'NMA has no connection to its host engine' },
  'not-often-enough': { link: 'detection', title: 'NMA waits for more of them' },
  'looked-elsewhere': { link: 'detection', title: 'The reaction is not found in this way' },
  'condition-overwritten': { link: 'detection', title: 'NMA writes the condition again' },
  'nothing-injected': { link: 'order', title: 'The command only looks' },
  'karpenter-gate-off': { link: 'taint', title: 'Karpenter’s NodeRepair gate is off' },
  'karpenter-gate-on': { link: 'taint', title: 'Karpenter’s NodeRepair gate is on' },
  'karpenter-repairing': { link: 'taint', title: 'Karpenter repairs a node' },
  'repair-threshold': { link: 'taint', title: 'Too many nodes are unhealthy for a repair' },
  'repair-not-enabled': { link: 'taint', title: 'Auto repair of the node group is off' },
  'repair-not-due': { link: 'taint', title: 'Repair waits, and does not cordon everywhere' },
  'repair-budget': { link: 'taint', title: 'The budgets of the NodePool allow no repair' },
} as const satisfies Readonly<Record<string, Cause>>;

/** Stable: scripts match on it. */
export type CauseCode = keyof typeof causes;
