import { Readable } from 'node:stream';

/** Server-sent events for one reader, at the reader's pace. */
export type EventStream = {
  /** What is sent. */
  readonly stream: Readable;
  /**
   * What there is to send about one thing. It is written when the reader is ready for it, and until then only the newest of
   * a key waits: whoever reads slowly misses what lay between, and costs no memory.
   * @param event One event as it is sent, of {@link eventBytes}; undefined: none. Called at most once, later.
   */
  put(key: string, event: () => Buffer | undefined): void;
  /** The last event, after what waits. What is put later is not sent. */
  end(event: Buffer): void;
  /** As {@link end}, at once: what waits is dropped. */
  cut(event: Buffer): void;
};

/** Between two of them a proxy may take the stream for dead. */
const keepAliveMs = 15_000;

/** A reader that has taken nothing for so many times {@link keepAliveMs} while something waits is gone: its place is another's. */
const mostStalled = 4;

/**
 * Server-sent events for one reader; a slow one gets the newest of each thing, and memory does not depend on it.
 *
 * @param onClosed Called once, when its reader has taken all of it, or is gone.
 */
export function createEventStream(onClosed: () => void): EventStream {
  const waiting = new Map<string, () => Buffer | undefined>();
  let last: Buffer | undefined;
  let isWanted = false;
  let isOpen = true;
  let isWritten = false;
  let stalled = 0;

  const flush = () => {
    while (isWanted && isOpen) {
      const next = waiting.entries().next();
      if (next.done === true) break;
      const [key, eventOf] = next.value;
      waiting.delete(key);
      const event = eventOf();
      if (event !== undefined) isWanted = stream.push(event);
    }
    if (!isWanted || last === undefined || !isOpen || isWritten) return;
    // Its place is free when the reader has taken this too, or is cut off: then the stream is destroyed.
    isWritten = true;
    isWanted = false;
    stream.push(last);
    stream.push(null);
  };

  const stream = new Readable({
    read() {
      isWanted = true;
      stalled = 0;
      flush();
    },
    destroy(error, done) {
      isOpen = false;
      clearInterval(alive);
      waiting.clear();
      onClosed();
      done(error);
    },
  });

  const alive = setInterval(() => {
    if (isWanted && !isWritten) isWanted = stream.push(': still here\n\n');
    else if (++stalled >= mostStalled) stream.destroy();
  }, keepAliveMs);

  return {
    stream,
    put(key, event) {
      if (last !== undefined || !isOpen) return;
      waiting.set(key, event);
      flush();
    },
    end(event) {
      last ??= event;
      flush();
    },
    cut(event) {
      waiting.clear();
      last = event;
      flush();
    },
  };
}

/** One event as it is sent, in bytes that many readers can share. @param data Written as JSON, which has no line breaks. */
export function eventBytes(event: string, data: object): Buffer {
  return Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
