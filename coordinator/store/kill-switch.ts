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
  /** `by`: the user who asks; absent: not known. */
  set(call: KillSwitchCall, by?: string): Promise<KillSwitchState>;
  /** The last answer; not engaged where there was none so far. */
  last(): KillSwitchState;
};

/** Another state of the switch than before, and the ConfigMap that says so; undefined: it was deleted. */
export type KillSwitchChange = {
  readonly state: KillSwitchState;
  readonly object: KubeObject | undefined;
  /** The ConfigMap before; undefined: there was none, or it is the first look. */
  readonly previous: KubeObject | undefined;
};

/** Over the ConfigMap in the namespace of the experiments. */
export function createKillSwitch({
  cluster,
  namespace,
  clock,
  changed = () => undefined,
}: {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly clock: Clock;
  /** Called for each change that is seen, the first time that it is found engaged included. */
  readonly changed?: (change: KillSwitchChange) => void;
}): KillSwitch {
  const key = { name: killSwitchName, namespace };
  let last: KillSwitchState = { engaged: false };
  let lastObject: KubeObject | undefined;
  let asked: { readonly at: number; readonly answer: Promise<KillSwitchState> } | undefined;
  // Answers may come in another order than they were asked for.
  let turns = 0;
  let lastTurn = 0;

  function learn(
    object: KubeObject | undefined,
    revision: string | undefined,
    turn: number,
  ): KillSwitchState {
    const found = {
      ...stateOf(object),
      ...(revision !== undefined && /^\d{1,20}$/.test(revision) ? { revision } : {}),
    };
    if (turn < lastTurn) return found;
    lastTurn = turn;
    const isSame = found.engaged === last.engaged;
    const since = isSame ? last.since : isoFromMillis(clock.now());
    const isChange = !isSame || (found.engaged && found.reason !== last.reason);
    const previous = lastObject;
    last = { ...found, ...(since === undefined ? {} : { since }) };
    lastObject = object;
    if (isChange) changed({ state: last, object, previous });
    return last;
  }

  function nextTurn(): number {
    turns += 1;
    return turns;
  }

  /** A list, because only that has the version of the store also where there is no object. */
  function read(): Promise<KillSwitchState> {
    const turn = nextTurn();
    const answer = cluster
      .list('configmaps', { namespace, fieldSelector: `metadata.name=${killSwitchName}` })
      .then(({ items, resourceVersion }) => learn(items[0], resourceVersion, turn));
    const mine = { at: performance.now(), answer };
    asked = mine;
    answer.catch(() => {
      if (asked === mine) asked = undefined;
    });
    return answer;
  }

  async function write({ engaged, reason }: KillSwitchCall, by: string | undefined): Promise<KubeObject> {
    const data = { engaged: String(engaged), reason: reason ?? null, by: by ?? null };
    const { apiVersion, kind } = resources.configmaps;
    try {
      return await cluster.patch('configmaps', key, { data });
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason !== 'object_missing') throw thrown;
    }
    const made = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null));
    // Not `create`, which RBAC cannot limit to one name.
    return cluster.apply('configmaps', { apiVersion, kind, metadata: key, data: made });
  }

  return {
    read,
    last: () => last,
    async assertReleased() {
      const isPresent = asked !== undefined && performance.now() - asked.at < presentMs;
      const recent = isPresent ? await asked?.answer : undefined;
      // Nobody is refused for a state that has just passed.
      const state = recent?.engaged === false ? recent : await read();
      if (state.engaged) throw engagedRefusal(state);
    },
    async set(call, by) {
      const object = await write(call, by);
      // What was asked for before is not the present any more.
      asked = undefined;
      return learn(object, object.metadata.resourceVersion, nextTurn());
    },
  };
}

/** No object: not engaged. An object that does not say `false`: engaged, as a typing error must not keep it from working. */
function stateOf(object: KubeObject | undefined): KillSwitchState {
  if (object === undefined) return { engaged: false };
  const { engaged, reason } = (object.data ?? {}) as Data;
  const by = whoSet(object);
  return {
    engaged: String(engaged).trim().toLowerCase() !== 'false',
    ...(typeof reason === 'string' && reason !== '' ? { reason: reason.slice(0, 500) } : {}),
    ...(by === undefined ? {} : { by }),
  };
}

type Data = { readonly engaged?: unknown; readonly reason?: unknown; readonly by?: unknown };

/** As main.ts names itself to the API server. */
const ownManager = 'xidrill-coordinator';

/**
 * Who wrote `engaged` last, by managedFields (API concepts, "Server-Side Apply"). `by` counts only while that is a coordinator: kubectl
 * leaves it as it was. Which user kubectl ran as is in the audit log of the API server only.
 */
function whoSet(object: KubeObject): string | undefined {
  const { by } = (object.data ?? {}) as Data;
  const entries = (object.metadata.managedFields ?? []) as readonly {
    readonly manager?: string;
    readonly fieldsV1?: { readonly 'f:data'?: Readonly<Record<string, unknown>> };
  }[];
  const manager = entries.find(({ fieldsV1 }) => fieldsV1?.['f:data']?.['f:engaged'] !== undefined)?.manager;
  if (manager === undefined) return undefined;
  return manager === ownManager && typeof by === 'string' ? by : `field manager ${manager}`;
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
