import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { report, root } from '../suite.ts';
import { judgeAudit } from './advisories.ts';
import type { Lock } from './lock.ts';

/** `npm run audit`: known advisories for the locked packages, asked of the registry; fails for serious ones in the images. */
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
const { outcome, lines } = judgeAudit(audit(), lock);
for (const line of lines) process.stdout.write(`${line}\n`);
report({ passed: 0, failed: 0, skipped: 0, [outcome]: 1 });
process.exit(outcome === 'failed' ? 1 : 0);

/** npm ends with 1 for advisories and for a registry that gives none alike; its output says which. */
function audit(): string {
  try {
    return execFileSync('npm', ['audit', '--json', '--package-lock-only'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 120_000,
    });
  } catch (thrown) {
    return (thrown as { readonly stdout?: string }).stdout ?? '';
  }
}
