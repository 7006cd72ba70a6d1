import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { messageFromUnknown } from '../../shared/errors.ts';

/** Where Debian's package `chromium` puts it. */
const executablePath = '/usr/bin/chromium';

/** Installs the package where it is missing and this is root on Debian; answers why there is no browser, or nothing. */
export function whyNoBrowser(): string | undefined {
  if (existsSync(executablePath)) return undefined;
  if (process.getuid?.() !== 0) return `no ${executablePath}, and not root: apt-get install chromium`;
  if (!existsSync('/usr/bin/apt-get')) return `no ${executablePath}, and no apt-get to install it with`;
  const apt = (...words: readonly string[]) =>
    execFileSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...words], { stdio: 'pipe' });
  try {
    apt('update');
    apt('install', '-y', '--no-install-recommends', 'chromium');
    return undefined;
  } catch (thrown) {
    return `chromium could not be installed: ${messageFromUnknown(thrown).slice(0, 300)}`;
  }
}

/** A browser for one file of tests; root may not have Chromium's sandbox, so that it is off here and nowhere else. */
export async function startBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.teardown(() => browser.close());
  return browser;
}

/** A page, and what a browser complained of on it: violations of the policy for content, scripts that threw. */
export type Watched = { readonly page: Page; readonly complaints: readonly string[] };

/** A page in a context of its own. */
export async function openPage(
  t: Test,
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext(options);
  t.teardown(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (thrown) => complaints.push(thrown.message));
  page.on('console', (message) => {
    // A connection that the test itself breaks, and the refusals that it asks for.
    if (message.type() === 'error' && !/^Failed to load resource/.test(message.text()))
      complaints.push(message.text());
  });
  page.on('dialog', (dialog) => {
    complaints.push(`a script of somebody else ran: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return { page, complaints };
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core finds to be serious or critical (its own words for impact), with where it is. */
export async function seriousFindings(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    type Found = { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] };
    const { axe: run } = globalThis as unknown as { axe: { run(): Promise<{ violations: Found[] }> } };
    const { violations } = await run.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary}`),
      );
  });
}

/** The text of the page without the runs of white space that HTML does not show. */
export async function textOf(page: Page, selector = 'main'): Promise<string> {
  return (await page.locator(selector).innerText()).replaceAll(/\s+/g, ' ');
}
