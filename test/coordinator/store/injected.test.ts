import t from 'tap';
import { injectedByAny, injectedByOrder, type SentOrder } from '../../../coordinator/store/injected.ts';
import { dcgmResult, kernelResult, receipt } from '../diagnosis/builder.ts';

const refusal = (reason: string, details = {}) => ({ refusal: { reason, details } });
const answered = (...results: readonly { outcome: 'refused' | 'failed'; code: string }[]) => ({
  receipt: receipt(results.map((result) => dcgmResult({ ...result, message: 'it was so' }))),
});

t.test('N3: what one order says about whether anything was injected', async (t) => {
  const rows: readonly (readonly [name: string, order: SentOrder, injected: 'none' | 'perhaps' | 'yes'])[] = [
    ['read back', { receipt: receipt([kernelResult('a line')]) }, 'yes'],
    [
      'on one of two surfaces',
      {
        receipt: receipt([
          kernelResult('a line'),
          dcgmResult({ outcome: 'refused', code: 'nobody_listens', message: 'no' }),
        ]),
      },
      'yes',
    ],
    ['refused by its surface', answered({ outcome: 'refused', code: 'nobody_listens' }), 'none'],
    ['refused for a reason of a newer agent', answered({ outcome: 'refused', code: 'a_new_reason' }), 'none'],
    [
      'failed for a reason of a newer agent',
      answered({ outcome: 'failed', code: 'a_new_reason' }),
      'perhaps',
    ],
    [
      'R5: in the kernel log and not in the journal',
      {
        receipt: receipt([
          kernelResult('kubelet: x', {
            surface: 'journal',
            outcome: 'failed',
            code: 'journal_record_missing',
          }),
        ]),
      },
      'yes',
    ],
    ['not seen afterwards', answered({ outcome: 'failed', code: 'injection_not_visible' }), 'perhaps'],
    ['dcgmi ran and did not end', answered({ outcome: 'failed', code: 'dcgmi_timeout' }), 'perhaps'],
    ['dcgmi was asked before anything was begun', refusal('dcgmi_timeout'), 'none'],
    ['failed before the write', answered({ outcome: 'failed', code: 'kernel_log_unavailable' }), 'none'],
    ['still running', { receipt: { ...receipt([]), state: 'running' } }, 'perhaps'],
    ['disarmed', refusal('disarmed'), 'none'],
    ['no answer', refusal('agent_unreachable'), 'perhaps'],
    ['never sent', refusal('agent_unreachable', { isUnsent: true }), 'none'],
    ['a defect of the agent', refusal('internal'), 'perhaps'],
    ['on its way', {}, 'perhaps'],
  ];
  for (const [name, order, injected] of rows) t.equal(injectedByOrder(order), injected, name);
});

t.test('N3: over several orders or nodes the strongest counts', async (t) => {
  t.equal(injectedByAny([]), 'none');
  t.equal(injectedByAny(['none', 'perhaps', 'none']), 'perhaps');
  t.equal(injectedByAny(['perhaps', 'yes', 'none']), 'yes');
});
