import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseDuration } from '../../shared/duration.ts';
import {
  isReason,
  messageFromUnknown,
  Refusal,
  reasons,
  refusalFromUnknown,
  rpcCodes,
} from '../../shared/errors.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** https://connectrpc.com/docs/protocol#error-codes */
const connectStatus = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  failed_precondition: 400,
  aborted: 409,
  resource_exhausted: 429,
  unavailable: 503,
  deadline_exceeded: 504,
  internal: 500,
};

t.test('the codes have Connect’s statuses, and an exit code that is none of a verdict', (t) => {
  t.same(Object.fromEntries(Object.entries(rpcCodes).map(([code, { http }]) => [code, http])), connectStatus);
  for (const [code, { exit }] of Object.entries(rpcCodes))
    t.ok(exit === 2 || exit === 4, `${code}: usage or error`);
  t.end();
});

t.test('every reason has a title of its own, and is used somewhere', (t) => {
  const titles = Object.values(reasons).map(({ title }) => title);
  t.equal(new Set(titles).size, titles.length, 'no title twice');
  const sources = ['agent', 'coordinator', 'shared']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
        join(root, folder, file),
      ),
    )
    .filter((file) => file.endsWith('.ts') && !file.endsWith('shared/errors.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  for (const [reason, { title }] of Object.entries(reasons)) {
    t.match(reason, /^[a-z]+(_[a-z]+)*$/);
    t.match(title, /^[A-Zd].*[^.]$/, `${reason}: a short sentence without a full stop`);
    t.ok(sources.includes(`'${reason}'`), `${reason} is thrown somewhere`);
  }
  t.end();
});

t.test(
  'a refusal carries its code, its facts and its cause; anything else is internal and says nothing',
  (t) => {
    const cause = new Error('EACCES');
    const refusal = new Refusal(
      'gpu_unknown',
      'gpu.index: no GPU 7',
      { field: 'gpu.index', value: 7 },
      cause,
    );
    t.match(refusal, {
      name: 'Refusal',
      code: 'not_found',
      cause,
      details: { field: 'gpu.index', value: 7 },
    });
    t.equal(refusalFromUnknown(refusal), refusal);
    for (const thrown of [new Error('secret'), 'secret', undefined, null, { secret: 1 }]) {
      const unknown = refusalFromUnknown(thrown);
      t.match(unknown, { reason: 'internal', code: 'internal', details: {} });
      t.notMatch(unknown.message, /secret/);
      t.equal(unknown.cause, thrown, 'kept for the log');
    }
    t.same([isReason('internal'), isReason('toString'), isReason('')], [true, false, false]);
    t.same([messageFromUnknown(cause), messageFromUnknown(7)], ['EACCES', '7']);
    t.end();
  },
);

t.test('durations in Go’s and in ISO’s spelling', (t) => {
  const rows = [
    ['90s', 90_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
    ['0s', 0],
    ['PT90S', 90_000],
    ['PT1M30S', 90_000],
    ['PT2H', 7_200_000],
    ['PT0.5S', 500],
  ] as const;
  for (const [text, milliseconds] of rows) t.equal(parseDuration(text, 'deadline'), milliseconds, text);
  for (const text of [
    '',
    '90',
    's',
    '-5s',
    '1d',
    '5 s',
    'PT',
    'P1D',
    'PT1S1M',
    '1e3s',
    '90s\n',
    'Infinitys',
  ]) {
    t.throws(
      () => parseDuration(text, 'deadline'),
      { name: 'Refusal', reason: 'deadline_invalid', message: /^deadline: / },
      JSON.stringify(text),
    );
  }
  t.end();
});
