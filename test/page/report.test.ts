import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { suiteReport } from '../../coordinator/report/build.ts';
import { renderHtmlReport, reportPolicy } from '../../coordinator/report/html.ts';
import { nasty, nastySuite } from '../coordinator/report/nasty.ts';
import { openPage, seriousFindings, startBrowser, whyNoBrowser } from './browser.ts';

const why = whyNoBrowser();
if (why !== undefined) {
  t.pass('nothing', { skip: why });
} else {
  const browser = await startBrowser(t);
  const html = renderHtmlReport(suiteReport(nasty, 'r', nastySuite()));
  const asked: string[] = [];
  const server = createServer(({ url = '' }, to) => {
    asked.push(url);
    to.setHeader('content-security-policy', reportPolicy).setHeader(
      'content-type',
      'text/html; charset=utf-8',
    );
    to.end(url === '/report' ? html : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/report`;

  t.test('a report in a browser: dark and light, narrow and wide, for everybody, on paper', async (t) => {
    const colours = new Set<string>();
    for (const [colorScheme, width] of [
      ['light', 390],
      ['dark', 1280],
    ] as const) {
      const { page, complaints } = await openPage(t, browser, {
        colorScheme,
        viewport: { width, height: 900 },
      });
      await page.goto(address);
      const what = `${colorScheme}, ${width}`;
      t.same(complaints, [], `${what}: nothing of the hostile names is obeyed, and the style is allowed`);
      t.match(
        await page.locator('h1').innerText(),
        '<img src=x onerror=alert(1)>',
        `${what}: they are shown`,
      );
      t.ok(
        await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'),
        `${what}: fits`,
      );
      t.same(await seriousFindings(page), [], `${what}: axe`);
      colours.add(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
      if (colorScheme === 'dark') t.match((await page.pdf()).subarray(0, 5).toString(), '%PDF-', 'printed');
    }
    t.same([...colours], ['rgb(255, 255, 255)', 'rgb(13, 17, 23)']);
    t.same(
      asked.filter((url) => url !== '/report' && url !== '/favicon.ico'),
      [],
      'it loads nothing',
    );
  });
}
