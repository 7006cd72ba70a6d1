import t from 'tap';
import { formatProblem } from '../../../coordinator/routes/problem.ts';
import type { WhyAnswer } from '../../../coordinator/why/finding.ts';
import { registerWhyRoute } from '../../../coordinator/why/route.ts';
import { explainText } from '../../../coordinator/why/why.ts';
import { createServer } from '../../../shared/http/server.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { story } from './story.ts';

const { app } = createServer({
  log: createSilentLog(),
  formatError: formatProblem,
  bodyLimitBytes: 512 * 1024,
});
await app.register(async (routes) => registerWhyRoute(routes));
t.teardown(() => app.close());

const post = (payload: object) => app.inject({ method: 'POST', url: '/api/v1/why', payload });

t.test('the same as on the command line, for a text and for files', async (t) => {
  for (const step of [2, 3, 4] as const) {
    const text = `${story[step].did}\n${story[step].saw}`;
    const answer = await post({ text });
    t.equal(answer.statusCode, 200);
    t.same(answer.json(), explainText(text), `step ${step}`);
  }
  const answer = await post({ files: [{ name: 'a.txt', text: `\n${story[3].did}` }] });
  t.match(answer.json<WhyAnswer>().findings[0], { file: 'a.txt', line: 2 });
});

t.test('a request without a text, with too long a one, or with something else', async (t) => {
  for (const body of [{}, { text: '' }, { text: ' \n' }, { files: [] }])
    t.match((await post(body)).json(), { status: 400, code: 'malformed_request' }, JSON.stringify(body));
  t.match((await post({ txt: 'x' })).json(), { code: 'malformed_request' });
  const half = { name: 'a', text: 'x'.repeat(250_000) };
  t.match((await post({ files: [half, half] })).json(), { status: 413, code: 'body_too_large' });
});
