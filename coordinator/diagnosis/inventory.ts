import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import type { Unread } from '../view/facts.ts';
import { type Judgement, unknown } from './rule.ts';

/** What a rule says that cannot decide without the inventory. */
export function withoutInventory({ unread }: Unread): Judgement {
  return unknown(`the agent’s inventory could not be read: ${unread}`);
}

/** The host engine that the monitoring agent uses, or the first one where it listens on none. */
export function engineOfNma({ engines }: Inventory): HostEngineFacts | undefined {
  return engines.find(({ nma }) => nma.listening) ?? engines[0];
}
