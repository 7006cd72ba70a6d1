import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { readPoolBudgets } from '../../../coordinator/view/node-pools.ts';
import { Refusal } from '../../../shared/errors.ts';

const pool = (spec: object): KubeObject => ({
  apiVersion: 'karpenter.sh/v1',
  kind: 'NodePool',
  metadata: { name: 'gpu' },
  spec,
});

function read(answer: () => KubeObject | undefined) {
  return readPoolBudgets({ read: async () => answer() }, 'gpu');
}

t.test('budgets as they stand, and the default', async (t) => {
  t.strictSame(await read(() => pool({})), [{ nodes: '10%' }]);
  t.strictSame(await read(() => pool({ disruption: { budgets: [] } })), []);
  const budgets = [{ nodes: '0', reasons: ['Unhealthy'], schedule: '@daily', duration: '8h' }, { nodes: 3 }];
  t.strictSame(await read(() => pool({ disruption: { budgets } })), [
    { nodes: '0', reasons: ['Unhealthy'], schedule: '@daily' },
    { nodes: '3' },
  ]);
});

t.test('what is not there or must not be read is a reason', async (t) => {
  t.match(await read(() => undefined), { unread: 'there is no NodePool gpu' });
  const refuse = (reason: 'object_missing' | 'cluster_refused' | 'cluster_unreachable') => () => {
    throw new Refusal(reason, 'no');
  };
  t.match(await read(refuse('object_missing')), { unread: /not served/ });
  t.match(await read(refuse('cluster_refused')), { unread: 'no', remedy: /nodepools/ });
  await t.rejects(read(refuse('cluster_unreachable')), /no/);
});
