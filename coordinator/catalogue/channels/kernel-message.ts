import { encodeKmsgWrite } from '../../../shared/kmsg-record.ts';
import { matchKernelRules } from '../nma/kernel-rules.ts';
import { type ChannelWork, fillText, type Work } from './channel.ts';

/** One kernel record. */
type KernelMessage = { readonly kind: 'kernel-message'; readonly text: string };

/** One line in the kernel log, with the parameters filled in. */
export const kernelMessage: ChannelWork<KernelMessage> = {
  order: (work) => ({ method: 'WriteKernelMessage', body: { level: 'err', text: recordText(work) } }),
  reactions(work, { nma }) {
    // The rules run on the raw record; the prefix stands for one that the kernel will put there.
    return matchKernelRules(nma, `11,1,1,-;${recordText(work)}`).map(({ rule, reaction }) => ({
      surface: 'kernel-log',
      reaction,
      via: 'kernel-log-rule',
      plugin: rule.plugin,
      afterMs: 0,
    }));
  },
};

function recordText(work: Work<KernelMessage>): string {
  const text = fillText(work.channel.text, work);
  encodeKmsgWrite('err', text, 'fault.parameters');
  return text;
}
