import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { chart } from '../../charts/helm.ts';
import { at } from '../../charts/render.ts';
import { attach, untilShown } from '../attached.ts';
import { installOn } from '../installed.ts';

/**
 * `npm run test:node -- test/node/long/tokens.test.ts`: thirteen minutes, for which it is not among the others. Kubelets renew a
 * projected token when 80 % of its time is over, and none may have less than 600 s (kubernetes pkg/kubelet/token, API validation);
 * the chart's have an hour.
 */
t.setTimeout(1_800_000);
const seconds = 600;
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else {
  const attached = found;
  const release = installOn(attached, 'tokens');
  t.teardown(() => release.uninstall());
  await release.startMonitor();
  await attached.kubectl('label', 'node', 'gpu-1', 'xidrill.dev/drill=allowed', '--overwrite');
  await release.installFrom(shortChart(), '--set=agent.armed=true', '--set=coordinator.replicas=1');

  const claimsOf = (token: string) => {
    const [, claims = ''] = token.split('.');
    return JSON.parse(Buffer.from(claims, 'base64url').toString()) as { exp: number; aud: string[] };
  };
  // The API server allows a minute (go-jose, jwt.DefaultLeeway), and remembers an answer for 10 s (kubeapiserver, TokenSuccessCacheTTL).
  const isOver = (token: string) => claimsOf(token).exp * 1000 + 80_000 < Date.now();
  const isKnown = async (token: string): Promise<boolean> => {
    const review = await attached.post('/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: claimsOf(token).aud },
    });
    return at(JSON.parse(review), 'status.authenticated') === true;
  };
  const passes = async (name: string) => {
    const experiment = await release.drill(name, 'gpu-1', { name: 'task-blocked' });
    const shown = JSON.stringify(at(experiment, 'status.explanation'));
    t.equal(at(experiment, 'status.verdict'), 'pass', `${name}: ${shown}`);
  };

  t.test('tokens that kubelets renew are used without a restart', async (t) => {
    const first = release.tokens();
    t.ok(first.length >= 4, `${first.length} tokens`);
    for (const token of first) {
      t.ok(claimsOf(token).exp * 1000 <= Date.now() + seconds * 1000, 'it lasts ten minutes at the most');
      t.ok(await isKnown(token));
    }
    await passes('first');
    const began = Date.now();
    await untilShown(
      'every token is another one',
      async () => release.tokens().every((token) => !first.includes(token)),
      2 * seconds,
    );
    t.comment(
      `measured: every token was renewed ${Math.round((Date.now() - began) / 1000)} s after the start`,
    );
    await untilShown('the first ones have expired', async () => first.every(isOver), 2 * seconds);
    for (const token of first) t.notOk(await isKnown(token), 'nobody is let in with it any more');
    await passes('renewed');
    for (const { metadata, status } of await release.pods())
      t.equal(at(status, 'containerStatuses.0.restartCount'), 0, `${metadata.name} was not started again`);
  });
}

/** This chart, whose tokens last as short as the API server allows. */
function shortChart(): string {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-short-'));
  cpSync(chart, folder, { recursive: true });
  for (const name of ['_helpers.tpl', 'coordinator-deployment.yaml']) {
    const file = join(folder, 'templates', name);
    const text = readFileSync(file, 'utf8');
    const short = text.replace(/expirationSeconds: \d+/, `expirationSeconds: ${seconds}`);
    if (short === text) throw new Error(`${name} sets no expirationSeconds`);
    writeFileSync(file, short);
  }
  return folder;
}
