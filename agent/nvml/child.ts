import { messageFromUnknown } from '../../shared/errors.ts';
import { readNvmlFacts } from './facts.ts';
import { type NvmlCall, openNvmlLibrary } from './library.ts';
import type { NvmlMessage, NvmlReply, NvmlRequest } from './messages.ts';

/**
 * The process that NVML may hang or crash: forked by `createForkedNvml`, with the library's path as its argument.
 * It answers one request after the other, synchronously, and ends with the IPC channel, so it never outlives the agent.
 */
const path = process.argv[2] ?? 'libnvidia-ml.so.1';
let opened: NvmlCall | undefined;

process.on('message', (request: NvmlRequest) => {
  if (request.method === 'end') process.disconnect();
  else send({ id: request.id, answer: answer(request) });
});
process.on('disconnect', () => process.exit(0));

function answer({ id, method }: NvmlRequest): NvmlReply {
  if (method !== 'list') return { failure: { kind: 'defect', message: `no such method: ${String(method)}` } };
  try {
    opened ??= openNvmlLibrary(path);
  } catch (thrown) {
    return { failure: { kind: 'library', message: messageFromUnknown(thrown) } };
  }
  try {
    return readNvmlFacts(opened, (calling) => send({ id, calling }));
  } catch (thrown) {
    return { failure: { kind: 'defect', message: messageFromUnknown(thrown) } };
  }
}

/** Written to the channel before it returns, so the last `calling` is out even when the next call never comes back. */
function send(message: NvmlMessage): void {
  // The agent may be gone by now; `disconnect` ends this process as soon as the loop turns.
  process.send?.(message, undefined, undefined, () => undefined);
}
