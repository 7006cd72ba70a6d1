import { repairPage } from '../catalogue/repair/eks.ts';
import { forcedPolicies } from '../catalogue/repair/karpenter.ts';
import type { Facts } from '../view/facts.ts';
import { rulingsOf, scheduleOf } from './due.ts';
import { forecastOf, heldPods, noAction, seenLabel } from './parts.ts';
import type { RepairForecast } from './schema.ts';

/** The guide gives Auto Mode the waits of its table, and says that it always replaces. */
const edition = repairPage;

/** EKS Auto Mode repairs by default; AWS runs its controller, of which the cluster shows neither version nor settings. */
export function forecastAuto(facts: Facts): RepairForecast {
  const schedule = scheduleOf(facts, rulingsOf(forcedPolicies, edition, false));
  return forecastOf(facts, schedule, {
    controller: 'EKS Auto Mode',
    blockedBy: noAction(facts, schedule),
    unread: [],
    evidence: [
      seenLabel(facts, 'eks.amazonaws.com/compute-type', 'auto'),
      {
        source: edition.source,
        observed: `Auto Mode repairs by default and replaces (read ${edition.read})`,
        at: facts.at,
      },
    ],
    notes: [
      'it replaces as well for EC2 status checks and scheduled events',
      ...heldPods(facts, 'whether it waits for them cannot be seen from here'),
    ],
  });
}
