import { fieldById } from '../../../shared/dcgm-fields/find.ts';
import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import { xidField } from '../../../shared/dcgm-fields/ids.ts';
import { explainMiss, isCurrent } from '../../../shared/dcgm-fields/reach.ts';
import type { Effect, FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { isMatch, renderRule } from '../../../shared/dcgm-fields/rule.ts';
import type { HostEngineFacts } from '../../../shared/schemas/inventory.ts';
import { healthReaction } from '../nma/reactions.ts';
import { gated, nmaName, type Reading, type ReadingContext } from './reading.ts';

/** `isBaseline`: only there so that the value behind it is a change. */
type ReadValue = { readonly field: number; readonly value: string; readonly isBaseline: boolean };

/** Who takes a value in the cache of a host engine. Pure. */
export function dcgmReaders(part: ReadValue, context: ReadingContext): Reading[] {
  const { value, isBaseline } = part;
  const field = fieldById(part.field);
  const own = isBaseline
    ? baseline(context)
    : [
        policyReader(field, value, context),
        healthReader(field, value, context),
        nmaOnValue(field, value, context),
      ];
  return [...own, ...notOnTheEngine];
}

function baseline(context: ReadingContext): Reading[] {
  return [
    {
      consumer: nmaName(context),
      accepted: false,
      because: 'only the value before, so that the next one is a change',
    },
  ];
}

/**
 * Both register for Xid events with NVML, which only the driver raises (NVIDIA/k8s-device-plugin internal/rm/health.go;
 * the DRA driver's kubelet plugin, device health): nothing that is injected reaches them.
 */
export const onNvmlEvents: readonly Reading[] = ['NVIDIA device plugin', 'NVIDIA DRA driver'].map(
  (consumer) => ({
    consumer,
    accepted: false,
    because: 'takes Xids from NVML events, which only the driver raises; an injected fault never reaches it',
  }),
);

/** None of them is a client of this engine's cache. */
const notOnTheEngine: readonly Reading[] = [
  ...['gpud', 'Meta gcm', 'node-problem-detector'].map((consumer) => ({
    consumer,
    accepted: false,
    because: 'reads the kernel log, not the host engine',
  })),
  {
    consumer: 'NVSentinel',
    accepted: null,
    because:
      'its log monitor reads the journal; whether another part of it asks this host engine is not known',
  },
  ...onNvmlEvents,
];

function policyReader(field: FieldRow, value: string, context: ReadingContext): Reading {
  const consumer = `${engineName(context)}, policies`;
  const effects = effectsOf(field, 'policy');
  if (effects.length === 0)
    return { consumer, accepted: false, because: `no policy looks at field ${field.id}` };
  const deaf = deafness(context);
  if (deaf !== undefined) return { consumer, accepted: false, because: deaf };
  const taken = effects.find(({ rule }) => isMatch(rule, value));
  const [first] = effects;
  if (taken === undefined)
    return {
      consumer,
      accepted: false,
      because: `the ${first?.policy} policy wants ${wanted(effects, field)}`,
    };
  return {
    consumer,
    accepted: true,
    because: `the ${taken.policy} policy takes ${renderRule(taken.rule, field.unit)}`,
  };
}

function healthReader(field: FieldRow, value: string, context: ReadingContext): Reading {
  const consumer = `${engineName(context)}, health`;
  const deaf = deafness(context);
  if (deaf !== undefined) return { consumer, accepted: false, because: deaf };
  const incident = healthIncident(field, value, context);
  if (typeof incident === 'string') return { consumer, accepted: false, because: incident };
  const { code, result } = incident;
  const keeps = field.id === xidField ? ', kept until the engine restarts' : '';
  return { consumer, accepted: true, because: `incident ${code}, ${result}${keeps}` };
}

/** Why nobody takes anything from the engine: policies and checks are switched on by whoever listens. */
function deafness({ engine, hasNoEngine }: ReadingContext): string | undefined {
  if (engine?.nma.listening === false) return `this engine has no listener (${engine.nma.evidence})`;
  return hasNoEngine ? 'there is no host engine on this node' : undefined;
}

/** What health makes of a value, or why nothing; Xids it looks up in lists of their own, by version. */
function healthIncident(
  field: FieldRow,
  value: string,
  { engineVersion, gpuName }: ReadingContext,
): { readonly code: number; readonly result: 'WARN' | 'FAIL' } | string {
  if (field.id === xidField)
    return (
      xidHealthIncident(engineVersion, Number(value), gpuName) ??
      `Xid ${value} is in none of the health lists of ${engineVersion}`
    );
  const effects = effectsOf(field, 'health');
  if (effects.length === 0) return `no health check looks at field ${field.id}`;
  const current = effects.filter((effect) => isCurrent(effect, { engineVersion, gpuName }));
  if (current.length === 0)
    return explainMiss({ field, value, engineVersion, gpuName }, 'health')?.summary ?? 'no check';
  return current.find(({ rule }) => isMatch(rule, value)) ?? `its check wants ${wanted(current, field)}`;
}

function nmaOnValue(field: FieldRow, value: string, context: ReadingContext): Reading {
  const consumer = nmaName(context);
  const { row } = context.nma;
  const deaf = deafness(context);
  if (deaf !== undefined) return { consumer, accepted: false, because: deaf };
  const incident = healthIncident(field, value, context);
  const ways = [
    ...effectsOf(field, 'policy').flatMap(({ rule, policy }) =>
      isMatch(rule, value) ? [`the ${policy} policy, at once`] : [],
    ),
    ...effectsOf(field, 'watch').flatMap(({ rule, reason }) =>
      isMatch(rule, value) && row.fabricRule !== 'none'
        ? [`its watch of field ${field.id} (${reason}), every 5 min`]
        : [],
    ),
    ...(typeof incident === 'string' || healthReaction(row, incident) === undefined
      ? []
      : [
          `its health check (code ${incident.code}), every 5 min${field.id === xidField ? '' : ', if the value stands then'}`,
        ]),
  ];
  if (ways.length === 0)
    return { consumer, accepted: false, because: 'neither a policy nor a check tells it' };
  return gated({ plugin: 'nvidia', needsEngine: true }, context, {
    consumer,
    accepted: true,
    because: `by ${ways.join(', and by ')}`,
  });
}

/** Who sees that the engine answers no more. */
export function nmaOnEngineLoss(context: ReadingContext): Reading {
  const consumer = nmaName(context);
  return gated({ plugin: 'nvidia', needsEngine: true }, context, {
    consumer,
    accepted: true,
    because: 'it asks the engine every 30 s, and reports it after a minute of grace',
  });
}

function engineName({ engine, engineVersion }: ReadingContext): string {
  const version = engine?.version ?? undefined;
  return version === undefined ? `DCGM, judged as ${engineVersion}` : `DCGM ${version}`;
}

function effectsOf<K extends Effect['kind']>(
  field: FieldRow,
  kind: K,
): readonly Extract<Effect, { kind: K }>[] {
  return (field.effects ?? []).filter(
    (effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind,
  );
}

function wanted(effects: readonly Effect[], field: FieldRow): string {
  return effects.map(({ rule }) => renderRule(rule, field.unit)).join(' or ');
}

/** The engine that is written to, for a plan. */
export function placeOfEngine(engine: HostEngineFacts | undefined): string {
  if (engine === undefined) return 'host engine of the monitoring agent';
  const version = engine.version === null ? '' : ` ${engine.version}`;
  return `host engine${version} at ${engine.address}, pid ${engine.pid}`;
}
