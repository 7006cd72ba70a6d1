import t from 'tap';
import { formatProblem } from '../../coordinator/routes/problem.ts';
import { Refusal } from '../../shared/errors.ts';
import { createServer, formatConnectError } from '../../shared/http/server.ts';
import { createLog, type LogLevel } from '../../shared/log.ts';
import { withoutSecrets } from '../../shared/secrets.ts';

const secret = 's3cr3t';
const webToken = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ${secret}.c2lnbmF0dXJl-_${secret}`;

/** Ways in which a secret comes into what is logged. */
const carriers: Readonly<Record<string, object>> = {
  'a member': { token: secret },
  'a header': { headers: { authorization: `Bearer ${secret}`, cookie: `a=${secret}` } },
  'a header of many values': { 'set-cookie': [secret] },
  'a header in other letters': { Authorization: secret, 'X-Api-Key': secret },
  'deep below': { a: { b: [{ c: { password: `with "quotes" and \\ ${secret}` } }] } },
  'an error': { err: new Error(`asked with Bearer ${secret}`) },
  'an error with a cause': { err: new Error('outer', { cause: new Error(`got ${webToken}`) }) },
  'an error with facts': { err: new Refusal('internal', 'x', { value: { token: secret } }) },
  'an error with a request': {
    err: Object.assign(new Error('x'), { config: { headers: { authorization: secret } } }),
  },
  'a JSON text': { body: JSON.stringify({ token: secret, more: JSON.stringify({ password: secret }) }) },
  'an address with a user': { url: `https://user:${secret}@proxy.example:3128/` },
  'a user alone': { message: `connect to http://${secret}@host failed` },
  'a query': { url: `/api/v1/nodes?limit=1&access_token=${secret}&token=${secret}#x` },
  'a web token in a sentence': { because: `the token ${webToken} is not bound` },
  'a variable of a command': {
    command: `env AWS_SECRET_ACCESS_KEY=${secret} DB_PASSWORD="${secret}" aws sts get`,
  },
  'an option': { command: `kubectl --token ${secret} get nodes; x --password='${secret}'` },
  'a basic login': { because: `Authorization: Basic ${secret}==` },
};

t.test('L5 no level writes a secret, wherever it stands', async (t) => {
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    const lines: string[] = [];
    const log = createLog({ name: 'test', level: 'debug', to: { write: (line) => void lines.push(line) } });
    for (const fields of Object.values(carriers)) {
      log[level](fields, 'constant');
      log.child(fields).info({}, 'a child');
      log[level]({ kept: 'yes' }, JSON.stringify(fields));
    }
    t.equal(lines.length, 3 * Object.keys(carriers).length);
    for (const line of lines) {
      t.notMatch(line, secret, `${level}: ${line}`);
      t.equal((JSON.parse(line) as { name: string }).name, 'test', 'still one object a line');
    }
  }
});

t.test('what is no secret stays as it was', async (t) => {
  const line = JSON.stringify({
    url: 'https://10.0.0.1:6443/api?limit=500&labelSelector=a%3Db',
    because: 'User "a@b.example" cannot get tokenreviews; the token file cannot be read',
    token_count: '3',
    values: '--set automountServiceAccountToken=false --token-file=/var/run/token',
    keys: ['a'],
  });
  t.equal(withoutSecrets(line), line);
});

t.test('L5 requests and failures of both programs, at every level', async (t) => {
  for (const formatError of [formatConnectError, formatProblem])
    for (const level of ['debug', 'info', 'warn', 'error', 'silent'] satisfies LogLevel[]) {
      const lines: string[] = [];
      const log = createLog({ name: 'test', level, to: { write: (line) => void lines.push(line) } });
      const { app } = createServer({ log, formatError });
      t.teardown(() => app.close());
      app.post('/fails', { config: { access: 'open' } }, async ({ headers, body }) => {
        throw Object.assign(new Error(`cannot: ${JSON.stringify(headers)}`), { headers, body });
      });
      const headers = { authorization: `Bearer ${secret}`, cookie: `session=${secret}` };
      const json = { ...headers, 'content-type': 'application/json' };
      const send = (url: string, payload: object) =>
        app.inject({ method: 'POST', url, headers: json, payload });
      t.equal((await send('/fails', { token: secret })).statusCode, 500);
      for (const url of [`/nowhere?token=${secret}`, `/fails?note=${secret}`, `/%zz?${secret}`])
        await send(url, { password: secret });
      await app.inject({ url: `http://me:${secret}@localhost/healthz?${secret}`, headers });
      if (level !== 'silent') t.ok(lines.length > 0, level);
      t.notMatch(lines.join(''), secret, level);
    }
});
