import { gpuConditionType } from '../../catalogue/nma/conditions.ts';
import { firstWith } from '../../catalogue/nma/versions.ts';
import type { Facts } from '../../view/facts.ts';
import { isAutoNode } from '../../view/node.ts';
import { incidentalToEngine } from '../drill.ts';
import {
  nmaName,
  nmaTag,
  podSource,
  present,
  seen,
  seenCondition,
  seenHeartbeat,
  seenInLog,
} from '../evidence.ts';
import { conditionOf, isFresh } from '../liveness.ts';
import { engineWasHeard } from '../reactions.ts';
import { type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

const gateLine = /NVIDIA-based monitoring is disabled for the arm64 architecture/;

/** monitors/nvidia/monitor.go: outside EKS Auto all DCGM loops are skipped on arm, and the condition stays True. */
export const arm64Gate: Rule = {
  code: 'arm64-gate',
  title: 'This NMA version switches GPU detection off on arm64',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: judgeGate,
};

function judgeGate(facts: Facts): Judgement {
  const { node, nma } = facts;
  const incidental = incidentalToEngine(facts);
  if (incidental !== undefined) return incidental;
  if (node.architecture !== 'arm64') return refuted(`the node is ${node.architecture}`);
  const heard = engineWasHeard(facts);
  if (heard !== undefined) return heard;
  const line = seenInLog(facts, gateLine);
  if (isAutoNode({ metadata: node }) && line === undefined) return refuted('EKS Auto has no such gate');
  if (line === undefined) {
    if (nma.version === undefined)
      return unknown('the node is arm64, but the NMA version could not be found out');
    const { row, exact } = nma.version;
    if (!row.arm64Gate && !exact)
      return unknown(`the node is arm64, but "${nmaTag(facts)}" does not name a known NMA version`);
    if (!row.arm64Gate) return refuted(`NMA ${row.version} detects GPU faults on arm64`);
  }
  return gateCause(facts, line !== undefined || isKnownToGate(facts));
}

/** The gate is one of the few things known of a version that is known from an account; a build of one's own may have taken it out. */
function isKnownToGate(facts: Facts): boolean {
  const { version } = facts.nma;
  if (version === undefined) return false;
  const number = /\d+\.\d+\.\d+/.exec(nmaTag(facts) ?? '')?.[0];
  return version.exact || (version.row.knownFrom === 'account' && number === version.row.version);
}

function gateCause(facts: Facts, isProven: boolean): Judgement {
  const { node, nma, drill } = facts;
  const condition = conditionOf(facts, gpuConditionType);
  const fixed = firstWith((row) => !row.arm64Gate) ?? 'a later release';
  const update = `aws eks update-addon --cluster-name CLUSTER --addon-name eks-node-monitoring-agent --addon-version v${fixed}-eksbuild.1`;
  const cause = {
    summary:
      `The node is arm64, and ${nmaName(facts)} switches all GPU detection off there: no GPU fault can ever be seen on ` +
      `this node. ${
        condition === undefined
          ? `Its ${gpuConditionType} is missing as well.`
          : `${gpuConditionType} is ${condition.status} all the same and says nothing about the GPU.`
      }`,
    evidence: present(
      condition === undefined || isFresh(facts, condition) ? undefined : seenHeartbeat(facts, condition),
      seen(facts, `nodes/${node.name} status.nodeInfo.architecture`, node.architecture),
      nma.pod === undefined
        ? nma.version && seen(facts, 'version of NMA', nma.version.text)
        : seen(facts, `${podSource(nma.pod)} image`, nma.pod.image),
      condition && seenCondition(facts, condition),
      seenInLog(facts, gateLine),
    ),
    remedy: `Update NMA to v${fixed} or later (${update}), or drill an amd64 GPU node.`,
    commands: [update],
  };
  return isProven ? proven({ ...cause, blocks: drill !== undefined }) : likely(cause);
}
