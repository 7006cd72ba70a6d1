import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createCoordinator } from '../../../coordinator/app.ts';
import { namespace } from '../../../coordinator/rehearsal/cluster.ts';
import { Refusal } from '../../../shared/errors.ts';
import { type ApiDocument, createRequests, requestRuns } from '../../requests.ts';
import { createChance } from '../../soak/chance.ts';
import { cpuNode, httpAgents, log, startRig, viewOf } from '../rig.ts';

/** Then another cluster: drills that were accepted are run, and their records add up. */
const perCluster = 2_000;
/** Then the kill switch is released, so that it does not decide about all that follow. */
const perRelease = 100;
/** Events are streamed for as long as the experiment goes on: test/coordinator/routes has their own. */
const isStream = (operation: string) => operation.endsWith('/events');

t.setTimeout(600_000 + requestRuns * 50);

t.test('whatever is asked of a coordinator, it answers in the documented form', async (t) => {
  const chance = createChance(12, 'coordinator requests');
  const statuses = new Map<number, number>();
  for (let done = 0; done < requestRuns; done += perCluster) {
    await t.test(`requests from ${done} on`, async (t) => {
      // One that leads and runs what is accepted, and one that is asked.
      const rig = await startRig(t, { rows: [cpuNode('n1')] });
      const coordinator = await createCoordinator({
        ...{ cluster: rig.cluster, view: viewOf(rig), agents: httpAgents(rig), namespace, log },
        ...{ identity: randomUUID(), leaseSeconds: 15, restore: true, clock: rig.clock },
        random: () => 0.5,
        newName: () => `drill-${randomUUID().slice(0, 8)}`,
      });
      const { app } = coordinator;
      const stopping = new AbortController();
      const running = coordinator.run(stopping.signal);
      t.teardown(async () => {
        stopping.abort(new Refusal('shutting_down', 'the test ends it'));
        await running;
        await app.close();
      });
      // Until then it answers 503 to /readyz, as it should.
      while ((await app.inject('/readyz')).statusCode !== 200) await new Promise(setImmediate);
      const document = (await app.inject('/openapi.json')).json() as ApiDocument;
      const next = createRequests(document, chance, isStream);
      for (let count = 0; count < Math.min(perCluster, requestRuns - done); count += 1) {
        if (count % perRelease === 0)
          await app.inject({ method: 'PUT', url: '/api/v1/killswitch', payload: { engaged: false } });
        const { operation, options } = next();
        const answer = await app.inject(options);
        statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1);
        const fault = faultOf(answer);
        if (fault !== undefined)
          t.fail(`${operation}: ${fault}`, {
            asked: JSON.stringify(options).slice(0, 2000),
            answered: answer.body.slice(0, 2000),
          });
      }
    });
  }
  const good = [200, 201, 202].reduce((sum, status) => sum + (statuses.get(status) ?? 0), 0);
  t.ok(good > requestRuns / 50, `${good} requests were answered with what was asked for`);
  t.comment(JSON.stringify(Object.fromEntries([...statuses].toSorted())));
});

type Answer = {
  readonly statusCode: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
};

/** undefined: it is as documented. HEAD has no body. */
function faultOf({ statusCode, body, headers }: Answer): string | undefined {
  if (statusCode < 400 || body === '') return statusCode === 500 ? 'an internal error' : undefined;
  const type = String(headers['content-type']);
  if (!type.startsWith('application/problem+json')) return `${statusCode} in ${type}`;
  const { code, status, title } = JSON.parse(body) as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || typeof title !== 'string' || status !== statusCode)
    return `${statusCode} in another form`;
  return code === 'internal' || statusCode === 500 ? 'an internal error' : undefined;
}
