import { parseAllDocuments } from 'yaml';
import { eventSource, gpuConditionType } from '../catalogue/nma/conditions.ts';
import { conditionsOf, field, hasGpu, list, type NodeCondition, text, textMap } from '../view/node.ts';
import { repairGateOf } from '../view/object-facts.ts';
import type { At, Deed, TextFact } from './piece.ts';
import { placeOf } from './seen.ts';

/** A block of JSON or YAML: its objects, and the lines from and up to which it goes. */
export type Document = { readonly objects: readonly unknown[]; readonly from: number; readonly to: number };

/** What objects say: deeds, and versions and architecture. */
type Read = { readonly deeds: readonly Deed[]; readonly facts: readonly TextFact[] };

const yamlStart =
  /^(?:---|(?:apiVersion|kind|metadata|spec|status|items|conditions|settings|nodeAgent|dcgmAgent|controller|serviceAccount|featureGates):(?:\s|$)|- (?:lastHeartbeatTime|type|apiVersion):)/;
const yamlLine = /^(?:\s*$|\s+\S|- |#|---|["']?[\w./-]+["']?:(?:\s|$))/;

/** The document that begins at a line; undefined: none does. `isHopeless` tells later calls that no JSON closes. */
export function documentAt(
  lines: readonly string[],
  from: number,
  state: { isHopeless: boolean },
): Document | undefined {
  const first = lines[from] ?? '';
  if (/^\s*[[{]/.test(first)) return json(lines, from, state);
  if (!yamlStart.test(first)) return undefined;
  let to = from + 1;
  while (to < lines.length && yamlLine.test(lines[to] ?? '')) to += 1;
  return yaml(lines.slice(from, to).join('\n'), from, to);
}

function json(lines: readonly string[], from: number, state: { isHopeless: boolean }): Document | undefined {
  const whole = parsed(lines[from] ?? '');
  if (whole !== undefined)
    return typeof whole === 'object' ? { objects: [whole], from, to: from + 1 } : undefined;
  if (state.isHopeless) return undefined;
  let depth = 0;
  let isInText = false;
  for (let at = from; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    for (let index = 0; index < line.length; index += 1) {
      const char = line[index];
      if (isInText && char === '\\') index += 1;
      else if (char === '"') isInText = !isInText;
      else if (!isInText && (char === '{' || char === '[')) depth += 1;
      else if (!isInText && (char === '}' || char === ']')) depth -= 1;
    }
    if (depth > 0) continue;
    const value = parsed(lines.slice(from, at + 1).join('\n'));
    return value === undefined ? undefined : { objects: [value], from, to: at + 1 };
  }
  state.isHopeless = true;
  return undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function yaml(source: string, from: number, to: number): Document | undefined {
  try {
    const documents = parseAllDocuments(source, { logLevel: 'silent', strict: false, uniqueKeys: false });
    const objects = [...documents].map((document) => document.toJS({ maxAliasCount: 100 }) as unknown);
    const found = objects.filter((object) => object !== null && typeof object === 'object');
    return found.length === 0 ? undefined : { objects: found, from, to };
  } catch {
    // Too deep or too many aliases: it is no manifest that somebody wrote.
    return undefined;
  }
}

/** What a document says; nothing: it is about something else. */
export function readDocument({ objects, from, to }: Document, lines: readonly string[]): Read {
  const block = { from, to, lines };
  const all = objects.flatMap((object) => [
    object,
    ...list(object, 'items'),
    ...(Array.isArray(object) ? object : []),
  ]);
  const reads = all.slice(0, 1000).map((object) => readObject(object, block));
  return { deeds: reads.flatMap(({ deeds }) => deeds), facts: reads.flatMap(({ facts }) => facts) };
}

type Block = { readonly from: number; readonly to: number; readonly lines: readonly string[] };

/** The first line of the block with all of these words, else its first line. */
function at(block: Block, ...words: readonly string[]): At {
  const found = block.lines
    .slice(block.from, block.to)
    .findIndex((line) => words.every((word) => line.includes(word)));
  const index = block.from + Math.max(found, 0);
  return placeOf(index + 1, block.lines[index] ?? '');
}

function readObject(object: unknown, block: Block): Read {
  const deeds: readonly Deed[] = readKind(object, block);
  const facts = [...versionFacts(object, block), ...architectureFacts(object, block)];
  return { deeds: [...deeds, ...readValues(object, block)], facts };
}

function readKind(object: unknown, block: Block): readonly Deed[] {
  switch (text(object, 'kind')) {
    case 'Node':
      return readNode(object, block);
    case 'ServiceAccount':
      return roleIn(textMap(object, 'metadata', 'annotations'), text(object, 'metadata', 'name'), block);
    case 'Pod':
      return readPod(field(object, 'spec'), block);
    case 'DaemonSet':
    case 'Deployment':
      return readPod(field(object, 'spec', 'template', 'spec'), block);
    case 'NodePool':
      return list(object, 'spec', 'disruption', 'budgets').some((budget) =>
        ['0', '0%', 0].includes(field(budget, 'nodes') as string),
      )
        ? [{ ...at(block, 'nodes:', '0'), is: 'pool-budget' }]
        : [];
    case 'ConfigMap':
      return readMonitors(safeYaml(text(object, 'data', 'config.yaml') ?? ''), block, 'monitors');
    case 'Event':
      return readEvent(object, block);
    default:
      return readLoneConditions(object, block);
  }
}

/** Both event shapes, core/v1 and events.k8s.io/v1, where the text is the note (k8s.io/api events/v1). */
function readEvent(object: unknown, block: Block): readonly Deed[] {
  const sources = [
    text(object, 'source', 'component'),
    text(object, 'deprecatedSource', 'component'),
    text(object, 'reportingController'),
    text(object, 'reportingComponent'),
  ];
  if (!sources.includes(eventSource)) return [];
  const message = text(object, 'message') ?? text(object, 'note') ?? '';
  return [{ ...at(block, message), is: 'event', reason: text(object, 'reason') ?? '', message }];
}

function readNode(object: unknown, block: Block): readonly Deed[] {
  const labels = textMap(object, 'metadata', 'labels');
  const node = {
    name: text(object, 'metadata', 'name'),
    architecture: text(object, 'status', 'nodeInfo', 'architecture') ?? labels['kubernetes.io/arch'],
    labels,
  };
  const conditions = conditionsOf(object as Parameters<typeof conditionsOf>[0]);
  const isMissing =
    hasGpu(object as Parameters<typeof hasGpu>[0]) &&
    conditions.length > 0 &&
    !conditions.some(({ type }) => type === gpuConditionType);
  return [
    ...conditionDeeds(conditions, node, block),
    ...(isMissing ? [{ ...at(block, 'conditions'), is: 'no-condition', node } as const] : []),
  ];
}

function conditionDeeds(
  conditions: readonly NodeCondition[],
  node: Extract<Deed, { is: 'condition' }>['node'],
  block: Block,
): readonly Deed[] {
  const newest = newestOf(conditions);
  return conditions.map((condition) => ({
    ...at(block, condition.type),
    is: 'condition',
    condition,
    node,
    newest,
  }));
}

/** The newest heartbeat of all conditions, as it stands there; null: none has one. */
export function newestOf(conditions: readonly NodeCondition[]): string | null {
  return (
    conditions
      .map(({ lastHeartbeatTime }) => lastHeartbeatTime)
      .filter((time) => time !== null && !Number.isNaN(Date.parse(time)))
      .toSorted((left, right) => Date.parse(right ?? '') - Date.parse(left ?? ''))[0] ?? null
  );
}

/** Conditions without their node, as `jq` and jsonpath give them. */
function readLoneConditions(object: unknown, block: Block): readonly Deed[] {
  const own =
    text(object, 'type') !== undefined && text(object, 'status') !== undefined
      ? [object]
      : list(object, 'conditions');
  const conditions = conditionsOf({ status: { conditions: own } } as unknown as Parameters<
    typeof conditionsOf
  >[0]);
  return conditionDeeds(conditions, { name: undefined, architecture: undefined, labels: {} }, block);
}

const awsVariables = ['AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'];

function readPod(spec: unknown, block: Block): readonly Deed[] {
  return list(spec, 'containers').flatMap((container): readonly Deed[] => {
    const image = text(container, 'image') ?? '';
    const variables = list(container, 'env').map(
      (one) => [text(one, 'name') ?? '', text(one, 'value') ?? ''] as const,
    );
    if (image.includes('node-monitoring-agent')) {
      const role = variables.find(([name]) => awsVariables.includes(name));
      return role === undefined
        ? []
        : [
            {
              ...at(block, role[0]),
              is: 'role',
              how: role[0].includes('CONTAINER') ? 'pod-identity' : 'pod',
            },
          ];
    }
    if (!image.includes('karpenter')) return [];
    const { on, unread } = repairGateOf(container);
    return unread === undefined
      ? [{ ...at(block, 'NodeRepair'), is: 'karpenter-gate', on: on === true }]
      : [];
  });
}

function roleIn(
  annotations: Readonly<Record<string, string>>,
  name: string | undefined,
  block: Block,
): readonly Deed[] {
  const isOurs = name === undefined || name.includes('node-monitoring');
  return isOurs && annotations['eks.amazonaws.com/role-arn'] !== undefined
    ? [{ ...at(block, 'role-arn'), is: 'role', how: 'annotation' }]
    : [];
}

/** Helm values of NMA or Karpenter. */
function readValues(object: unknown, block: Block): readonly Deed[] {
  if (text(object, 'kind') !== undefined) return [];
  const gate =
    field(object, 'settings', 'featureGates', 'nodeRepair') ?? field(object, 'featureGates', 'nodeRepair');
  return [
    ...readMonitors(object, block, 'nodeAgent', 'monitors'),
    ...(field(object, 'dcgmAgent', 'enabled') === false
      ? [{ ...at(block, 'enabled'), is: 'engine-off' } as const]
      : []),
    ...(gate === undefined
      ? []
      : [
          { ...at(block, 'nodeRepair'), is: 'karpenter-gate', on: gate === true || gate === 'true' } as const,
        ]),
    ...roleIn(textMap(object, 'serviceAccount', 'annotations'), undefined, block),
  ];
}

function readMonitors(object: unknown, block: Block, ...path: readonly string[]): readonly Deed[] {
  const monitors = field(object, ...path);
  if (monitors === null || typeof monitors !== 'object') return [];
  return Object.entries(monitors).flatMap(([plugin, value]) =>
    field(value, 'enabled') === false ? [{ ...at(block, plugin), is: 'monitor-off', plugin } as const] : [],
  );
}

function safeYaml(source: string): unknown {
  return yaml(source, 0, 0)?.objects[0];
}

function versionFacts(object: unknown, block: Block): readonly TextFact[] {
  const containers = [
    ...list(object, 'spec', 'containers'),
    ...list(object, 'spec', 'template', 'spec', 'containers'),
  ];
  return containers.flatMap((container) => {
    const version = /eks-node-monitoring-agent:v?(\d+\.\d+\.\d+\S{0,30})/.exec(
      text(container, 'image') ?? '',
    )?.[1];
    return version === undefined
      ? []
      : [{ ...at(block, 'eks-node-monitoring-agent:'), is: 'nma-version', version } as const];
  });
}

function architectureFacts(object: unknown, block: Block): readonly TextFact[] {
  if (text(object, 'kind') !== 'Node') return [];
  const architecture =
    text(object, 'status', 'nodeInfo', 'architecture') ??
    textMap(object, 'metadata', 'labels')['kubernetes.io/arch'];
  return architecture === undefined ? [] : [{ ...at(block, architecture), is: 'architecture', architecture }];
}
