import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { registerKillSwitch } from '../../shared/http/kill-switch-metric.ts';
import type { Surface, SurfaceResult } from '../../shared/schemas/receipt.ts';
import { surfaces } from '../../shared/surfaces/table.ts';

/** What is counted of injections; no node or order stands in a label. */
export type InjectionMetrics = {
  /** One part of an order came to its end. */
  count(surface: Surface, result: SurfaceResult['outcome']): void;
  /** It was written, and no read-back found it. */
  readBackFailed(surface: Surface): void;
  /** Starts a measurement; call the result at the end. */
  time(surface: Surface): () => void;
  /** Orders that go on in the background. */
  running(count: number): void;
  /** Whether the kill switch is engaged. */
  killSwitch(isEngaged: () => boolean): void;
};

/** Registers `xidrill_injections_total` and the others of this agent. */
export function createInjectionMetrics(registry: Registry): InjectionMetrics {
  const injections = new Counter({
    name: 'xidrill_injections_total',
    help: 'Injections by surface and result (injected, refused, failed)',
    labelNames: ['surface', 'result'],
    registers: [registry],
  });
  const readBackFailures = new Counter({
    name: 'xidrill_read_back_failures_total',
    help: 'Injections that were written and did not come back',
    labelNames: ['surface'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'xidrill_injection_seconds',
    help: 'From the first effect to the read-back',
    labelNames: ['surface'],
    buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30],
    registers: [registry],
  });
  const running = new Gauge({
    name: 'xidrill_running_orders',
    help: 'Orders that go on after their answer: scripts with later parts, and injections that last',
    registers: [registry],
  });
  // A series that first appears with its first failure is one that no alert on an increase can see.
  for (const surface of surfaces) {
    readBackFailures.inc({ surface }, 0);
    for (const result of ['injected', 'refused', 'failed']) injections.inc({ surface, result }, 0);
  }
  return {
    count: (surface, result) => injections.inc({ surface, result }),
    readBackFailed: (surface) => readBackFailures.inc({ surface }),
    time: (surface) => seconds.startTimer({ surface }),
    running: (count) => running.set(count),
    killSwitch: (isEngaged) => registerKillSwitch(registry, isEngaged),
  };
}
