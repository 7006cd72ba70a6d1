import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { KillSwitchCall, KillSwitchState } from '../../shared/schemas/kill-switch.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { resources } from '../cluster/resources.ts';

/**
 * The ConfigMap that is the switch: kubectl can make it where neither our definitions nor any program of ours is there
 * (`kubectl create configmap xidrill-killswitch --from-literal=engaged=true`), and it outlives all of them.
 */
export const killSwitchName = 'xidrill-killswitch';

/** What is younger than this counts as the present, so that a thousand orders do not ask a thousand times. Real time. */
const presentMs = 200;

/** The kill switch of one namespace. */
export type KillSwitch = {
  /** As the API server has it now. Refuses with `cluster_unreachable` where it cannot be asked. */
  read(): Promise<KillSwitchState>;
  /** Refuses with `kill_switch_engaged`, and as `read` does where there is no answer of the last 200 ms. */
  assertReleased(): Promise<void>;
  set(call: KillSwitchCall): Promise<KillSwitchState>;
  /** The last answer; not engaged where there was none so far. */
  last(): KillSwitchState;
};

/** Over the ConfigMap in the namespace of the experiments. */
export function createKillSwitch({
  cluster,
  namespace,
  clock,
}: {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly clock: Clock;
}): KillSwitch {
  const key = { name: killSwitchName, namespace };
  let last: KillSwitchState = { engaged: false };
  let asked: { readonly at: number; readonly answer: Promise<KillSwitchState> } | undefined;

  function learn(object: KubeObject | undefined): KillSwitchState {
    const found = stateOf(object);
    const isSame = found.engaged === last.engaged;
    const since = isSame ? last.since : isoFromMillis(clock.now());
    last = { ...found, ...(since === undefined ? {} : { since }) };
    return last;
  }

  function read(): Promise<KillSwitchState> {
    const answer = cluster.read('configmaps', key).then(learn);
    const mine = { at: performance.now(), answer };
    asked = mine;
    answer.catch(() => {
      if (asked === mine) asked = undefined;
    });
    return answer;
  }

  return {
    read,
    last: () => last,
    async assertReleased() {
      const isPresent = asked !== undefined && performance.now() - asked.at < presentMs;
      const state = await (isPresent ? asked?.answer : read());
      if (state?.engaged === true) throw engagedRefusal(state);
    },
    async set({ engaged, reason }) {
      const data = { engaged: String(engaged), reason: reason ?? null };
      const { apiVersion, kind } = resources.configmaps;
      try {
        return learn(await cluster.patch('configmaps', key, { data }));
      } catch (thrown) {
        if (!(thrown instanceof Refusal) || thrown.reason !== 'object_missing') throw thrown;
      }
      const made = { engaged: String(engaged), ...(reason === undefined ? {} : { reason }) };
      return learn(await cluster.create('configmaps', { apiVersion, kind, metadata: key, data: made }));
    },
  };
}

/** No object: not engaged. An object that does not say `false`: engaged, as a typing error must not keep it from working. */
function stateOf(object: KubeObject | undefined): KillSwitchState {
  if (object === undefined) return { engaged: false };
  const { engaged, reason } = (object.data ?? {}) as {
    readonly engaged?: unknown;
    readonly reason?: unknown;
  };
  return {
    engaged: String(engaged).trim().toLowerCase() !== 'false',
    ...(typeof reason === 'string' && reason !== '' ? { reason: reason.slice(0, 500) } : {}),
  };
}

function engagedRefusal({ reason, since }: KillSwitchState): Refusal {
  return new Refusal(
    'kill_switch_engaged',
    `the kill switch is engaged${reason === undefined ? '' : `: ${reason}`}`,
    {
      field: 'killswitch',
      ...(since === undefined ? {} : { since }),
      remedy: `release it: PUT /api/v1/killswitch {"engaged": false}, or kubectl delete configmap ${killSwitchName} in the namespace of the coordinator`,
    },
  );
}
