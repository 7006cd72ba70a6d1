import { gpuConditionType } from '../catalogue/nma/conditions.ts';
import { nmaVersions } from '../catalogue/nma/versions.ts';
import type { At, Deed } from './piece.ts';

/** What people write in sentences about what they did or expected, and what that stands for. Bounded patterns only. */
const phrases: readonly { readonly pattern: RegExp; readonly deed: (at: At) => Deed }[] = [
  { pattern: /\bpod identity assoc/i, deed: (at) => ({ ...at, is: 'role', how: 'pod-identity' }) },
  {
    pattern: /\b(?:IRSA|IAM) role\b|\brole-arn\b/i,
    deed: (at) => ({ ...at, is: 'role', how: 'annotation' }),
  },
  { pattern: /\bpatch\w{0,3} (?:the |its )?clusterrole\b/i, deed: (at) => ({ ...at, is: 'cluster-role' }) },
  {
    pattern: /\bkarpenter\b.{0,40}\brepairs?\b.{0,20}\bdefault/i,
    deed: (at) => ({ ...at, is: 'karpenter-belief' }),
  },
  {
    pattern: /\bcordoned and replaced\b|\bnode\b.{0,60}\b(?:is|gets?|be) (?:cordoned|replaced)\b/i,
    deed: (at) => ({ ...at, is: 'repair-wait' }),
  },
];

/** What a sentence tells, beside its code spans. */
export function readWords(text: string, at: At): readonly Deed[] {
  const line = text.slice(0, longestLine);
  const found = phrases.flatMap(({ pattern, deed }) => {
    const match = pattern.exec(line);
    return match === null ? [] : [deed({ line: at.line, quote: match[0] })];
  });
  return [...found, ...heartbeats(line, at), ...readyReason(line, at)];
}

/** More of a line is not searched. */
export const longestLine = 4000;

function heartbeats(text: string, at: At): readonly Deed[] {
  const found = /heartbeat\D{0,30}(\d{2}:\d{2}:\d{2}).{0,60}\bother\D{0,40}(\d{2}:\d{2}:\d{2})/i.exec(text);
  if (found?.[1] === undefined || found[2] === undefined) return [];
  return [{ ...at, is: 'heartbeats', nma: found[1], others: found[2] }];
}

/** `True`, reason NvidiaGPUIsReady. */
function readyReason(text: string, at: At): readonly Deed[] {
  const row = nmaVersions.find(({ nvidiaReadyReason }) => text.includes(nvidiaReadyReason));
  if (row === undefined || !/\btrue\b/i.test(text)) return [];
  const condition = {
    type: gpuConditionType,
    status: 'True',
    reason: row.nvidiaReadyReason,
    message: '',
    lastHeartbeatTime: null,
    lastTransitionTime: null,
  };
  return [
    {
      ...at,
      is: 'condition',
      condition,
      node: { name: undefined, architecture: undefined, labels: {} },
      newest: null,
    },
  ];
}
