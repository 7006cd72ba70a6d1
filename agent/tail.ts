import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { Refusal, refusalFromUnknown } from '../shared/errors.ts';
import type { RouteAccess } from '../shared/http/access.ts';
import { untilRefused } from '../shared/http/admission.ts';
import { TailKernelLog } from '../shared/schemas/order.ts';
import type { KernelLog, TailEntry } from './kernel-log/port.ts';
import { NodeHeader, tailDoc } from './method-docs.ts';

/** How long a stream that ends with the agent may take to say so; a caller who has stopped reading never hears it. */
const lastWordMs = 1000;

/** Each reads the device 20 times a second. */
const mostStreams = 32;

/**
 * `TailKernelLog`: one JSON object a line, as records come. What the ring overwrote before it could be read is a line
 * `{"lost": …}`; the last line of a stream that ends by itself is `{"end": …}`, so that a cut stream is told apart. It ends
 * also when its caller may no longer read.
 */
export function registerTail(
  app: FastifyInstance,
  path: string,
  access: RouteAccess,
  kernelLog: KernelLog,
): void {
  const closing = new AbortController();
  const open = new Set<Promise<unknown>>();

  // Connections are cut right after this hook; a caller who still reads hears the end before.
  app.addHook('preClose', async () => {
    closing.abort();
    const heard = new AbortController();
    const patience = sleep(lastWordMs, undefined, { signal: heard.signal }).catch(() => undefined);
    await Promise.race([Promise.all(open), patience]);
    heard.abort();
  });

  const options = { config: { access, doc: tailDoc }, schema: { body: TailKernelLog, headers: NodeHeader } };
  app.post<{ Body: TailKernelLog }>(path, options, async (request, reply) => {
    const because = kernelLog.unavailable();
    if (because !== undefined) throw because;
    if (open.size >= mostStreams) throw tooManyStreams(open.size);
    const gone = new AbortController();
    const { forSeconds } = request.body;
    const limits = [closing.signal, gone.signal];
    if (forSeconds !== undefined) limits.push(AbortSignal.timeout(Math.ceil(forSeconds * 1000)));
    const closed = new Promise<void>((resolve) => reply.raw.once('close', resolve));
    open.add(closed);
    void closed.then(() => {
      open.delete(closed);
      gone.abort();
    });
    untilRefused(request, gone.signal, (refusal) => gone.abort(refusal));
    const stopped = () => {
      if (gone.signal.reason instanceof Refusal) return gone.signal.reason.message;
      return closing.signal.aborted ? 'the agent is shutting down' : 'time is up';
    };
    const lines = linesOf(kernelLog, request.body, { signal: AbortSignal.any(limits), stopped });
    void reply.type('application/x-ndjson').send(Readable.from(lines, { objectMode: false }));
    // At once, not with the first record: a caller injects when it knows that the tail stands.
    reply.raw.flushHeaders();
    return reply;
  });
}

function tooManyStreams(open: number): Refusal {
  return new Refusal('too_many_streams', `${open} streams of the kernel log are open, the most at once`, {
    allowed: { maximum: mostStreams },
    retryAfterSeconds: 10,
    remedy: 'end one of them, or give forSeconds or limit so that they end by themselves',
  });
}

async function* linesOf(
  kernelLog: KernelLog,
  ask: TailKernelLog,
  { signal, stopped }: { readonly signal: AbortSignal; readonly stopped: () => string },
): AsyncGenerator<string> {
  let sent = 0;
  let end: string | undefined;
  try {
    for await (const entry of kernelLog.tail({ from: ask.from ?? 'end', signal })) {
      if (!isWanted(entry, ask.match)) continue;
      yield `${JSON.stringify(lineOf(entry))}\n`;
      sent += 1;
      if (ask.limit !== undefined && sent >= ask.limit) {
        end = 'the limit is reached';
        break;
      }
    }
  } catch (thrown) {
    end = refusalFromUnknown(thrown).message;
  }
  yield `${JSON.stringify({ end: end ?? stopped(), records: sent })}\n`;
}

function isWanted(entry: TailEntry, match: string | undefined): boolean {
  return 'lost' in entry || match === undefined || entry.record.text.includes(match);
}

function lineOf(entry: TailEntry): object {
  if ('lost' in entry) return entry;
  const { priority, sequence, microseconds, text } = entry.record;
  return { sequence, priority, level: priority & 7, facility: priority >> 3, microseconds, text };
}
