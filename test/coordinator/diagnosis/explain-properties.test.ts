import fc from 'fast-check';
import t from 'tap';
import { Compile } from 'typebox/compile';
import { reactionsToOrder } from '../../../coordinator/catalogue/channels.ts';
import { knownReasons } from '../../../coordinator/catalogue/nma/known-reasons.ts';
import { nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { blockedBy, explain, preflight } from '../../../coordinator/diagnosis/explain.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import { Explanation } from '../../../coordinator/store/explanation.ts';
import type { Facts } from '../../../coordinator/view/facts.ts';
import { parseCall } from '../../../shared/orders/call.ts';
import type { MethodCall, OrderMethod } from '../../../shared/schemas/order.ts';
import {
  before,
  dcgmResult,
  deafEngine,
  engine,
  entry,
  facts,
  healthyConditions,
  inventory,
  kernelResult,
  lockupText,
  now,
  planned,
  pod,
  receipt,
  version,
} from './builder.ts';

const shape = Compile(Explanation);

const time = fc.oneof(
  fc.constantFrom(null, '', 'yesterday', now),
  fc.integer({ min: -600, max: 100_000 }).map((seconds) => before(seconds)),
);
const text = fc.oneof(
  fc.constantFrom('', 'DCGMError', 'NvidiaXID79Error', 'False', 'True', 'Unknown'),
  fc.string({ maxLength: 40 }),
);
const unread = fc.record({ unread: text });

const anyCondition = fc.record({
  type: fc.constantFrom('AcceleratedHardwareReady', 'KernelReady', 'Ready', 'Custom'),
  status: fc.constantFrom('True', 'False', 'Unknown', ''),
  reason: text,
  message: text,
  lastHeartbeatTime: time,
  lastTransitionTime: time,
});
const conditions = fc.oneof(fc.constant(healthyConditions), fc.array(anyCondition, { maxLength: 6 }));

const anyPod = fc
  .record({
    phase: fc.constantFrom('Running', 'Pending', 'Failed', 'Unknown'),
    ready: fc.boolean(),
    startedAt: time,
    reason: fc.constantFrom(undefined, 'CrashLoopBackOff', 'OOMKilled'),
    environment: fc.dictionary(fc.constantFrom('AWS_ROLE_ARN', 'DCGM_ADDRESS', 'HOST_ROOT'), text),
    volumes: fc.subarray(['aws-iam-token', 'eks-pod-identity-token', 'host-root']),
  })
  .map((over) => pod('nma-x', over));
const maybePod = fc.option(anyPod, { nil: undefined });

const surface = fc.oneof(
  fc.constantFrom(
    dcgmResult(),
    dcgmResult({}, 0),
    kernelResult(lockupText),
    kernelResult('NVRM: Xid (PCI:zz): 31, x'),
  ),
  fc.record({ code: text, message: text }).map((over) => dcgmResult({ ...over, outcome: 'refused' })),
  fc.constant(
    kernelResult('x', {
      outcome: 'failed',
      readBack: { sequence: 1, record: '', priority: 0, microseconds: 0 },
    }),
  ),
  fc.constant(
    ((): ReturnType<typeof dcgmResult> => ({ surface: 'dcgm', outcome: 'injected', undo: '', notes: [] }))(),
  ),
);

const gpu = { index: 0 };
const scalar = fc.oneof(fc.constantFrom(79, 150, 230, '230', 'dcgm_fi_dev_xid_errors'), fc.integer(), text);
const engineAsked = fc.constantFrom({}, { engine: { pid: 777 } }, { engine: { address: '127.0.0.1:5555' } });
const surfaces = fc.constantFrom(['dcgm'], ['kernel-log'], ['kernel-log', 'dcgm']);
/** Every method, with whatever the agent's schema takes. */
const anyCall = fc.oneof(
  fc
    .record({ xid: fc.integer({ min: 1, max: 255 }), surfaces, engine: engineAsked })
    .map(({ engine, ...body }) => call('InjectXid', { gpu, ...body, ...engine })),
  fc
    .record({ xids: fc.array(fc.constantFrom(31, 79, 48), { minLength: 1, maxLength: 3 }), surfaces })
    .map(({ xids, surfaces }) =>
      call('InjectCascade', { gpu, surfaces, steps: xids.map((xid) => ({ xid, afterSeconds: 0 })) }),
    ),
  fc
    .record({ field: scalar, value: scalar, engine: engineAsked })
    .map(({ engine, field, value }) =>
      call('InjectDcgmField', { gpu, field: field === '' ? 230 : field, value, ...engine }),
    ),
  text.map((line) => call('WriteKernelMessage', { text: line })),
  text.map((line) => call('WriteJournalMessage', { identifier: 'kubelet', text: line })),
  text.map((line) => call('AppendLogLine', { file: 'cron', text: line })),
  engineAsked.map((engine) => call('PauseHostEngine', { forSeconds: 300, ...engine })),
);

const anyDrill = fc
  .record({
    order: anyCall,
    expectation: fc.record({
      kind: fc.constantFrom('event' as const, 'condition' as const),
      type: fc.constantFrom('AcceleratedHardwareReady', 'KernelReady', 'Custom'),
      reason: fc.oneof(
        fc.constantFrom('DCGMError', 'DCGMHealthCode120', 'SoftLockup', 'NvidiaXID79Error'),
        text,
      ),
      withinSeconds: fc.integer({ min: 1, max: 3600 }),
    }),
    receipt: fc.option(
      fc.array(surface, { maxLength: 2 }).map((surfaces) => receipt(surfaces)),
      { nil: undefined },
    ),
    refusal: fc.option(
      fc.record({
        reason: fc.constantFrom('nobody_listens', 'disarmed', 'field_value_no_effect', 'whatever'),
        message: text,
        details: fc.dictionary(fc.constantFrom('engines', 'didYouMean', 'remedy', 'allowed'), fc.jsonValue()),
      }),
      { nil: undefined },
    ),
    conditionBefore: fc.option(anyCondition, { nil: undefined }),
    timeline: fc.array(
      fc
        .record({
          kind: fc.constantFrom('event' as const, 'condition' as const, 'gap' as const, 'node' as const),
          text,
          match: fc.boolean(),
        })
        .map((row) => entry(row.kind, row.text, { match: row.match })),
      { maxLength: 3 },
    ),
    waitedUntil: fc.constantFrom(undefined, now, 'never'),
  })
  .map((over) => planned(over));

const anyFacts: fc.Arbitrary<Facts> = fc
  .record({
    node: fc.record({
      conditions,
      architecture: fc.constantFrom('arm64', 'amd64', ''),
      createdAt: time.map((value) => value ?? ''),
      taints: fc.constantFrom([], [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }]),
    }),
    nma: fc.record({
      pod: maybePod,
      daemonSet: fc.constantFrom(undefined, facts().nma.daemonSet),
      mayBeHostProcess: fc.boolean(),
      version: fc.constantFrom(undefined, version('v1.4.3'), version('v1.7.2'), version('nightly')),
      log: fc.oneof(
        unread,
        fc.array(
          fc.constantFrom('failed to report managed conditions', 'sending condition to exporter x', ''),
        ),
      ),
      disabledPlugins: fc.subarray(['nvidia', 'kernel-monitor']),
      dcgmServer: fc.record({ daemonSet: fc.boolean(), pod: maybePod }),
    }),
    agent: fc.record({
      url: fc.constantFrom(undefined, 'http://10.0.0.1:9475'),
      inventory: fc.oneof(
        unread,
        fc.subarray([engine(), deafEngine, engine({ gpus: [] })]).map((engines) => inventory({ engines })),
      ),
    }),
    repair: fc.record({
      nodeGroup: fc.constantFrom(undefined, 'g'),
      nodePool: fc.constantFrom(undefined, 'p'),
      computeType: fc.constantFrom(undefined, 'auto'),
      peers: fc.record({
        total: fc.nat({ max: 20 }),
        unhealthyOthers: fc.dictionary(
          fc.constantFrom(
            'Ready=Unknown',
            'DiskPressure=True',
            'AcceleratedHardwareReady=False,Ready=False',
            'x',
          ),
          fc.integer({ min: 1, max: 20 }),
        ),
      }),
      doNotDisruptPods: fc.subarray(['default/p']),
    }),
    drill: fc.option(anyDrill, { nil: undefined }),
  })
  .map(({ drill, ...parts }) => facts({ ...parts, ...(drill === undefined ? {} : { drill }) }));

