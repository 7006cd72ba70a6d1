import type { Lock } from './lock.ts';

/** What the registry's advisories mean for CI, with lines for its log. */
export type Judged = { readonly outcome: 'passed' | 'failed' | 'skipped'; readonly lines: readonly string[] };

/** As much of `npm audit --json` (auditReportVersion 2) as is read. */
type Report = {
  readonly auditReportVersion?: number;
  /** Instead of the rest, where the registry gave no advisories. */
  readonly message?: string;
  readonly vulnerabilities?: Readonly<
    Record<string, { readonly severity: string; readonly nodes: readonly string[] }>
  >;
};

/**
 * Advisories of severity high or critical fail, where a package goes into an image; others are shown. A registry without
 * advisories, such as a mirror, is no failure, and said.
 */
export function judgeAudit(text: string, lock: Lock): Judged {
  let read: Report;
  try {
    read = JSON.parse(text) as Report;
  } catch {
    return { outcome: 'failed', lines: [`npm audit answered no JSON: ${text.slice(0, 200)}`] };
  }
  if (read.vulnerabilities === undefined) {
    // Any answer that is neither a report nor npm's own error is no reason to go on.
    if (read.message === undefined) return { outcome: 'failed', lines: ['npm audit gave no report'] };
    return { outcome: 'skipped', lines: [`skipped: the registry gives no advisories: ${read.message}`] };
  }
  if (read.auditReportVersion !== 2)
    return {
      outcome: 'failed',
      lines: [`npm audit: report version ${read.auditReportVersion} is not known`],
    };
  const found = Object.entries(read.vulnerabilities).map(([name, { severity, nodes }]) => {
    const isShipped = nodes.some(
      (path) => lock.packages[path]?.dev !== true && lock.packages[path]?.peer !== true,
    );
    const isSerious = severity === 'high' || severity === 'critical';
    return {
      isFatal: isShipped && isSerious,
      line: `${name}: ${severity}, ${isShipped ? 'in an image' : 'development only'}`,
    };
  });
  return {
    outcome: found.some(({ isFatal }) => isFatal) ? 'failed' : 'passed',
    lines: [`${found.length} packages have known advisories`, ...found.map(({ line }) => line)],
  };
}
