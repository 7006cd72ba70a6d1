import { isReady, text } from '../view/node.ts';
import type { LinkRow } from './links.ts';
import { reached, watched } from './watched.ts';

/** Karpenter gives a reboot up after 20 min (karpenter.md §4), and the drain before it may take 10. */
const longestRebootSeconds = 35 * 60;

/**
 * The same Node, by its uid, runs on another boot and is Ready: where the controller reboots and does not replace (karpenter.md §4,
 * field-cases F11).
 */
export const reboot: LinkRow = {
  ...watched,
  name: 'reboot',
  title: 'the node starts again',
  usualSeconds: longestRebootSeconds,
  // `repair: expect` is a replacement, after which the node is another one.
  plan: ({ asked }) =>
    asked.then?.some(({ link }) => link === 'reboot') === true
      ? [{ id: 'reboot', expected: 'the same Node (by its uid) has another bootID and is Ready' }]
      : [],
  find(_link, { isGone, node }, past) {
    const taken = past.earlier.find(({ link }) => link === 'taint');
    if (taken?.state === 'waiting') return undefined;
    if (isGone)
      return {
        state: 'missed',
        because: 'the Node is gone, and a reboot keeps it',
        cause: 'replaced-instead',
      };
    const before = past.baseline.bootId;
    const bootId = text(node, 'status', 'nodeInfo', 'bootID');
    const isOther = before !== undefined && bootId !== undefined && bootId !== before;
    if (node !== undefined && isOther && isReady(node)) {
      const source = `nodes/${node.metadata.name} status.nodeInfo.bootID`;
      const shown = `the same Node is Ready with boot id ${bootId}; it was ${before}`;
      return reached(past, { kind: 'node', source, text: shown }, 'another boot id than before the drill');
    }
    if (!past.isDue) return undefined;
    if (before === undefined || bootId === undefined)
      return { state: 'unknown', because: 'the node shows no boot id' };
    return isOther
      ? {
          state: 'missed',
          because: `it runs on boot id ${bootId} and is not Ready`,
          cause: 'not-ready-again',
        }
      : { state: 'missed', because: `it runs on boot id ${bootId} as before`, cause: 'not-rebooted' };
  },
};