t.test('whatever the facts are, an explanation comes, with evidence', async (t) => {
  fc.assert(
    fc.property(anyFacts, (given) => {
      const explanation = explain(given);
      const fails = shape.Errors(explanation);
      if (fails.length > 0) throw new Error(JSON.stringify(fails));
      if (explanation.evidence.length === 0) throw new Error(`${explanation.code} has no evidence`);
      if (explanation.summary === '' || explanation.remedy === '')
        throw new Error(`${explanation.code} says nothing`);
      const codes = [explanation.code, ...explanation.alsoFound.map(({ code }) => code)];
      const both = explanation.refuted.filter(({ code }) => codes.includes(code));
      if (both.length > 0) throw new Error(`${both[0]?.code} is found and refuted`);
    }),
    { numRuns: 1500, seed: 20_261_123 },
  );
  t.pass('1500 sets of facts');
});

t.test('only with a drill, and only with a proven cause, something blocks', async (t) => {
  fc.assert(
    fc.property(anyFacts, (given) => {
      const { blocking: found, checks } = preflight(given);
      const blocking = found?.explanation;
      const asked = blockedBy(given)?.explanation.code;
      if (asked !== blocking?.code) throw new Error(`${asked} blocks, and ${blocking?.code} of all causes`);
      for (const { code, judge, mayBlock, mayBeIncidental } of rules) {
        const judgement = judge(given);
        if (judgement.is !== 'cause') continue;
        if (judgement.blocks && !mayBlock) throw new Error(`${code} blocks and does not say that it may`);
        if (judgement.incidental && !mayBeIncidental)
          throw new Error(`${code} is incidental and does not say that it may be`);
      }
      if (blocking !== undefined && given.drill === undefined) throw new Error('blocked without a drill');
      if (blocking?.summary.startsWith('Likely') === true) throw new Error(`${blocking.code} is not proven`);
      if (checks.some(({ blocks, result }) => blocks && result !== 'cause'))
        throw new Error('a check blocks without a cause');
    }),
    { numRuns: 1500, seed: 20_261_123 },
  );
  t.pass('1500 sets of facts');
});

