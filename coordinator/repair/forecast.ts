import { ownersOf, type RepairController } from '../catalogue/repair/owners.ts';
import type { Facts } from '../view/facts.ts';
import { forecastAuto } from './auto-mode.ts';
import { forecastHyperPod } from './hyperpod.ts';
import { forecastKarpenter } from './karpenter.ts';
import { forecastNodeGroup } from './node-group.ts';
import type { RepairForecast } from './schema.ts';

const forecasters: Readonly<Record<RepairController, (facts: Facts, owner: string) => RepairForecast>> = {
  'EKS managed node group auto repair': forecastNodeGroup,
  'EKS Auto Mode': forecastAuto,
  Karpenter: forecastKarpenter,
  'SageMaker HyperPod': forecastHyperPod,
};

/** One row per controller that owns the node; none: nothing repairs it. Pure, from what the API server shows. */
export function forecastRepair(facts: Facts): RepairForecast[] {
  return ownersOf(facts.node.labels).flatMap(({ controller, observed }) =>
    controller === undefined ? [] : [forecasters[controller](facts, observed)],
  );
}
