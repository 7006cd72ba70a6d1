import type { Clock } from '../../../shared/clock.ts';
import { messageFromUnknown } from '../../../shared/errors.ts';
import type { ConditionType, MonitorRow } from '../../catalogue/nma/conditions.ts';
import type { Reaction } from '../../catalogue/nma/reactions.ts';
import type { Cluster, JsonObject } from '../../cluster/port.ts';
import type { CredentialFailure } from './credentials.ts';
import { secondsFromMillis } from './events.ts';
import type { PodLog } from './pod-log.ts';

type Condition = {
  readonly type: ConditionType;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  readonly transitionMs: number;
  readonly heartbeatMs: number;
};

/**
 * NMA's conditions, in memory and on the node (pkg/manager/node_exporter.go): they start True, go False and stay
 * False; the whole list of the node's conditions is replaced at each write.
 */
export function createNodeExporter(deps: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly node: string;
  readonly monitors: readonly MonitorRow[];
  readonly podLog: PodLog;
  readonly failure: CredentialFailure | undefined;
}) {
  const { cluster, clock, node, monitors, podLog, failure } = deps;
  const startedMs = clock.now();
  const managed = new Map<ConditionType, Condition>();
  for (const { conditionType, readyReason, readyMessage } of monitors) {
    managed.set(conditionType, {
      type: conditionType,
      status: 'True',
      reason: readyReason,
      message: readyMessage,
      transitionMs: startedMs,
      heartbeatMs: startedMs,
    });
  }
  let isDirty = true;
  /** The exporter's lock is held during a write, and a new finding waits for it. */
  let lock: Promise<void> = Promise.resolve();

  function locked(work: () => Promise<void> | void): Promise<void> {
    lock = lock.then(work);
    return lock;
  }

  async function write(): Promise<void> {
    if (failure !== undefined) {
      for (const line of failure.lines) podLog.plain(line);
      throw new Error(failure.error);
    }
    const found = await cluster.read('nodes', { name: node });
    if (found === undefined) throw new Error(`nodes "${node}" not found`);
    const status = (found.status ?? {}) as { readonly conditions?: readonly JsonObject[] };
    const others = status.conditions ?? [];
    const own = new Map([...managed].map(([type, condition]) => [String(type), rendered(condition)]));
    const conditions = others.map((condition) => own.get(String(condition.type)) ?? condition);
    const known = new Set(others.map((condition) => String(condition.type)));
    for (const [type, condition] of own) if (!known.has(type)) conditions.push(condition);
    // A merge patch replaces the array: what somebody else wrote since the read is lost, as with the real one.
    await cluster.patch('nodes', { name: node }, { status: { conditions } }, 'status');
  }

  return {
    fatal: (reaction: Reaction): Promise<void> =>
      locked(() => {
        const now = clock.now();
        const old = managed.get(reaction.conditionType);
        const isLatched = old?.status === 'False';
        managed.set(reaction.conditionType, {
          type: reaction.conditionType,
          status: 'False',
          reason: reaction.reason,
          message: isLatched ? aggregated(old.message, reaction.message) : reaction.message,
          transitionMs: isLatched ? old.transitionMs : now,
          heartbeatMs: now,
        });
        isDirty = true;
      }),
    heartbeat: (): Promise<void> =>
      locked(() => {
        const heartbeatMs = clock.now();
        for (const [type, condition] of managed) managed.set(type, { ...condition, heartbeatMs });
        isDirty = true;
      }),
    report: (): Promise<void> =>
      locked(async () => {
        if (!isDirty) return;
        podLog.info('reporting managed conditions');
        try {
          await write();
          isDirty = false;
          podLog.info('reported node conditions');
        } catch (thrown) {
          podLog.error('failed to report managed conditions', messageFromUnknown(thrown));
        }
      }),
  };
}

/** A text that already stands in the old one is not added, not even as part of a longer word. */
function aggregated(old: string, added: string): string {
  if (old.includes(added)) return old;
  return old === '' ? added : `${old}; ${added}`;
}

function rendered(condition: Condition): JsonObject {
  return {
    type: condition.type,
    status: condition.status,
    lastHeartbeatTime: secondsFromMillis(condition.heartbeatMs),
    lastTransitionTime: secondsFromMillis(condition.transitionMs),
    reason: condition.reason,
    message: condition.message,
  };
}
