import t from 'tap';
import {
  eventFromLine,
  objectFromText,
  pageFromText,
  refusalFromStatus,
} from '../../../coordinator/cluster/wire.ts';
import { injectionFrom } from '../../../coordinator/store/store.ts';
import { isReason, Refusal } from '../../../shared/errors.ts';

const type = { apiVersion: 'v1', kind: 'Node' };
const odd: readonly unknown[] = [null, 7, true, '', 'constructor', [], ['a'], {}, { a: 1 }, [null], [[]]];
const texts: readonly unknown[] = ['', 'constructor'];

/** What a reader makes of a text: `fine`, or the refusal, which has to be a typed one. */
function outcome(read: () => unknown): unknown {
  try {
    read();
    return 'fine';
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return thrown.reason;
  }
}

t.test('members of a Status of any type end in a typed refusal', async (t) => {
  const names = ['message', 'reason', 'code', 'status', 'details', 'metadata'];
  const inner = ['causes', 'retryAfterSeconds', 'name', 'kind', 'uid'];
  for (const value of odd)
    for (const code of [404, 409, 429, 500, 503]) {
      const answers = [
        ...names.map((name) => ({ kind: 'Status', [name]: value })),
        ...inner.map((name) => ({ kind: 'Status', details: { [name]: value } })),
        ...['reason', 'message', 'field'].map((name) => ({
          kind: 'Status',
          details: { causes: [{ [name]: value }] },
        })),
      ];
      for (const answer of answers) {
        const { reason, message, details } = refusalFromStatus(code, JSON.stringify(answer), 'get nodes');
        t.ok(isReason(reason), JSON.stringify(answer));
        t.notMatch(message, /\[object/);
        const { field, retryAfterSeconds: seconds, serverReason } = details;
        t.ok([field, serverReason].every((text) => text === undefined || typeof text === 'string'));
        t.ok(seconds === undefined || typeof seconds === 'number');
        const event = JSON.stringify({ type: 'ERROR', object: answer });
        t.not(
          outcome(() => eventFromLine(event, 'watch nodes')),
          'fine',
        );
      }
    }
});

t.test('a list whose token or version has another type', async (t) => {
  const page = (metadata: object) => () =>
    pageFromText(JSON.stringify({ metadata, items: [] }), type, 'list nodes');
  for (const name of ['continue', 'resourceVersion'])
    for (const value of odd) {
      const isFine = value === null || texts.includes(value);
      const found = outcome(page({ [name]: value }));
      t.equal(found, isFine ? 'fine' : 'cluster_unreachable', `${name} ${JSON.stringify(value)}`);
    }
  t.match(page({ continue: 'a', resourceVersion: '7' })(), { next: 'a', resourceVersion: '7', items: [] });
});

t.test('an object whose metadata has another type is refused wherever it comes from', async (t) => {
  const isFine: Readonly<Record<string, (value: unknown) => boolean>> = {
    labels: (value) => JSON.stringify(value) === '{}',
    annotations: (value) => JSON.stringify(value) === '{}',
    managedFields: (value) => ['[]'].includes(JSON.stringify(value)),
    ownerReferences: (value) => ['[]'].includes(JSON.stringify(value)),
    uid: (value) => texts.includes(value),
    resourceVersion: (value) => texts.includes(value),
    deletionTimestamp: (value) => texts.includes(value),
  };
  for (const [name, fits] of Object.entries(isFine))
    for (const value of odd) {
      const object = { ...type, metadata: { name: 'a', [name]: value } };
      const expected = value === null || fits(value) ? 'fine' : 'cluster_unreachable';
      const readers = {
        object: () => objectFromText(JSON.stringify(object), 'get nodes a'),
        list: () => pageFromText(JSON.stringify({ metadata: {}, items: [object] }), type, 'list nodes'),
        event: () => eventFromLine(JSON.stringify({ type: 'ADDED', object }), 'watch nodes'),
      };
      for (const [where, read] of Object.entries(readers))
        t.equal(outcome(read), expected, `${where}: metadata.${name} ${JSON.stringify(value)}`);
    }
  t.equal(
    outcome(() => objectFromText('{"kind":"Node"}', 'get nodes a')),
    'cluster_unreachable',
  );
});

t.test('an Injection that was stored without its chain has an empty one', async (t) => {
  for (const spec of [undefined, null, {}, { node: 'n1' }, { node: 'n1', chain: {} }]) {
    const found = injectionFrom({
      apiVersion: 'v1',
      kind: 'Injection',
      metadata: { name: 'a' },
      spec,
      status: null,
    });
    t.same(found.spec.chain, []);
    t.equal(found.status, undefined);
  }
});
