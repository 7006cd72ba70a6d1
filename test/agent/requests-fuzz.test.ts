import t from 'tap';
import { type ApiDocument, createRequests, requestRuns } from '../requests.ts';
import { createChance } from '../soak/chance.ts';
import { startRig } from './rig.ts';

/** Then another agent, so that a kill switch that was engaged, or a place that is taken, does not decide about all that follow. */
const perAgent = 2_000;
/** Beside what stays answered, such as receipts: a request leaves nothing behind. */
const mostMiB = 200;
const service = '/xidrill.agent.v1.AgentService';
/** It streams, for as long as it is asked to: test/agent/kernel-log has its own. */
const streaming = `POST ${service}/TailKernelLog`;

t.setTimeout(600_000 + requestRuns * 20);

t.test('whatever is asked of an agent, it answers in the documented form', async (t) => {
  const chance = createChance(12, 'agent requests');
  const statuses = new Map<number, number>();
  for (let done = 0; done < requestRuns; done += perAgent) {
    await t.test(`requests from ${done} on`, async (t) => {
      const { app, clock, kernelLog } = await startRig(t);
      const document = (await app.inject('/openapi.json')).json() as ApiDocument;
      const next = createRequests(document, chance, (operation) => operation === streaming);
      for (let count = 0; count < Math.min(perAgent, requestRuns - done); count += 1) {
        const { operation, options } = next();
        const pending = app.inject(options);
        let isOver = false;
        void pending.finally(() => {
          isOver = true;
        });
        // Its clock stands still: what it waits for comes when it has nothing else to do.
        for (let turns = 0; !isOver; turns += 1) {
          await new Promise(setImmediate);
          if (turns % 50 === 49) clock.jump(1_000);
          if (turns > 100_000) throw new Error(`${operation} is never answered: ${JSON.stringify(options)}`);
        }
        const answer = await pending;
        statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1);
        const fault = faultOf(options.method, answer);
        if (fault !== undefined)
          t.fail(`${operation}: ${fault}`, {
            asked: JSON.stringify(options).slice(0, 2000),
            answered: answer.body.slice(0, 2000),
          });
      }
      const foreign = kernelLog.records().filter((record) => !/^[\t -~]*$/.test(textOf(record)));
      t.same(foreign, [], 'every record is one line of ASCII');
    });
  }
  globalThis.gc?.();
  const { heapUsed } = process.memoryUsage();
  t.ok(heapUsed < mostMiB * 2 ** 20, `${Math.round(heapUsed / 2 ** 20)} MiB are left`);
  const carriedOut = statuses.get(200) ?? 0;
  t.ok(carriedOut > requestRuns / 50, `${carriedOut} requests were carried out`);
  t.comment(JSON.stringify(Object.fromEntries([...statuses].toSorted())));
});

type Answer = {
  readonly statusCode: number;
  readonly body: string;
  readonly headers: Record<string, unknown>;
};

/** undefined: it is as documented; the answer to a HEAD has no body. 501 and 505 are Node's own for what is no HTTP/1.1 that it knows. */
function faultOf(method: unknown, { statusCode, body, headers }: Answer): string | undefined {
  if (statusCode < 400) return undefined;
  if (body === '' && (method === 'HEAD' || [404, 405].includes(statusCode))) return undefined;
  if (body === '') return `${statusCode} without a body`;
  if (!String(headers['content-type']).startsWith('application/json'))
    return `${statusCode} in ${headers['content-type']}`;
  const { code, message, details } = JSON.parse(body) as {
    code?: unknown;
    message?: unknown;
    details?: { reason?: unknown };
  };
  if (typeof code !== 'string' || typeof message !== 'string' || typeof details?.reason !== 'string')
    return `${statusCode} in another form`;
  return details.reason === 'internal' || statusCode === 500 ? `an internal error` : undefined;
}

function textOf(record: unknown): string {
  return typeof record === 'string'
    ? record
    : ((record as { text?: string; message?: string }).text ?? JSON.stringify(record));
}
