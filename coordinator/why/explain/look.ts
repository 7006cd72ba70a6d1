import type { Finding } from '../finding.ts';
import type { DeedOf } from '../piece.ts';
import { inEngine, say, showCondition } from './say.ts';

/** Looking changes nothing; nvidia-smi is the one that people take for a proof. */
export function explainLook(deed: DeedOf<'look'>): readonly Finding[] {
  if (deed.what !== 'nvidia-smi') return [];
  return [
    say(deed, {
      code: 'nothing-injected',
      result: 'open',
      did: 'Asked the driver through NVML.',
      summary:
        'nvidia-smi shows nothing of what is injected into a host engine or written into the kernel log, and NMA does not look at it.',
      facts: [
        { source: 'NVIDIA/DCGM issue 124', observed: 'injection touches the engine’s cache only, not NVML' },
      ],
      commands: [inEngine('test --introspect --gpuid 0 -f 230'), showCondition],
    }),
  ];
}