t.test('a forecast is one thing only', async (t) => {
  fc.assert(
    fc.property(anyFacts, (given) => {
      for (const { willAct, action, afterSeconds, blockedBy, evidence, controller } of forecastRepair(
        given,
      )) {
        if (evidence.length === 0) throw new Error(`${controller}: no evidence`);
        if (willAct === 'yes' && (blockedBy.length > 0 || action === 'none'))
          throw new Error(`${controller} acts and is blocked`);
        if (willAct === 'no' && blockedBy.length === 0)
          throw new Error(`${controller} does nothing without a reason`);
        if ((afterSeconds === null) !== (willAct === 'no'))
          throw new Error(`${controller}: ${afterSeconds} and ${willAct}`);
      }
    }),
    { numRuns: 1500, seed: 20_261_123 },
  );
  t.pass('1500 sets of facts');
});

/** The sources of evidence that are tables of ours: versions and patterns stand there, not among the facts. */
const isTable = (source: string) => source.includes('coordinator/catalogue/');

t.test('no evidence names a reason, a pod or a time that is not among the facts', async (t) => {
  const nouns =
    /\b(?:Nvidia[A-Z]\w*|DCGM(?:Error|Health\w*)|dcgm-server-\w+|nma-\w+|\d{4}-\d\d-\d\dT[\d:.]+Z)\b/g;
  fc.assert(
    fc.property(anyFacts, (given) => {
      const all = JSON.stringify(given);
      const { code, evidence } = explain(given);
      for (const { source, observed } of evidence) {
        // A forecast says of what it foresees that it is still to come.
        if (isTable(source) || observed.endsWith('still to come')) continue;
        const invented = (observed.match(nouns) ?? []).find((noun) => !all.includes(noun));
        if (invented !== undefined) throw new Error(`${code}: ${invented} in "${observed}"`);
      }
    }),
    { numRuns: 1000, seed: 20_261_130 },
  );
  t.pass('1000 sets of facts');
});

