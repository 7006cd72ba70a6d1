import Type from 'typebox';
import type { RouteDoc } from '../../shared/http/openapi/route.ts';
import { Surface } from '../../shared/schemas/receipt.ts';
import { TargetPreview } from '../preview/schema.ts';

const Loose = Type.Record(Type.String(), Type.Unknown());

const VersionRange = Type.Object(
  {
    from: Type.String({ description: 'the first version of the monitoring agent' }),
    to: Type.String({ description: 'the last' }),
    shows: Type.Array(
      Type.Object(
        {
          surface: Surface,
          kind: Type.Enum(['event', 'condition']),
          type: Type.String({ description: 'condition type; an event has it as its reason' }),
          reason: Type.String({ description: 'of the condition; an event’s message starts with it' }),
          message: Type.String(),
          typicalSeconds: Type.Number(),
          withinSeconds: Type.Number(),
          repair: Loose,
        },
        { additionalProperties: true },
      ),
    ),
  },
  { $id: 'VersionRange' },
);

const FaultAnswer = Type.Object(
  {
    name: Type.String(),
    title: Type.String(),
    surfaces: Type.Array(Surface, { description: 'where it can be written' }),
    parameters: Type.Record(Type.String(), Loose, { description: 'each with its type, unit and range' }),
    example: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'parameters' })),
    risk: Type.String(),
    undo: Type.String(),
    needsGpu: Type.Boolean(),
    sources: Type.Array(Type.String()),
    reacts: Type.Array(VersionRange, { description: 'what a healthy cluster shows, the oldest first' }),
    plan: Type.Optional(TargetPreview),
  },
  { $id: 'Fault', additionalProperties: true, description: 'a row of the catalogue' },
);

const NotOffered = Type.Object(
  {
    name: Type.String(),
    title: Type.String(),
    reaction: Type.String(),
    because: Type.String(),
    instead: Type.Optional(Type.String()),
    sources: Type.Array(Type.String()),
  },
  { $id: 'NotOffered', description: 'what people ask for, and why it is not offered' },
);

/** What the OpenAPI document says of each route of the catalogue. */
export const faultDocs = {
  list: {
    id: 'listFaults',
    tag: 'faults',
    summary: 'The fault catalogue, and what is not offered',
    answers: {
      200: {
        description: 'All of it',
        schema: Type.Object(
          { items: Type.Array(FaultAnswer), notOffered: Type.Array(NotOffered) },
          { $id: 'FaultList' },
        ),
      },
    },
  },
  read: {
    id: 'getFault',
    tag: 'faults',
    summary: 'One fault; with `node` what would be written there, who reads it and what must follow',
    answers: { 200: { description: 'The row, with `node` and its plan', schema: FaultAnswer } },
    reasons: [
      'fault_missing',
      'node_missing',
      'parameter_invalid',
      'gpu_address_malformed',
      'cluster_unreachable',
    ],
  },
} as const satisfies Readonly<Record<string, RouteDoc>>;
