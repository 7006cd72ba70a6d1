import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { messageFromUnknown } from '../../shared/errors.ts';
import { readNvmlFacts } from './facts.ts';
import { type NvmlCall, openNvmlLibrary } from './library.ts';
import { answerDescriptor, type NvmlMessage, type NvmlReply, type NvmlRequest } from './messages.ts';

/**
 * The process that NVML may hang or crash: started by `createForkedNvml`, with the library's path as its argument.
 * It answers one request after the other, synchronously, and ends with its standard input, so it never outlives the agent.
 */
const path = process.argv[2] ?? 'libnvidia-ml.so.1';
let opened: NvmlCall | undefined;

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const request = JSON.parse(line) as NvmlRequest;
    send({ id: request.id, answer: answer(request) });
  })
  .on('close', () => process.exit(0));

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

/** Written before it returns, so the last `calling` is out even when the next call never comes back. */
function send(message: NvmlMessage): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  try {
    for (let written = 0; written < bytes.length; )
      written += writeSync(answerDescriptor, bytes, written, bytes.length - written);
  } catch {
    // The agent is gone: the end of standard input ends this process as soon as the loop turns.
  }
}
