import type { LinkCause } from '../../store/experiment.ts';
import type { CausePage } from './page.ts';

const onTheClaim = 'The new NodeClaim of the pool, by its conditions, when the wait was over.';
const further = 'The next condition of the NodeClaim is there. Open where NodeClaims may not be read.';

/** Why a link behind detection was not reached, as the objects that it looks at show it. */
export const missedLinkPages: Readonly<Record<LinkCause, CausePage>> = {
  'condition-recovered': {
    symptom: 'The condition was False, and the repair never began.',
    proof: 'The condition that the drill turned False is True again when the wait for the taint is over.',
    refuted: 'It is still False, or the node was rebooted.',
    remedy: 'Find what restarted NMA or its engine. A repair needs the condition False for the whole wait.',
  },
  'rebooted-instead': {
    symptom: 'The node is taken out of service and comes back with the same name and uid.',
    proof:
      'Karpenter’s taint `karpenter.sh/rebooting`, or the condition `Rebooting` of the NodeClaim since the order.',
    refuted: 'Neither is there.',
    remedy: 'Drill a reason that leads to a replacement (Xid 79), or switch the gate RebootForRepair off.',
  },
  'removed-by-other': {
    symptom: 'The node is gone.',
    proof: 'The Node is gone, and neither a taint nor an event of Karpenter on it was seen since the order.',
    refuted: 'One of them was seen. A watch that was interrupted leaves it open: the drill is inconclusive.',
    remedy: 'See who removed it: `kubectl get events -A --field-selector involvedObject.name=NODE`.',
  },
  'pods-held': {
    symptom: 'The node has the taint, and its pods stay.',
    proof:
      'Pods that ran there before the drill are there, and nobody deletes them; the PodDisruptionBudget or annotation that holds each is named.',
    refuted: 'All that are left are terminating.',
    remedy:
      'Give the budget room, or remove the annotation. From Karpenter 1.15 on they are removed at the bound of the policy.',
  },
  'pods-terminating': {
    symptom: 'Pods of the node are Terminating.',
    proof: 'All pods that are left have a deletion time; grace and finalizers are named.',
    refuted: 'One of them is not being deleted.',
    remedy: 'See whether the kubelet answers, and what the finalizers wait for.',
  },
  'replaced-instead': {
    symptom: 'The drill waits for a reboot, and the node is gone.',
    proof: 'The Node of that uid is gone: a reboot keeps it.',
    refuted: 'It is there.',
    remedy: 'Expect `repair: expect` for this reason, or drill one that leads to a reboot.',
  },
  'not-rebooted': {
    symptom: 'The node was taken out of service, and stays as it is.',
    proof: 'The Node has the boot id that it had before the drill.',
    refuted: 'It has another one. Where it shows none, that is left open.',
    remedy: 'See whether the controller may reboot instances, and its events on the node.',
  },
  'not-ready-again': {
    symptom: 'The node started again and is NotReady.',
    proof: 'The Node has another boot id than before the drill, and its condition Ready is not True.',
    refuted: 'It is Ready, or did not start again.',
    remedy: 'See `kubectl describe node NODE` and its console output.',
  },
  'repair-undone': {
    symptom: 'The node had the taint, and goes on as before.',
    proof: 'The Node, or its NodeClaim, is there and has no deletion time.',
    refuted: 'It is being deleted.',
    remedy: 'Karpenter restarted, or gave up on a replacement that did not come up; its log says which.',
  },
  'termination-held': {
    symptom: 'The node is being deleted and stays.',
    proof:
      'A finalizer that is not Karpenter’s, or a step of the NodeClaim (Drained, VolumesDetached) that is not True.',
    refuted: 'Only the instance is left.',
    remedy: 'See which controller owns what it waits for, such as a VolumeAttachment.',
  },
  'instance-not-terminated': {
    symptom: 'The node is being deleted and stays.',
    proof: 'No step of the NodeClaim is open; only the instance is not gone.',
    refuted: 'A finalizer or a step holds it.',
    remedy: 'Allow the cloud more time: `then: [{link: termination, within: 30m}]`.',
  },
  'no-nodeclaim': {
    symptom: 'The node is gone, and no new one comes.',
    proof: 'The pool has no NodeClaim that was made since the node was taken.',
    refuted: 'There is one. Open where NodeClaims may not be read.',
    remedy:
      'A node is replaced only for pods that wait for one: see pending pods and the limits of the NodePool.',
  },
  'no-capacity': {
    symptom: 'A NodeClaim is there, and no instance.',
    proof: `${onTheClaim} Launched is not True.`,
    refuted: further,
    remedy: 'Let the NodePool use more instance types or zones.',
  },
  'not-registered': {
    symptom: 'An instance runs, and no node comes.',
    proof: `${onTheClaim} Registered is not True.`,
    refuted: further,
    remedy: 'See the instance’s console output and bootstrap. Karpenter gives it up after 15 min.',
  },
  'not-initialized': {
    symptom: 'The new node registered and takes no pods.',
    proof: `${onTheClaim} Initialized is not True.`,
    refuted: further,
    remedy: 'It waits for its resources or start-up taints, such as those of the device plugin.',
  },
  'new-node-not-ready': {
    symptom: 'A new node is there and not Ready.',
    proof: 'A Node of the pool that was made since the node was taken, and is not Ready.',
    refuted: 'There is no such Node.',
    remedy:
      'See why: `kubectl describe node`; allow more time with `then: [{link: replacement, within: 30m}]`.',
  },
};
