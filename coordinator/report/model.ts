import Type, { type Static } from 'typebox';
import { Receipt } from '../../shared/schemas/receipt.ts';
import {
  Counts,
  ExpectationInput,
  experimentPhases,
  LinkStatus,
  SkippedNode,
  Target,
} from '../store/experiment.ts';
import { Explanation } from '../store/explanation.ts';
import { InjectedSchema } from '../store/injected.ts';
import { RestoreSummary } from '../store/restore.ts';
import { Latency, TimelineEntry, VerdictSchema } from '../store/timeline.ts';

/** Changes with anything that could break who reads a report; members may be added without. */
export const reportSchema = 'xidrill.dev/report/v1';

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });

const Verdict = orNull(VerdictSchema, 'null: not ended');

/** One link of a node's chain: the bar of its drawing. */
export const ReportLink = Type.Object(
  {
    id: LinkStatus.properties.id,
    link: LinkStatus.properties.link,
    state: LinkStatus.properties.state,
    expected: LinkStatus.properties.expected,
    since: LinkStatus.properties.since,
    at: LinkStatus.properties.at,
    clock: LinkStatus.properties.clock,
    seconds: LinkStatus.properties.seconds,
    until: Type.Optional(
      Type.String({
        description: 'when its wait ended, or ends, on the coordinator’s clock; absent: not begun',
      }),
    ),
    because: LinkStatus.properties.because,
    evidence: LinkStatus.properties.evidence,
  },
  { additionalProperties: false },
);
export type ReportLink = Static<typeof ReportLink>;

/** What happened on one node. */
export const ReportNode = Type.Object(
  {
    node: Type.String(),
    pool: orNull(Type.String(), 'in words; null: it belongs to nothing that is known'),
    verdict: Verdict,
    injected: InjectedSchema,
    latency: orNull(Latency, 'to the expected reaction; null: it did not come'),
    explanation: orNull(Explanation, 'null: not ended'),
    links: Type.Array(ReportLink, { description: 'in the order of the chain, the restore last' }),
    receipts: Type.Array(
      Type.Object({ link: Type.String(), receipt: Receipt }, { additionalProperties: false }),
      { description: 'of each order that the agent answered' },
    ),
    timeline: Type.Array(TimelineEntry),
  },
  { additionalProperties: false },
);
export type ReportNode = Static<typeof ReportNode>;

/** One experiment, with everything that proves its verdict. */
export const ExperimentReport = Type.Object(
  {
    schema: Type.Literal(reportSchema),
    kind: Type.Literal('ExperimentReport'),
    name: Type.String(),
    fault: Type.Object(
      { name: Type.String(), parameters: Type.Record(Type.String(), Type.Unknown()) },
      { additionalProperties: false },
    ),
    target: orNull(Target, 'as it was asked for'),
    expectation: orNull(ExpectationInput, 'as it was asked for; null: what the catalogue expects'),
    phase: Type.Enum([...experimentPhases]),
    verdict: Verdict,
    injected: InjectedSchema,
    summary: Type.String({ description: 'one or two sentences' }),
    explanation: orNull(Explanation, 'null: not ended'),
    counts: orNull(Counts, 'nodes by verdict; null: not ended'),
    restore: orNull(RestoreSummary, 'null: nothing was restored'),
    createdAt: orNull(Type.String(), 'RFC 3339, the API server’s clock'),
    startedAt: orNull(Type.String(), 'RFC 3339, the coordinator’s clock'),
    endedAt: orNull(Type.String(), 'RFC 3339, the coordinator’s clock'),
    seconds: orNull(Type.Number(), 'from its start to its end'),
    nodes: Type.Array(ReportNode, { description: 'sorted by name' }),
    skipped: Type.Array(SkippedNode, { description: 'why each other node was left out' }),
  },
  { $id: 'ExperimentReport', additionalProperties: false },
);
export type ExperimentReport = Static<typeof ExperimentReport>;

/** One drill of a suite. */
export const SuiteDrill = Type.Object(
  {
    name: Type.String({ description: 'in the suite file' }),
    experiment: Type.String({ description: 'name of its Experiment' }),
    tags: Type.Array(Type.String()),
    skipped: orNull(Type.String(), 'why it was not run; null: it was'),
    error: orNull(Type.String(), 'why its Experiment could not be created or followed; null: it was'),
    report: orNull(ExperimentReport, 'null: it was not run'),
  },
  { additionalProperties: false },
);
export type SuiteDrill = Static<typeof SuiteDrill>;

/** One run of a suite file. */
export const SuiteReport = Type.Object(
  {
    schema: Type.Literal(reportSchema),
    kind: Type.Literal('SuiteReport'),
    name: Type.String(),
    run: Type.String({ description: 'xidrill run FILE --run RUN resumes it' }),
    verdict: VerdictSchema,
    summary: Type.String({ description: 'one sentence' }),
    counts: Type.Object(
      {
        total: Type.Integer(),
        pass: Type.Integer(),
        fail: Type.Integer(),
        other: Type.Integer({ description: 'inconclusive, error, aborted' }),
        skipped: Type.Integer(),
      },
      { additionalProperties: false, description: 'drills' },
    ),
    startedAt: orNull(Type.String(), 'of the first drill'),
    endedAt: orNull(Type.String(), 'of the last drill'),
    drills: Type.Array(SuiteDrill, { description: 'in the order of the file' }),
    latencies: Type.Array(
      Type.Object(
        {
          link: Type.String(),
          samples: Type.Array(
            Type.Object(
              { drill: Type.String(), node: Type.String(), seconds: Type.Number() },
              { additionalProperties: false },
            ),
          ),
        },
        { additionalProperties: false },
      ),
      { description: 'how long each link took, where it was reached, in the order of the chain' },
    ),
  },
  { $id: 'SuiteReport', additionalProperties: false },
);
export type SuiteReport = Static<typeof SuiteReport>;

/** What a report can be about. */
export type Report = ExperimentReport | SuiteReport;
