import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Cluster } from '../cluster/port.ts';
import { type KillSwitchChange, killSwitchName } from './kill-switch.ts';

/** Longer messages are rejected by the API server (core/v1 Event validation: 1024 bytes). */
const longestMessage = 1_000;

/**
 * Writes a Kubernetes Event for each change of the switch: who, and why. All coordinators see a change, and its name follows from the
 * ConfigMap, so that only the first of them makes it. An event that cannot be written is logged, and stops nothing.
 */
export function createKillSwitchEvents({
  cluster,
  namespace,
  clock,
  log,
}: {
  readonly cluster: Pick<Cluster, 'create'>;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Log;
}): (change: KillSwitchChange) => void {
  return (change) => {
    const name = nameOf(change);
    if (name === undefined) return;
    const { state, object } = change;
    const at = isoFromMillis(clock.now());
    const uid = (object ?? change.previous)?.metadata.uid;
    cluster
      .create('events', {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace },
        involvedObject: {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          name: killSwitchName,
          namespace,
          ...(uid === undefined ? {} : { uid }),
        },
        type: state.engaged ? 'Warning' : 'Normal',
        reason: state.engaged ? 'KillSwitchEngaged' : 'KillSwitchReleased',
        message: messageOf(change).slice(0, longestMessage),
        source: { component: 'xidrill-coordinator' },
        firstTimestamp: at,
        lastTimestamp: at,
        count: 1,
      })
      .catch((thrown: unknown) => {
        if (thrown instanceof Refusal && thrown.reason === 'object_exists') return;
        log.warn({ because: messageFromUnknown(thrown) }, 'no event was written for the kill switch');
      });
  };
}

/** By the version of the ConfigMap, or by the one that is gone. */
function nameOf({ object, previous }: KillSwitchChange): string | undefined {
  const { uid, resourceVersion } = (object ?? previous)?.metadata ?? {};
  if (uid === undefined || resourceVersion === undefined) return undefined;
  return `${killSwitchName}.${uid.slice(0, 8)}.${object === undefined ? 'deleted' : resourceVersion}`;
}

function messageOf({ state, object }: KillSwitchChange): string {
  const who = state.by === undefined ? '' : ` by ${state.by}`;
  const why = state.reason === undefined ? '' : `: ${state.reason}`;
  if (state.engaged)
    return `The kill switch was engaged${who}${why}. Nothing is injected, and what goes on ends within 2 s.`;
  if (object === undefined)
    return 'The kill switch was released: its ConfigMap was deleted (the audit log of the API server has the user). Drills may run.';
  return `The kill switch was released${who}${why}. Drills may run.`;
}
