import Type from 'typebox';
import type { RouteDoc } from '../../shared/http/openapi/route.ts';
import { Confidence } from '../catalogue/confidence.ts';
import { Evidence, Explanation } from '../store/explanation.ts';

const Loose = Type.Record(Type.String(), Type.Unknown());

const orNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

/** RFC 3339, or null. */
const timeOrNull = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description });

const NodeRow = Type.Object(
  {
    name: Type.String(),
    drillAllowed: Type.Boolean({ description: 'it has the label xidrill.dev/drill=allowed' }),
    ready: Type.Boolean(),
    architecture: orNull('of its label kubernetes.io/arch'),
    instanceType: orNull('of its label'),
    agent: orNull('address of its agent; null: none is known'),
    acceleratedHardware: Type.Union([Loose, Type.Null()], {
      description: 'the condition AcceleratedHardwareReady',
    }),
  },
  { $id: 'NodeSummary' },
);

const KindState = Type.Object(
  {
    kind: Type.String({ description: 'of objects' }),
    seenAt: timeOrNull('when the API server last sent something of it; null: never'),
    unread: Type.Optional(Type.Object({ unread: Type.String(), remedy: Type.Optional(Type.String()) })),
    gap: Type.Optional(Type.Object({ since: Type.String({ format: 'date-time' }), because: Type.String() })),
  },
  { $id: 'KindState', description: 'how far the view of one kind of object can be relied on' },
);

const Check = Type.Object(
  {
    code: Type.String({ description: 'of the cause that was looked for' }),
    title: Type.String(),
    result: Type.Enum(['ok', 'cause', 'unknown']),
    text: Type.String({ description: 'why it is so' }),
    remedy: Type.Optional(Type.String()),
    commands: Type.Optional(
      Type.Array(Type.String(), {
        description: 'of the remedy, to copy; words in capitals are to be filled in',
      }),
    ),
    blocks: Type.Boolean(),
  },
  { $id: 'Check' },
);

const Forecast = Type.Object(
  {
    controller: Type.String(),
    willAct: Type.Enum(['yes', 'no', 'unknown']),
    action: Type.String(),
    afterSeconds: Type.Union([Type.Number(), Type.Null()]),
    dueAt: timeOrNull('on the coordinator’s clock'),
    blockedBy: Type.Array(Loose),
    evidence: Type.Array(Evidence),
    notes: Type.Array(Type.String()),
  },
  { $id: 'RepairForecast', additionalProperties: true, description: 'what one controller would do' },
);

const Preflight = Type.Object(
  {
    node: Type.String(),
    fault: Type.Union([Type.Object({ name: Type.String(), parameters: Loose }), Type.Null()], {
      description: 'null: no fault was asked for, and what blocks only some faults says blocks: false',
    }),
    refusals: Type.Array(Loose, { description: 'why a drill of the fault would not come about' }),
    confidence: Type.Union([Confidence, Type.Null()], {
      description: 'as a dry run of the fault shows it; null: no fault was asked for',
    }),
    ok: Type.Boolean(),
    checks: Type.Array(Check),
    blocking: Type.Union([Explanation, Type.Null()]),
    repair: Type.Array(Forecast),
  },
  { $id: 'Preflight' },
);

/** What the OpenAPI document says of each route of nodes. */
export const nodeDocs = {
  list: {
    id: 'listNodes',
    tag: 'nodes',
    summary: 'Nodes, whether they may be drilled, and their agents',
    answers: {
      200: {
        description: 'All of them, and how far the view of the cluster can be relied on',
        schema: Type.Object({ items: Type.Array(NodeRow), view: Type.Array(KindState) }, { $id: 'NodeList' }),
      },
    },
    reasons: ['cluster_unreachable'],
  },
  preflight: {
    id: 'preflightNode',
    tag: 'nodes',
    summary: 'Every link on this node, checked without injecting anything; what repair would do',
    answers: { 200: { description: 'The checks, in the order of the chain', schema: Preflight } },
    reasons: [
      'node_missing',
      'fault_missing',
      'parameter_invalid',
      'gpu_address_malformed',
      'cluster_unreachable',
    ],
  },
} as const satisfies Readonly<Record<string, RouteDoc>>;
