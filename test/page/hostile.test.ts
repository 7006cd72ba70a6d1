import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import type { LivePorts } from '../../coordinator/cli/follow.ts';
import { runPage } from '../../coordinator/cli/page.ts';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { startApiServer } from '../../coordinator/rehearsal/apiserver/server.ts';
import { namespace } from '../../coordinator/rehearsal/cluster.ts';
import { nodeObject } from '../../coordinator/rehearsal/objects.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { createRealClock } from '../../shared/clock.ts';
import { inParallel } from '../../shared/parallel.ts';
import { gpuNode, log } from '../coordinator/rig.ts';
import { openPage, startBrowser, textOf, whyNoBrowser } from './browser.ts';

/** What somebody who may write one object of the cluster can put on the page of somebody who may do more. */
const evil = '<img src=x onerror=alert(1)>"\'</td></table><script>alert(2)</script>\u001b[31m\u202egnp.exe';
const shown =
  '<img src=x onerror=alert(1)>"\'</td></table><script>alert(2)</script>\\u001b[31m\\u202egnp.exe';

/** Whether the kubeconfig's user may change something. */
let mayWrite = true;

const why = whyNoBrowser();
if (why !== undefined) {
  t.pass('nothing', { skip: why });
} else {
  const browser = await startBrowser(t);
  const { url, address, stop } = await startPage();

  t.test('a thousand nodes: pages of a hundred, found by name and by cause', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(address);
    t.match(await textOf(page), /1001 GPU nodes/);
    t.equal(await page.locator('tbody tr').count(), 100);
    t.equal(await page.locator('#link-detection + ul > li').count(), 1, 'one line for all that are alike');
    t.ok((await page.content()).length < 200_000, 'what is sent does not grow with the cluster');
    await page.getByRole('link', { name: 'Next' }).click();
    t.match(await textOf(page), 'page 2 of 11');
    await page.getByLabel('Name').fill('node-777');
    await page.getByLabel('Name').press('Enter');
    t.same(await page.locator('tbody td:first-child').allInnerTexts(), ['node-777']);
    t.same(complaints, []);
  });

  t.test('hostile text of the cluster is text', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    for (const path of [
      'nodes/evil',
      'drills/evil',
      'drills',
      '?name=evil',
      `?name=${encodeURIComponent(evil)}`,
    ]) {
      await page.goto(`${address}${path}`);
      t.equal(await page.locator('main img, main script').count(), 0, path);
    }
    for (const path of ['nodes/evil', 'drills/evil', 'drills']) {
      await page.goto(`${address}${path}`);
      t.match(await textOf(page), shown, path);
    }
    t.same(complaints, [], 'nothing ran, and the policy had nothing to stop');
  });

  t.test('xidrill page: nothing without the secret of its address, and no foreign page', async (t) => {
    const { origin, pathname, port } = new URL(address);
    t.match(pathname, /^\/[0-9a-f]{32}\/$/);
    t.equal(new URL(address).hostname, '127.0.0.1');
    for (const path of ['/', '/why', '/drills', '/0123456789abcdef0123456789abcdef/', '/assets/client.js'])
      t.equal((await fetch(`${origin}${path}`)).status, 404, path);
    const status = async (headers: Record<string, string>, method = 'GET', path = pathname) => {
      const sent = request({ host: '127.0.0.1', port, path, method, headers });
      sent.end(method === 'POST' ? 'fault=xid&step=start' : undefined);
      const [{ statusCode }] = await once(sent, 'response');
      return statusCode;
    };
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const host = `127.0.0.1:${port}`;
    t.equal(await status({ host }), 200);
    t.equal(await status({ host: `evil.example:${port}` }), 403, 'DNS rebinding');
    for (const headers of [
      { host, ...form, origin: 'https://evil.example' },
      { host, ...form, 'sec-fetch-site': 'cross-site' },
      { host, ...form, origin: `http://localhost:${port}` },
    ])
      t.equal(await status(headers, 'POST', `${pathname}new`), 403);
    t.equal(await status({ host, ...form }, 'POST', `${pathname}new`), 415, 'a form without a page');
  });

  t.test('xidrill page: the right that a button needs and the kubeconfig lacks', async (t) => {
    const { page } = await openPage(t, browser);
    mayWrite = false;
    t.teardown(() => {
      mayWrite = true;
    });
    await page.goto(`${address}killswitch`);
    t.ok(await page.getByRole('button', { name: 'Engage: stop all drills' }).isDisabled());
    t.match(await textOf(page, '.barred'), 'kubectl auth can-i patch configmaps/xidrill-killswitch -n');
    await page.goto(`${address}drills/evil`);
    t.ok(await page.getByRole('button', { name: 'Restore the nodes' }).isDisabled());
    t.match(await textOf(page, '.barred'), 'kubectl auth can-i update experiments.xidrill.dev -n');
    mayWrite = true;
    await page.goto(`${address}killswitch`);
    await page.getByLabel('Reason').fill(evil);
    await page.getByRole('button', { name: 'Engage: stop all drills' }).click();
    t.match(await textOf(page, '.banner'), shown);
    await page.getByRole('button', { name: 'Release' }).click();
    t.match(await textOf(page), 'Released: drills may run.');
  });

  t.test('xidrill page: a drill is an Experiment, followed until it is over', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(`${address}new?fault=xid&node=node-1`);
    await page.getByLabel('xid (required)').fill('79');
    await page.getByRole('button', { name: 'Dry run' }).click();
    t.match(await textOf(page), 'Would drill 1 node: node-1');
    await page.getByRole('button', { name: 'Start the drill' }).click();
    await page.locator('#live-state[data-state=live]').waitFor();
    const name = new URL(page.url()).pathname.split('/').at(-1) ?? '';
    const cluster = clientOf(url);
    const found = await cluster.read('experiments', { namespace, name });
    t.match(found?.spec, {
      fault: { name: 'xid', parameters: { xid: 79 } },
      target: { selector: { names: ['node-1'] } },
    });
    // What a coordinator would write: here is none.
    const status = { phase: 'Aborted', verdict: 'aborted', endedAt: new Date().toISOString() };
    await cluster.patch('experiments', { namespace, name }, { status }, 'status');
    await page.locator('#live-state[data-state=ended]').waitFor();
    t.match(await textOf(page), 'aborted: without an explanation');
    t.same(complaints, []);
    t.equal(await stop(), 0, 'Ctrl-C ends it, also while somebody reads it');
    await t.rejects(fetch(address));
  });
}

