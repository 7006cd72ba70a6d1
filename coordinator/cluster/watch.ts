import { pathOf, selectorsOf } from './paths.ts';
import type { ResourceName, WatchEvent, WatchQuery } from './port.ts';
import { refusalFromStatus } from './status.ts';
import { type Transport, unreachable } from './transport.ts';
import { eventFromLine, linesOf, textOf } from './wire.ts';

const defaultWatchSeconds = 120;

/** The port's `watch` over HTTP; `timeoutMs` is for the head of the answer alone, of real time. */
export function createWatch(transport: Transport, timeoutMs: number) {
  return async function* watch(resource: ResourceName, query: WatchQuery): AsyncGenerator<WatchEvent> {
    const asked = `watch ${resource}`;
    if (query.signal.aborted) return;
    const parameters = new URLSearchParams({
      ...selectorsOf(query),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: query.resourceVersion,
      timeoutSeconds: String(query.timeoutSeconds ?? defaultWatchSeconds),
    });
    const path = `${pathOf(resource, { namespace: query.namespace })}?${parameters}`;
    const ending = new AbortController();
    const abort = () => ending.abort(query.signal.reason);
    query.signal.addEventListener('abort', abort, { once: true });
    const headTimer = setTimeout(
      () => ending.abort(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      const response = await transport.open({ method: 'GET', path, signal: ending.signal });
      const code = response.statusCode ?? 0;
      if (code !== 200) throw refusalFromStatus(code, await textOf(response), asked);
      clearTimeout(headTimer);
      query.onOpen?.();
      for await (const line of linesOf(response, asked)) {
        const event = eventFromLine(line, asked);
        const isWhole = query.project === undefined || event.type === 'BOOKMARK';
        yield isWhole ? event : { type: event.type, object: query.project(event.object) };
      }
    } catch (thrown) {
      if (query.signal.aborted) return;
      throw unreachable(asked, ending.signal.aborted ? ending.signal.reason : thrown);
    } finally {
      clearTimeout(headTimer);
      query.signal.removeEventListener('abort', abort);
      // Ends the connection when the caller leaves its loop; after a normal end it does nothing.
      ending.abort();
    }
  };
}