t.test(
  'no summary names a reason, a pod or a time that is neither among the facts nor in the tables',
  async (t) => {
    const nouns =
      /\b(?:Nvidia[A-Z]\w*(?:-\d+\w*)?|DCGM(?:Error|Health\w*)|dcgm-server-\w+|nma-\w+|\d{4}-\d\d-\d\dT[\d:.]+Z)\b/g;
    const isReason = (noun: string) => /^(?:Nvidia|DCGM)/.test(noun);
    let named = 0;
    fc.assert(
      fc.property(anyFacts, (given) => {
        const all = JSON.stringify(given);
        const { code, summary, alsoFound } = explain(given);
        for (const one of [{ code, summary }, ...alsoFound]) {
          for (const noun of one.summary.match(nouns) ?? []) {
            named += 1;
            // Codes of causes look like names of pods.
            if (all.includes(noun) || rules.some((rule) => rule.code.startsWith(noun))) continue;
            // What a forecast foresees has a time that nothing shows yet.
            if (code !== 'reacted' && rules.find((rule) => rule.code === one.code)?.link === 'taint')
              continue;
            // The tables say what a version gives: every reason in them that some known version has.
            const drill = given.drill;
            const known =
              drill === undefined
                ? []
                : nmaVersions.flatMap((nma) =>
                    reactionsToOrder(drill.order, { nma, engineVersion: undefined }).map(
                      ({ reaction }) => reaction.reason,
                    ),
                  );
            // The nearest reason to a mistyped one is of the table as well.
            const isNearest = one.code === 'reason-not-given' && knownReasons.includes(noun);
            if (isReason(noun) && (known.includes(noun) || isNearest)) continue;
            throw new Error(`${one.code}: ${noun} in "${one.summary}"`);
          }
        }
      }),
      { numRuns: 1000, seed: 20_261_201 },
    );
    t.ok(named > 200, `${named} nouns in 1000 sets of facts`);
  },
);

t.test('the first cause is the earliest of the chain among the proven ones', async (t) => {
  fc.assert(
    fc.property(anyFacts, (given) => {
      const hasReacted = given.drill?.timeline.some(
        ({ kind, match }) => match && (kind === 'event' || kind === 'condition'),
      );
      const first = rules.find((rule) => {
        const judgement = rule.judge(given);
        const isAsked = ['order', 'detection'].includes(rule.link) !== (hasReacted === true);
        return (
          isAsked && judgement.is === 'cause' && judgement.certainty === 'proven' && !judgement.incidental
        );
      });
      const { code } = explain(given);
      if (first !== undefined && code !== first.code) throw new Error(`${code} before ${first.code}`);
    }),
    { numRuns: 1000, seed: 20_261_130 },
  );
  t.pass('1000 sets of facts');
});

function call(method: OrderMethod, body: Readonly<Record<string, unknown>>): MethodCall {
  return parseCall(method, body) as MethodCall;
}
