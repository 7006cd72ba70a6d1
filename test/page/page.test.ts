import t from 'tap';
import { Refusal } from '../../shared/errors.ts';
import type { Gate } from '../../shared/http/gate.ts';
import { cpuNode, gpuNode, only, type Rig, startCoordinator, startRig, until } from '../coordinator/rig.ts';
import { openPage, seriousFindings, startBrowser, textOf, whyNoBrowser } from './browser.ts';

const why = whyNoBrowser();
if (why !== undefined) {
  t.pass('nothing', { skip: why });
} else {
  const browser = await startBrowser(t);
  const rows = [gpuNode('one'), gpuNode('two', {}), cpuNode('plain')];
  // Real time goes by in a browser, whatever a clock of ours does.
  const rig = await startRig(t, { rows, factor: 20 });

  t.test('fleet: nodes and links, filtered', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(rig.url);
    t.match(await textOf(page), /2 GPU nodes: faults are detected on 2/);
    t.same(await page.locator('tbody tr').count(), 2);
    t.match(await textOf(page, '#link-detection'), 'Is a GPU fault detected?');
    await page.getByLabel('Name').fill('two');
    await page.getByRole('button', { name: 'Filter' }).click();
    t.match(page.url(), 'name=two');
    t.same(await page.locator('tbody td:first-child').allInnerTexts(), ['two']);
    await page.goto(`${rig.url}/page/?nodes=all`);
    t.same(await page.locator('tbody td:first-child').allInnerTexts(), ['one', 'plain', 'two']);
    await page.getByLabel('Cause').selectOption('repair-not-enabled');
    await page.getByRole('button', { name: 'Filter' }).click();
    t.match(await page.locator('tbody tr').count(), 3);
    t.match(page.url(), 'nodes=all', 'the filter keeps what else was chosen');
    t.same(complaints, []);
  });

  t.test('one node: what is wrong, facts, engines, events', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(rig.url);
    await page.getByRole('link', { name: 'one', exact: true }).click();
    const text = await textOf(page);
    for (const part of [
      'Nobody is switched on to repair',
      'AcceleratedHardwareReady',
      'NVIDIA A10G',
      'watchers',
    ])
      t.match(text, part);
    t.match(await textOf(page, 'ol.chain'), /✓ ok order .* ✓ ok detection .* [✗?]/);
    const missing = await page.goto(`${rig.url}/page/nodes/nowhere`);
    t.equal(missing?.status(), 404);
    t.match(await textOf(page), 'there is no node "nowhere"');
    t.same(complaints, []);
  });

  t.test('faults: searched, and one with what it writes and what follows', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(`${rig.url}/page/faults`);
    await page.getByLabel('Search').fill('conntrack');
    await page.getByLabel('Search').press('Enter');
    t.match(await textOf(page, '[role=status]'), /^1 of \d+ faults$/);
    await page.getByRole('link', { name: 'conntrack-full' }).click();
    for (const part of ['Risk:', 'Undo:', 'What a healthy cluster shows', 'ConntrackExceededKernel'])
      t.match(await textOf(page), part);
    t.same(complaints, []);
  });

  t.test('a drill: dry run, start, the chain as it comes, explanation', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(`${rig.url}/page/nodes/one`);
    await page.getByRole('link', { name: 'New drill on this node' }).click();
    await page.getByRole('combobox', { name: 'Fault', exact: true }).selectOption('xid');
    await page.getByRole('button', { name: 'Choose' }).click();
    t.equal(await page.getByLabel('Names, separated by spaces').inputValue(), 'one', 'the node is kept');
    await page.getByLabel('xid (required)').fill('79');
    await page.getByRole('button', { name: 'Dry run' }).click();
    for (const part of [
      'Would drill 1 node: one',
      'dcgmi test --inject',
      'NVIDIA device plugin',
      'NvidiaXID79Error',
    ])
      t.match(await textOf(page), part);
    t.same(await names(rig), [], 'a dry run writes nothing');
    await page.getByRole('button', { name: 'Start the drill' }).click();
    await page.locator('#live-state[data-state=ended]').waitFor();
    const text = await textOf(page);
    t.match(text, /✓ pass pass: NMA reacted on node one after .*: NvidiaXID79Error/);
    t.match(await textOf(page, 'ol.chain'), /✓ reached order .* ✓ reached detection/);
    t.match(text, 'What to do: Restore the node');
    await page.getByText('Timeline of one').click();
    t.match(await textOf(page), 'condition (the reaction)');
    await page.getByRole('link', { name: 'Drills' }).first().click();
    t.match(await textOf(page, 'tbody'), /drill-\w+ xid Completed 1/);
    t.same(complaints, []);
  });

  t.test('a drill that cannot be: the refusal with its remedy, and what was typed is not lost', async (t) => {
    const { page } = await openPage(t, browser);
    await page.goto(`${rig.url}/page/new?fault=xid&node=two`);
    await page.getByLabel('xid (required)').fill('79');
    await page.getByRole('button', { name: 'Dry run' }).click();
    t.match(await textOf(page), /no_target.*xidrill\.dev\/drill=allowed/);
    t.equal(await page.getByLabel('xid (required)').inputValue(), '79');
    t.equal(await page.getByLabel('Names, separated by spaces').inputValue(), 'two');
    t.same((await names(rig)).length, 1, 'the drill before and no other');
  });

  t.test('why: what was pasted is explained and not executed', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await page.goto(`${rig.url}/page/why`);
    const pasted = 'dcgmi test --inject --gpuid 0 -f 150 -v 48\n<script>alert(1)</script>';
    await page.getByLabel('What you did and saw').fill(pasted);
    await page.getByRole('button', { name: 'Explain' }).click();
    const text = await textOf(page);
    for (const part of [
      'Field 150 is the GPU temperature',
      'field-is-another-quantity',
      '<script>alert(1)</script>',
    ])
      t.match(text, part);
    t.equal(
      await page.getByLabel('What you did and saw').inputValue(),
      pasted,
      'to be changed and asked again',
    );
    t.same(complaints, []);
  });

  t.test('without JavaScript: everything is there to read, a drill can be started', async (t) => {
    const { page } = await openPage(t, browser, { javaScriptEnabled: false });
    await page.goto(rig.url);
    t.same(await page.locator('tbody tr').count(), 2);
    await page.goto(`${rig.url}/page/new?fault=conntrack-full&node=plain`);
    await page.getByRole('button', { name: 'Dry run' }).click();
    await page.getByRole('button', { name: 'Start the drill' }).click();
    t.match(page.url(), /\/drills\/drill-/);
    await rig.rest.ended(page.url().split('/').at(-1) ?? '');
    await page.reload();
    t.match(await textOf(page), /pass: NMA reacted on node plain/);
    t.notMatch(await page.content(), 'http-equiv="refresh"');
    const fault = { name: 'conntrack-full' };
    const expectation = { message: 'never', within: '1h' };
    await rig.rest.create({ name: 'long', fault, target: only('plain'), expectation });
    await page.goto(`${rig.url}/page/drills/long`);
    t.match(await page.content(), 'http-equiv="refresh"', 'it is followed by asking again');
    await page.getByRole('button', { name: 'Abort this drill' }).click();
    // The page asks again by itself, which nothing else may get in the way of.
    await page.getByRole('button', { name: 'Restore the nodes' }).click();
    await page.locator('.link.reached, .link.skipped', { hasText: 'restore' }).waitFor();
    t.match(await textOf(page), 'aborted: ');
    t.not(await restoreOf(rig, 'long'), null);
    t.equal(
      await page.getByRole('button', { name: /^Restore/ }).count(),
      0,
      'there is nothing left to restore',
    );
  });

  t.test('without JavaScript: the kill switch is engaged and released, with a reason', async (t) => {
    const { page } = await openPage(t, browser, { javaScriptEnabled: false });
    await page.goto(rig.url);
    await page.getByRole('link', { name: 'Stop everything' }).click();
    await page.getByLabel('Reason').fill(hostileReason);
    await page.getByRole('button', { name: 'Engage: stop all drills' }).click();
    t.equal(page.url(), `${rig.url}/page/killswitch`);
    t.match(await textOf(page), 'Engaged: nothing is injected.');
    t.match(await textOf(page, '.banner'), `Reason: ${hostileReason}`);
    t.match((await rig.rest.ask('GET', '/api/v1/killswitch')).body, { engaged: true, reason: hostileReason });
    await page.goto(`${rig.url}/page/new?fault=conntrack-full&node=plain`);
    await page.getByRole('button', { name: 'Dry run' }).click();
    await page.getByRole('button', { name: 'Start the drill' }).click();
    t.match(await textOf(page), 'the kill switch is engaged');
    await page.getByRole('link', { name: 'Release it' }).click();
    await page.getByRole('button', { name: 'Release' }).click();
    t.match(await textOf(page), 'Released: drills may run.');
    t.match((await rig.rest.ask('GET', '/api/v1/killswitch')).body, { engaged: false });
  });

  t.test('a coordinator that is restarted while a drill runs', async (t) => {
    const { page, complaints } = await openPage(t, browser);
    await rig.cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'drills' },
    });
    const first = await startCoordinator(t, rig, { namespace: 'drills' });
    await first.rest.create({
      name: 'long',
      fault: { name: 'conntrack-full' },
      target: only('plain'),
      expectation: { message: 'never', within: '1h' },
    });
    await page.goto(`${first.rest.url}/page/drills/long`);
    await page.locator('.link.reached').waitFor();
    t.equal(await page.locator('#live-state').innerText(), 'Live.');
    await page.getByText('left out').click();
    await first.kill();
    await page.locator('#live-state[data-state=lost]').waitFor();
    t.match(await textOf(page), 'waiting for detection', 'what was known stays');
    await startCoordinator(t, rig, { namespace: 'drills', port: Number(new URL(first.rest.url).port) });
    await page.locator('#live-state[data-state=live]').waitFor();
    t.ok(await page.locator('details[open]').count(), 'what was opened stays open');
    await page.getByRole('button', { name: 'Abort this drill' }).click();
    await page.getByText('aborted', { exact: true }).first().waitFor();
    await until(t, 'the end on the page', async () => (await textOf(page)).includes('aborted: '));
    t.same(complaints, []);
  });

  t.test('who may only read sees which right each button needs', async (t) => {
    const headers = { authorization: 'Bearer reader' };
    const { page } = await openPage(t, browser, { extraHTTPHeaders: headers });
    const { rest } = await startCoordinator(t, rig, { namespace: 'drills', gate: readers });
    for (const [path, button, right] of [
      ['drills/long', 'Restore the nodes', 'update resource "experiments"'],
      ['killswitch', 'Engage: stop all drills', 'update resource "killswitch"'],
    ] as const) {
      await page.goto(`${rest.url}/page/${path}`);
      t.ok(await page.getByRole('button', { name: button }).isDisabled(), button);
      t.match(await textOf(page, '.barred'), right);
      t.same(await seriousFindings(page), [], path);
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' };
    for (const path of ['drills/long/restore', 'drills/long/abort', 'killswitch']) {
      const address = `${rest.url}/page/${path}`;
      const body = path === 'killswitch' ? 'step=engage' : '';
      const send = async (given: Record<string, string>) =>
        (await fetch(address, { method: 'POST', body, headers: { ...headers, ...given } })).status;
      t.equal(await send(form), 403, `${path}: the gate decides, not the button`);
      t.equal(await send({ ...form, 'sec-fetch-site': 'cross-site' }), 403, `${path}: a foreign page`);
      t.equal(await send({ ...form, origin: 'https://evil.example' }), 403, `${path}: a foreign origin`);
    }
    for (const path of ['drills/long/restore', 'killswitch'])
      t.equal(
        (
          await fetch(`${rig.url}/page/${path}`, {
            method: 'POST',
            body: 'step=engage',
            headers: { 'content-type': form['content-type'] },
          })
        ).status,
        415,
        `${path}: a form without a page, where nobody is asked who it is`,
      );
  });

  for (const colorScheme of ['light', 'dark'] as const)
    t.test(`${colorScheme}: axe finds nothing serious, nothing is wider than a phone`, async (t) => {
      const { page } = await openPage(t, browser, { colorScheme, viewport: { width: 390, height: 800 } });
      const [drill = ''] = await names(rig);
      const paths = [
        '/',
        '/?nodes=all',
        '/nodes/one',
        '/drills',
        `/drills/${drill}`,
        '/faults',
        '/faults/xid',
        '/why',
        '/new?fault=xid',
        '/killswitch',
        '/nowhere',
      ];
      for (const path of paths) {
        await page.goto(`${rig.url}/page${path}`);
        t.same(await seriousFindings(page), [], path);
        const wider = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        t.ok(Number(wider) <= 0, `${path}: ${wider} pixels too wide`);
      }
      const back = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      t.equal(back, colorScheme === 'dark' ? 'rgb(20, 24, 29)' : 'rgb(255, 255, 255)');
    });

  t.test('by keyboard alone', async (t) => {
    const { page } = await openPage(t, browser);
    const focused = () => page.locator(':focus');
    await page.goto(rig.url);
    await page.keyboard.press('Tab');
    t.equal(await focused().innerText(), 'Skip to the content');
    await page.keyboard.press('Enter');
    t.equal(await focused().getAttribute('id'), 'content');
    await page.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    t.equal(await page.locator('details[open]').count(), 1);
    await page.getByLabel('Name').focus();
    await page.keyboard.type('one');
    await page.keyboard.press('Enter');
    await page.waitForURL(/name=one/);
    t.same(await page.locator('tbody tr').count(), 1);
  });
}

const hostileReason = 'incident 42 <img src=x onerror=alert(1)>';

/** Lets in who has a token, to read. */
const readers: Gate = {
  async admit(header, { verb, resource }) {
    if (header !== 'Bearer reader') throw new Refusal('unauthenticated', 'no bearer token');
    if (verb === 'get' || verb === 'list') return 'reader';
    throw new Refusal('permission_denied', `User "reader" cannot ${verb} resource "${resource}"`);
  },
};

async function restoreOf({ rest }: Rig, name: string): Promise<unknown> {
  return (await rest.ask<{ restore: unknown }>('GET', `/api/v1/experiments/${name}`)).body.restore;
}

async function names({ rest }: Rig): Promise<readonly string[]> {
  const { body } = await rest.ask<{ items: { name: string }[] }>('GET', '/api/v1/experiments');
  return body.items.map(({ name }) => name);
}
