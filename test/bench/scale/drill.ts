import type { ExperimentAnswer } from '../../../coordinator/routes/answers.ts';
import { median, percentile } from '../statistics.ts';
import { type AuditedRequest, countRequests } from './audit.ts';
import { eventLoopDelay } from './coordinator.ts';
import { setLabel } from './objects.ts';
import type { Observer } from './observer.ts';
import { cpuSeconds, forgetPeak, peakMiB } from './processes.ts';

/** An Xid on the first so many nodes at once. */
export type DrillAsked = { readonly xid: number; readonly targets: number };

/** What one experiment cost. */
export type DrillMeasured = DrillAsked & {
  /** From the POST to the answer that holds the verdict. */
  readonly seconds: number;
  /** How many injections ended with each verdict, and with which cause where it was no pass. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly requests: ReadonlyMap<string, number>;
  readonly refusedRequests: number;
  readonly peakMiB: number;
  /** Processor seconds by process. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Milliseconds from the API server's sending of a reaction to its sending of the verdict; NaN: none was seen. */
  readonly storedAfterMs: { readonly p50: number; readonly p99: number; readonly count: number };
  /** Milliseconds; how long the coordinator's event loop kept others waiting. */
  readonly loop: { readonly p99: number; readonly max: number };
};

export type DrillDeps = {
  readonly url: string;
  readonly observer: Observer;
  readonly audited: () => readonly AuditedRequest[];
  /** Process ids by name; `coordinator` among them. */
  readonly pids: Readonly<Record<string, number>> & { readonly coordinator: number };
  readonly waitSeconds: number;
};

/** Runs one experiment and measures the coordinator, and what is around it, from its POST to its verdict. */
export async function measureDrill(deps: DrillDeps, name: string, asked: DrillAsked): Promise<DrillMeasured> {
  const { url, observer, audited, pids } = deps;
  await eventLoopDelay(url);
  audited();
  forgetPeak(pids.coordinator);
  const cpuBefore = cpuOf(pids);
  observer.begin(name);
  const startedAt = performance.now();
  const answer = await post(url, name, asked, deps.waitSeconds);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuAfter = cpuOf(pids);
  const peak = peakMiB(pids.coordinator);
  const loop = await eventLoopDelay(url);
  const requests = audited();
  const { reactedAt, storedAt } = observer.observed();
  const delays = [...storedAt].flatMap(([node, at]) => {
    const reacted = reactedAt.get(node);
    return reacted === undefined ? [] : [at - reacted];
  });
  return {
    ...asked,
    seconds,
    verdicts: verdictsOf(answer),
    requests: countRequests(requests),
    refusedRequests: requests.filter(({ status }) => status >= 400).length,
    peakMiB: peak,
    cpu: Object.fromEntries(
      Object.entries(cpuAfter).map(([process, used]) => [process, used - (cpuBefore[process] ?? 0)]),
    ),
    storedAfterMs: { p50: median(delays), p99: percentile(delays, 99), count: delays.length },
    loop,
  };
}

async function post(
  url: string,
  name: string,
  { xid, targets }: DrillAsked,
  waitSeconds: number,
): Promise<ExperimentAnswer> {
  const response = await fetch(`${url}/api/v1/experiments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: `wait=${waitSeconds}` },
    body: JSON.stringify({
      name,
      fault: { name: 'xid', parameters: { xid } },
      target: { mode: 'all', selector: { matchLabels: { [setLabel(targets)]: 'yes' } } },
    }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST of ${name}: HTTP ${response.status} ${text.slice(0, 2000)}`);
  return JSON.parse(text) as ExperimentAnswer;
}

function verdictsOf({ injections }: ExperimentAnswer): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { verdict, phase, cause } of injections) {
    const key = verdict === 'pass' ? 'pass' : `${verdict ?? phase}: ${cause ?? 'not ended'}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function cpuOf(pids: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid)]));
}
