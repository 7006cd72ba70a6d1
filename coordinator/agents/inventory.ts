import type { TSchema } from 'typebox';
import { Check, Clean, Errors } from 'typebox/value';
import { Refusal } from '../../shared/errors.ts';
import { Capability, Inventory, LogFileFacts } from '../../shared/schemas/inventory.ts';

/**
 * An agent's answer as this coordinator's inventory. Members that only a newer agent knows are left out, and so are
 * capabilities and log files of a kind that is not known here; what an older one lacks has to be optional in the schema.
 * Anything else is refused with `agent_unreachable`: half an inventory would prove that a host engine is missing.
 */
export function inventoryFrom(answer: unknown, agent: string): Inventory {
  const cleaned = Clean(Inventory, structuredClone(answer));
  const known = { ...(cleaned as object) } as Record<string, unknown>;
  known.capabilities = onlyKnown(known.capabilities, Capability);
  known.logFiles = onlyKnown(known.logFiles, LogFileFacts);
  if (Check(Inventory, known)) return known;
  const [first] = Errors(Inventory, known);
  const where = first === undefined || first.instancePath === '' ? 'it' : first.instancePath;
  throw new Refusal(
    'agent_unreachable',
    `${agent} answered GetInventory in a form that this coordinator cannot read: ${where} ${first?.message ?? ''}`.trim(),
    { agentVersion: versionOf(answer), remedy: 'install agent and coordinator of the same version' },
  );
}

function onlyKnown(list: unknown, schema: TSchema): unknown {
  return Array.isArray(list) ? list.filter((item) => Check(schema, item)) : list;
}

function versionOf(answer: unknown): string {
  const version = (answer as { readonly agentVersion?: unknown } | null)?.agentVersion;
  return typeof version === 'string' ? version : 'not given';
}