function clientOf(server: string) {
  return createClusterClient({ kubeconfig: { url: server }, userAgent: 'test', fieldManager: 'test', log });
}

/** `xidrill page` on an API server with a thousand nodes and what a hostile hand has written there. */
async function startPage() {
  const clock = createRealClock();
  const authorize = ({ verb }: { readonly verb: string }) => ({
    allowed: mayWrite || ['get', 'list', 'watch'].includes(verb),
    user: 'reader',
  });
  const server = await startApiServer({ clock, log, authorize });
  t.teardown(() => server.close());
  const cluster = clientOf(server.url);
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  const names = Array.from({ length: 1000 }, (_, index) => `node-${index}`);
  await inParallel(names, 50, (name) => cluster.create('nodes', nodeObject(gpuNode(name), clock.now())));
  const object = nodeObject(gpuNode('evil'), clock.now());
  await cluster.create('nodes', {
    ...object,
    spec: { taints: [{ key: 'a/b', value: 'x', effect: 'NoSchedule' }] },
  });
  const conditions = [{ type: 'Ready', status: 'True', reason: 'R', message: evil }];
  await cluster.patch('nodes', { name: 'evil' }, { status: { conditions } }, 'status');
  await cluster.create('experiments', {
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Experiment',
    metadata: { name: 'evil', namespace },
    spec: { fault: { name: 'xid', parameters: { detail: evil } } },
  });
  const evidence = [{ source: evil, observed: evil, at: evil }];
  const explanation = { code: evil, summary: evil, evidence, remedy: evil, refuted: [], alsoFound: [] };
  const status = { phase: 'Completed', verdict: 'fail', explanation };
  await cluster.patch('experiments', { name: 'evil', namespace }, { status }, 'status');
  const kubeconfig = join(t.testdir({}), 'kubeconfig');
  const context = { context: { cluster: 'c', user: 'u' }, name: 'n' };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', contexts: [context], 'current-context': 'n' },
      clusters: [{ name: 'c', cluster: { server: server.url } }],
      users: [{ name: 'u', user: {} }],
    }),
  );
  const printed = Promise.withResolvers<string>();
  const interrupted = Promise.withResolvers<() => void>();
  const ports = {
    print: printed.resolve,
    complain: (text: string) => printed.reject(new Error(text)),
    onInterrupt: (listener: () => void) => {
      interrupted.resolve(listener);
      return () => undefined;
    },
  } as unknown as LivePorts;
  const ended = runPage(['--kubeconfig', kubeconfig], ports);
  const stop = async () => {
    (await interrupted.promise)();
    return ended;
  };
  t.teardown(stop);
  return { url: server.url, address: (await printed.promise).trim(), stop };
}
