import Type from 'typebox';
import type { Reason } from '../../shared/errors.ts';
import type { AnswerDoc, RouteDoc } from '../../shared/http/openapi/route.ts';
import { TargetPreview } from '../preview/schema.ts';
import { SkippedNode } from '../store/experiment.ts';
import { ExperimentAnswer, InjectionAnswer } from './answers.ts';
import { ExperimentList } from './listing.ts';

/** The answer of a dry run: what each target would get, and why other nodes are left out. */
const PlanAnswer = Type.Object(
  {
    kind: Type.Literal('Plan'),
    dryRun: Type.Literal('All'),
    seed: Type.Integer({ description: 'picks the nodes; the drill picks the same' }),
    targets: Type.Array(TargetPreview),
    skipped: Type.Array(SkippedNode),
  },
  { $id: 'Plan' },
);

const tag = 'experiments';

const etag = { etag: 'of this answer, for If-None-Match' };

const location = { location: 'path of the experiment' };

const unchanged: AnswerDoc = {
  description: 'Nothing has changed since the answer with that ETag',
  headers: etag,
};

/** Reading what is stored, before the view of the cluster is complete. */
const ofReading: readonly Reason[] = ['cluster_unreachable'];

/** Writing to the API server. */
const ofWriting: readonly Reason[] = [
  ...ofReading,
  'cluster_refused',
  'object_invalid',
  'object_conflict',
  'object_missing',
  'crds_missing',
];

/** What no drill could carry out, wherever it is planned. */
const ofPlanning: readonly Reason[] = [
  'fault_unknown',
  'parameter_invalid',
  'target_invalid',
  'expectation_invalid',
  'deadline_invalid',
  'no_target',
  'node_unknown',
  'node_busy',
  'gpu_address_malformed',
  'gpu_unknown',
  'xid_wedges_engine',
  'risk_not_accepted',
  'field_unknown',
  'field_not_injectable',
  'field_value_type',
  'field_value_range',
  'field_value_no_effect',
  'offset_too_large',
  'alert_gap_too_short',
  'text_empty',
  'text_has_newline',
  'text_has_control_bytes',
  'text_not_ascii',
  'text_too_long',
];

const ofOne: readonly Reason[] = ['experiment_unknown'];

/** What the OpenAPI document says of each route of experiments. */
export const experimentDocs = {
  create: {
    id: 'createExperiment',
    tag,
    summary: 'Drill a node, or with dryRun=All show what would happen',
    answers: {
      200: {
        description:
          'The plan of a dry run; or the experiment, where `Prefer: wait` saw its end or the Idempotency-Key is of one that has ended',
        schema: Type.Union([ExperimentAnswer, PlanAnswer], { discriminator: { propertyName: 'kind' } }),
        headers: { ...location, ...etag },
      },
      202: { description: 'It runs', schema: ExperimentAnswer, headers: { ...location, ...etag } },
    },
    reasons: [
      ...ofWriting,
      ...ofPlanning,
      'kill_switch_engaged',
      'restore_disabled',
      'repair_blocked',
      'repair_too_soon',
      'object_exists',
      'idempotency_key_reused',
    ],
    examples: {
      xid: {
        summary: 'Xid 79 on one node',
        value: {
          name: 'first',
          fault: { name: 'xid', parameters: { xid: 79 } },
          target: { selector: { names: ['gpu-1'] } },
        },
      },
      injectOnly: {
        summary: 'A line that NMA does not read: judged by the injection alone',
        value: {
          fault: { name: 'sxid', parameters: { sxid: 20034, switch: { index: 0, pci: '0000:05:00.0' } } },
          expectation: { detection: 'ignore' },
          target: { selector: { names: ['gpu-1'] } },
        },
      },
      negative: {
        summary: 'A harmless Xid must not change the condition',
        value: {
          fault: { name: 'xid', parameters: { xid: 43 } },
          expectation: { none: true, for: '90s' },
          target: { selector: { names: ['gpu-1'] } },
        },
      },
    },
  },
  list: {
    id: 'listExperiments',
    tag,
    summary: 'Experiments, the newest first, in pages',
    answers: {
      200: { description: 'One page', schema: ExperimentList, headers: etag },
      304: unchanged,
    },
    reasons: ofReading,
  },
  read: {
    id: 'getExperiment',
    tag,
    summary: 'One experiment; `Prefer: wait=SECONDS` holds the answer until it has ended',
    answers: {
      200: { description: 'The experiment as it is now', schema: ExperimentAnswer, headers: etag },
      304: unchanged,
    },
    reasons: [...ofReading, ...ofOne],
  },
  passed: {
    id: 'getPassed',
    tag,
    summary: '200 only where the drill has passed, for tools that judge by the status alone',
    answers: { 200: { description: 'It has passed', schema: ExperimentAnswer } },
    reasons: [...ofReading, ...ofOne, 'experiment_running', 'experiment_not_passed'],
  },
  injections: {
    id: 'listInjections',
    tag,
    summary: 'Receipt, timeline and verdict of each target',
    answers: {
      200: {
        description: 'One entry for each node',
        schema: Type.Object({ items: Type.Array(InjectionAnswer) }, { $id: 'InjectionList' }),
      },
    },
    reasons: [...ofReading, ...ofOne],
  },
  follow: {
    id: 'followExperiment',
    tag,
    summary: 'Changes of an experiment as they come, until it ends',
    description:
      'Server-sent events: `experiment` with an Experiment and `injection` with an Injection on each change, `end` with `{name}` at the last. Who reads slowly gets the newest of each and misses what lay between. `refused` with `{code, detail}` where the right to read them has ended.',
    answers: {
      200: { description: 'A stream of events', schema: Type.String(), type: 'text/event-stream' },
    },
    reasons: [...ofReading, ...ofOne, 'too_many_streams'],
  },
  remove: {
    id: 'deleteExperiment',
    tag,
    summary: 'Delete the records of an experiment that has ended',
    answers: { 204: { description: 'They are gone' } },
    reasons: [...ofWriting, ...ofOne, 'experiment_running'],
  },
  restore: {
    id: 'restoreExperiment',
    tag,
    summary: 'Take back what an experiment left on its nodes, and prove that it stays gone',
    description:
      'Stops what is sustained, restarts the pod of the host engine where that keeps something of the drill, waits until NMA is connected to it, restarts the pod of NMA where a condition is False, and watches the condition beyond the next health check. An experiment that runs is restored at its end; one whose restore goes on is answered as it is.',
    answers: {
      200: {
        description:
          'The restore has ended: `restore` says how, and the links of …/injections by which evidence',
        schema: ExperimentAnswer,
        headers: { ...location, ...etag },
      },
      202: { description: 'It goes on', schema: ExperimentAnswer, headers: { ...location, ...etag } },
    },
    reasons: [...ofWriting, ...ofOne, 'restore_disabled'],
  },
  abort: {
    id: 'abortExperiment',
    tag,
    summary: 'End an experiment; what was injected stays, and the answer says so',
    answers: {
      200: {
        description: 'It has ended',
        schema: ExperimentAnswer,
        headers: { ...location, ...etag },
      },
      202: { description: 'It is being ended', schema: ExperimentAnswer, headers: { ...location, ...etag } },
    },
    reasons: [...ofWriting, ...ofOne, 'experiment_ended'],
  },
} as const satisfies Readonly<Record<string, RouteDoc>>;
