import type { FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { Receipt } from '../../shared/schemas/receipt.ts';
import { Confidence } from '../catalogue/confidence.ts';
import { faultOf, knownOf, plannedLinks } from '../drill/chain.ts';
import { restoreLink } from '../drill/restoring.ts';
import {
  Counts,
  ExpectationInput,
  type ExperimentStatus,
  experimentPhases,
  InjectionSpec,
  InjectionStatus,
  injectionPhases,
  LinkStatus,
  NodeCause,
  SkippedNode,
  StoredRefusal,
  Target,
} from '../store/experiment.ts';
import { Explanation } from '../store/explanation.ts';
import { type Injected, InjectedSchema, injectedByAny } from '../store/injected.ts';
import { RestoreSummary } from '../store/restore.ts';
import { type Experiment, type Injection, seedFromName, shortHash } from '../store/store.ts';
import { Latency, VerdictSchema } from '../store/timeline.ts';

const Time = Type.String({ format: 'date-time' });
const optionalVerdict = Type.Union([VerdictSchema, Type.Null()], { description: 'null: not ended' });
const optionalExplanation = Type.Union([Explanation, Type.Null()], { description: 'null: not ended' });

/** How far one link of a chain came; what it rests on (baseline, receipt) stands in the stored status. */
const LinkAnswer = Type.Object(
  {
    id: LinkStatus.properties.id,
    link: LinkStatus.properties.link,
    state: LinkStatus.properties.state,
    expected: LinkStatus.properties.expected,
    at: Type.Optional(
      Type.String({ format: 'date-time', description: 'when it was reached, or found to be missed' }),
    ),
    clock: LinkStatus.properties.clock,
    seconds: LinkStatus.properties.seconds,
    because: LinkStatus.properties.because,
    evidence: LinkStatus.properties.evidence,
  },
  { $id: 'Link', additionalProperties: false },
);
type LinkAnswer = Static<typeof LinkAnswer>;

/** One link over all nodes of an experiment. */
const LinkSummary = Type.Object(
  {
    id: Type.String(),
    link: Type.String(),
    nodes: Type.Record(Type.String(), Type.Integer(), {
      description: 'number of nodes by state of the link',
    }),
    slowestSeconds: Type.Union([Type.Number(), Type.Null()], {
      description: 'of the node that was the last to reach it; null: none has',
    }),
  },
  { additionalProperties: false },
);

/** One line of an experiment's answer; the whole of it is under …/injections. */
export const InjectionSummary = Type.Object({
  name: Type.String(),
  node: Type.String(),
  phase: Type.Enum([...injectionPhases]),
  verdict: optionalVerdict,
  injected: InjectedSchema,
  cause: Type.Union([Type.String(), Type.Null()], { description: 'code of its explanation' }),
  confidence: Type.Union([Confidence, Type.Null()], {
    description: 'as a dry run showed it; null: its node has not been looked at yet',
  }),
  latency: Type.Union([Latency, Type.Null()]),
  links: Type.Array(LinkAnswer, { description: 'how far each link of the chain came, in its order' }),
});

/** An experiment as REST answers it. */
export const ExperimentAnswer = Type.Object(
  {
    kind: Type.Literal('Experiment'),
    name: Type.String(),
    phase: Type.Enum([...experimentPhases]),
    verdict: optionalVerdict,
    injected: InjectedSchema,
    counts: Type.Union([Counts, Type.Null()], { description: 'nodes by verdict; null: not ended' }),
    causes: Type.Array(NodeCause, {
      description: 'why each node ended as it did, the worst first; cut at 100',
    }),
    links: Type.Array(LinkSummary, { description: 'each link of the chain over all nodes, in its order' }),
    explanation: optionalExplanation,
    injections: Type.Array(InjectionSummary),
    fault: Type.Object({ name: Type.String(), parameters: Type.Record(Type.String(), Type.Unknown()) }),
    target: Type.Optional(Target),
    expectation: Type.Optional(ExpectationInput),
    restore: Type.Union([RestoreSummary, Type.Null()], { description: 'null: no restore has ended' }),
    latency: Type.Union([Latency, Type.Null()]),
    seed: Type.Integer({
      description: 'picks the nodes; the same seed and the same nodes give the same choice',
    }),
    skipped: Type.Array(SkippedNode),
    createdAt: Type.Union([Time, Type.Null()]),
    startedAt: Type.Union([Time, Type.Null()]),
    endedAt: Type.Union([Time, Type.Null()]),
    deadlineAt: Type.Union([Time, Type.Null()]),
  },
  { $id: 'Experiment' },
);
export type ExperimentAnswer = Static<typeof ExperimentAnswer>;

/** What is stored, with the fault's own receipt or refusal where a script looks for it. */
const AnsweredStatus = Type.Object(
  {
    ...InjectionStatus.properties,
    receipt: Type.Optional(Receipt),
    refusal: Type.Optional(StoredRefusal),
  },
  { additionalProperties: false },
);

/** One injection as REST answers it. */
export const InjectionAnswer = Type.Object(
  {
    name: Type.String(),
    node: Type.String(),
    injected: InjectedSchema,
    links: Type.Array(LinkAnswer, { description: 'how far each link of the chain came, in its order' }),
    spec: InjectionSpec,
    status: Type.Union([AnsweredStatus, Type.Null()]),
  },
  { $id: 'Injection' },
);
export type InjectionAnswer = Static<typeof InjectionAnswer>;

/** The stored experiment and its injections in the shape of REST. */
export function experimentAnswer(experiment: Experiment, injections: readonly Injection[]): ExperimentAnswer {
  const { metadata, spec } = experiment;
  const status: Partial<Static<typeof ExperimentStatus>> = experiment.status ?? {};
  return {
    kind: 'Experiment',
    name: metadata.name,
    phase: status.phase ?? 'Pending',
    verdict: status.verdict ?? null,
    injected: status.injected ?? injectedByAny(injections.map(injectedIn)),
    counts: status.counts ?? null,
    causes: status.causes ?? [],
    links: linksOver(injections),
    explanation: status.explanation ?? null,
    injections: injections.map((injection) => ({
      name: injection.metadata.name,
      node: injection.spec.node,
      phase: injection.status?.phase ?? 'Selected',
      verdict: injection.status?.verdict ?? null,
      injected: injectedIn(injection),
      cause: injection.status?.explanation?.code ?? null,
      confidence: injection.status?.confidence ?? null,
      latency: injection.status?.latency ?? null,
      links: linksOf(injection),
    })),
    fault: { name: spec.fault.name, parameters: { ...spec.fault.parameters } },
    ...(spec.target === undefined ? {} : { target: spec.target }),
    ...(spec.expectation === undefined ? {} : { expectation: spec.expectation }),
    restore: status.restore ?? null,
    latency: status.latency ?? null,
    seed: status.seed ?? spec.target?.seed ?? seedFromName(metadata.name),
    skipped: status.skipped ?? [],
    createdAt: metadata.creationTimestamp ?? null,
    startedAt: status.startedAt ?? null,
    endedAt: status.endedAt ?? null,
    deadlineAt: status.deadlineAt ?? null,
  };
}

/** The stored injection in the shape of REST. */
export function injectionAnswer(injection: Injection): InjectionAnswer {
  const { metadata, spec, status } = injection;
  const { receipt, refusal } = knownOf(injection, faultOf(spec).orderLink) ?? {};
  return {
    name: metadata.name,
    node: spec.node,
    injected: injectedIn(injection),
    links: linksOf(injection),
    spec,
    status:
      status === undefined
        ? null
        : {
            ...status,
            ...(receipt === undefined ? {} : { receipt }),
            ...(refusal === undefined ? {} : { refusal }),
          },
  };
}

function linksOf({ spec, status }: Injection): LinkAnswer[] {
  const known = status?.links ?? plannedLinks(spec.chain);
  const all = status?.restore === undefined ? known : [...known, restoreLink(status.restore)];
  return all.map(
    ({
      baseline: _baseline,
      receipt: _receipt,
      refusal: _refusal,
      since: _since,
      dueAt: _dueAt,
      ...rest
    }) => {
      const { seen: _seen, entry: _entry, ...link } = rest;
      return link;
    },
  );
}

/** By the longest chain: nodes of one experiment differ by the versions that run on them. */
function linksOver(injections: readonly Injection[]): Static<typeof LinkSummary>[] {
  const all = injections.map(linksOf);
  const longest = all.toSorted((left, right) => right.length - left.length)[0] ?? [];
  return longest.map(({ id, link }) => {
    const same = all.flatMap((links) => links.filter((other) => other.id === id));
    const nodes: Record<string, number> = {};
    for (const { state } of same) nodes[state] = (nodes[state] ?? 0) + 1;
    const seconds = same.flatMap(({ seconds }) => seconds ?? []);
    return { id, link, nodes, slowestSeconds: seconds.length === 0 ? null : Math.max(...seconds) };
  });
}

/** Nothing is ordered before the first status is written. */
function injectedIn({ status }: Injection): Injected {
  return status?.injected ?? 'none';
}

/**
 * Sends a body with its ETag, or 304 without it where the caller has it already (`If-None-Match`, RFC 9110 13.1.2: `*`, or a
 * list of tags that are compared weakly).
 */
export function sendTagged(reply: FastifyReply, body: object): FastifyReply {
  const text = JSON.stringify(body);
  const tag = `"${shortHash(text, 32)}"`;
  void reply.header('etag', tag).header('cache-control', 'no-cache');
  // Of a request that changes something the answer is its outcome, whatever the caller knew before.
  const isRead = ['GET', 'HEAD'].includes(reply.request.method);
  const known = [reply.request.headers['if-none-match'] ?? []].flat().join(',');
  const tags = known.split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (isRead && (tags.includes(tag) || tags.includes('*'))) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(text);
}
