import t from 'tap';
import type { Finding, WhyAnswer } from '../../../coordinator/why/finding.ts';
import { explainText } from '../../../coordinator/why/why.ts';
import { story } from './story.ts';

function told(step: 1 | 2 | 3 | 4 | 5 | 6): WhyAnswer {
  const { did, saw } = story[step];
  return explainText(`${did}\n${saw}`);
}

function finding(answer: WhyAnswer, code: string, input = ''): Finding {
  const found = answer.findings.find(
    (one) => one.code === code && one.evidence.some(({ observed }) => observed.includes(input)),
  );
  if (found === undefined)
    throw new Error(`no ${code} in ${answer.findings.map((one) => one.code).join(', ')}`);
  return found;
}

/** The commands of a finding, in one text. */
const runs = ({ commands }: Finding) => commands.join('\n');

t.test('step 1: the role breaks the condition writes, and the ClusterRole is not the cause', async (t) => {
  const answer = told(1);
  const broken = finding(answer, 'credentials-broken');
  t.match(broken, { link: 'detection', result: 'broken', certainty: 'proven' });
  for (const proof of [
    'create-addon',
    'iamserviceaccount',
    'Pod Identity',
    'No such file',
    'failed to report',
  ])
    t.ok(
      broken.evidence.some(({ observed }) => observed.includes(proof)),
      `${proof} is among the proofs`,
    );
  t.match(broken.summary, /needs no role.*Events still work/s);
  t.match(runs(broken), /annotate serviceaccount .* eks\.amazonaws\.com\/role-arn-[\s\S]*rollout restart/);
  t.match(runs(broken), /delete-pod-identity-association/);
  t.match(finding(answer, 'role-not-needed'), { result: 'works' });
  t.match(finding(answer, 'cluster-role-not-the-cause').summary, /changes nothing.*kubelet’s identity/s);
});

t.test('step 2: the kernel log cannot trigger NMA for any Xid', async (t) => {
  const answer = told(2);
  const line = finding(answer, 'kernel-log-not-read');
  t.match(line, { link: 'detection', result: 'broken', certainty: 'proven' });
  t.match(line.summary, /prints the address as 0000:00:1f, not 00000000:00:1F\.0/);
  t.match(line.summary, /Xid 31 is an event, not the condition/);
  const seen = new Map(line.seenBy.map(({ who, sees }) => [who, sees]));
  t.equal(seen.get('Meta gcm'), true, 'somebody does read it');
  t.equal(seen.get('gpud'), false, 'and somebody rejects this spelling');
  t.equal(seen.get('EKS NMA'), false);
  t.match(runs(line), /k8s-app=dcgm-server.*-f 230 -v 31/);
  const old = explainText(`NMA add-on 1.6.3\n${story[2].did}`);
  t.match(finding(old, 'kernel-log-not-read').summary, /Xid 31 is the condition: NMA 1\.6\.3 sets/);
});

t.test('step 3: both fields are other quantities, and the engine is one of their own', async (t) => {
  const answer = told(3);
  const temperature = finding(answer, 'field-is-another-quantity', '-f 150');
  t.match(temperature, { link: 'order', result: 'broken', certainty: 'proven' });
  t.match(temperature.summary, /GPU temperature in °C; 48 °C is healthy.*field 230 = 48/s);
  t.match(runs(temperature), /-f 230 -v 48/);
  const clock = finding(answer, 'field-is-another-quantity', '-f 111');
  t.match(clock.summary, /memory clock in MHz.*field 319/s);
  t.match(runs(clock), /-f 319/);
  for (const input of ['-f 150', '-f 111']) {
    const engine = finding(answer, 'wrong-engine', input);
    t.match(engine.summary, /started by hand.*nv-hostengine in the dcgm-server pod/s);
    t.ok(engine.evidence.some(({ observed }) => observed === 'nv-hostengine &'));
    t.match(runs(engine), /fieldgroup -l/);
  }
});

t.test('step 4: the engine beside dcgm-exporter is not NMA’s', async (t) => {
  const engine = finding(told(4), 'wrong-engine');
  t.match(engine, { link: 'order', result: 'broken', certainty: 'likely' });
  t.match(engine.summary, /dcgm-exporter, which NMA is not connected to/);
  t.match(runs(engine), /k8s-app=dcgm-server.*-f 319 -v 4/);
  t.match(runs(engine), /introspect/);
});

t.test('step 5: the heartbeat is old, and on arm64 True says nothing', async (t) => {
  const heartbeat = finding(told(5), 'nma-not-writing');
  t.match(heartbeat, { link: 'detection', result: 'broken', certainty: 'proven' });
  t.match(heartbeat.did, /32 min 33 s/);
  const alone = finding(told(5), 'arm64-gate');
  t.equal(alone.certainty, 'likely', 'the step alone does not say that the node is arm64');
  t.match(alone.missing, /architecture/);
  const whole = explainText(`${story.nodes}\n\n${story[5].did}\n${story[5].saw}`);
  const gate = finding(whole, 'arm64-gate');
  t.equal(gate.certainty, 'proven');
  t.match(gate.summary, /no GPU fault can ever be seen/);
  t.match(runs(gate), /--addon-version v1\.7\.2/);
});

t.test('step 6: what each controller would do, when, and what blocks it', async (t) => {
  const answer = told(6);
  const gate = finding(answer, 'karpenter-gate-off');
  t.match(gate.summary, /alpha and off by default.*taints the node instead of cordoning/s);
  t.match(gate.summary, /PodDisruptionBudgets.*budgets/s);
  t.match(runs(gate), /nodeRepair=true/);
  const group = finding(answer, 'repair-not-due', 'enabled=true');
  t.match(group.summary, /waits 10 min.*none for DCGMError.*more than 5 nodes.*20 %/s);
  t.match(finding(answer, 'repair-not-due', 'node is cordoned').summary, /An event alone.*leads to nothing/);
});

t.test('the whole story in one paste', async (t) => {
  const steps = ([1, 2, 3, 4, 5, 6] as const).map((step) => `${story[step].did}\n${story[step].saw}`);
  const answer = explainText([story.nodes, ...steps].join('\n\n'));
  const codes = new Set(answer.findings.map(({ code }) => code));
  for (const code of [
    'credentials-broken',
    'kernel-log-not-read',
    'field-is-another-quantity',
    'wrong-engine',
    'nma-not-writing',
    'arm64-gate',
    'karpenter-gate-off',
    'repair-not-due',
  ])
    t.ok(codes.has(code), code);
  t.same(
    answer.known.map(({ what, value }) => [what, value]),
    [
      ['NMA version', '1.4.3'],
      ['architecture', 'arm64'],
    ],
  );
  t.match(answer.summary, /^The chain ends at order: /, 'the first link of the chain comes first');
});
