import type { Expectation } from '../../coordinator/catalogue/expectation.ts';
import { links as rows } from '../../coordinator/drill/links.ts';
import type { InjectionSpec, LinkStatus } from '../../coordinator/store/experiment.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';

/** The chain of a drill with one order and one expectation, as it is stored. */
export function simpleChain(order: AgentOrder, expectation: Expectation): InjectionSpec['chain'] {
  return rows.flatMap((row) =>
    row
      .plan({ order, expectation, asked: {}, reacting: [] })
      .map((link) => ({ ...link, link: row.name, role: 'fault' as const })),
  );
}

/** A stored link as far as a test says how it stands. */
export function linkStatus(
  id: string,
  state: LinkStatus['state'],
  more: Partial<LinkStatus> = {},
): LinkStatus {
  return { id, link: id.replace(/-\d+$/, ''), state, expected: '', evidence: [], ...more };
}
