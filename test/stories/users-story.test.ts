import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { storyNodes } from '../../coordinator/rehearsal/accounts.ts';
import { startRehearsalCluster } from '../../coordinator/rehearsal/cluster.ts';
import { createPaint, renderEnd, renderStep, renderTitle } from '../../coordinator/rehearsal/screen.ts';
import { faultsOf, playStory, type StoryStep } from '../../coordinator/rehearsal/story.ts';
import { createSilentLog } from '../../shared/log.ts';
import { closeUntouched } from '../coordinator/untouched.ts';
import { afterNextJump, createJumpingClock } from '../jumping-clock.ts';

/** N13: at every width and piped the same facts, nothing cut, and no line longer than the screen. */
function screens(t: Test, told: readonly StoryStep[]): void {
  const plain = createPaint(false);
  const piped = Number.POSITIVE_INFINITY;
  const end = { right: told.length, all: told.length, seconds: 1, passed: true };
  const shown = (width: number, paint = plain) =>
    [
      renderTitle(paint, width, 60),
      ...told.map((step) => renderStep(step, paint, width)),
      renderEnd(end, paint, width),
    ].join('');
  const letters = (text: string) => text.replaceAll(/\s/g, '');
  const whole = shown(piped);
  for (const width of [80, 120, 200]) {
    const screen = shown(width);
    t.equal(letters(screen), letters(whole), `the same at ${width} columns as piped`);
    t.same(
      screen.split('\n').filter((line) => [...line].length > width),
      [],
      `no line is longer than ${width}`,
    );
  }
  t.notMatch(whole, '…', 'nothing is cut');
  for (const { explanation } of told) {
    const facts = [
      explanation.summary,
      explanation.remedy,
      ...explanation.evidence.slice(0, 2).map(({ observed }) => observed),
      ...explanation.alsoFound.map(({ code, summary }) => `${code}: ${summary}`),
    ];
    for (const fact of facts) t.ok(letters(whole).includes(letters(fact)), fact.slice(0, 60));
  }
  t.equal(whole.split('EKS Node Monitoring Agent, which').length, 2, 'NMA is spelled out once');
  t.match(whole, /next: npm run serve[^\n]*\n$/, 'a next step at the end');
  const coloured = shown(120, createPaint(true));
  t.match(coloured, '\u001b[32mpass');
  t.match(coloured, '\u001b[31mfail');
  t.notMatch(whole, '\u001b');
}

t.test('one user’s story, each step with its cause, its proof and its remedy', async (t) => {
  const cluster = await startRehearsalCluster({
    rows: Object.values(storyNodes),
    clock: createJumpingClock(Date.parse('2025-12-09T03:05:00Z')),
    random: () => 0.5,
    newId: randomUUID,
    coordinatorPort: 0,
    firstAgentPort: 0,
    log: createSilentLog(),
  });
  await closeUntouched(t, cluster).remember();
  const told: StoryStep[] = [];
  for await (const step of playStory(cluster, afterNextJump)) told.push(step);
  for (const step of told) t.strictSame(faultsOf(step), [], `step ${step.step}: ${step.explanation.code}`);

  screens(t, told);

  const { arm } = storyNodes;
  /** Everything that the last column of the story asks for, in the words of evidence, summary or remedy. */
  const rows: readonly (readonly [step: RegExp, wants: readonly RegExp[]])[] = [
    [
      /^1/,
      [
        /eks\.amazonaws\.com\/role-arn/,
        /heartbeat|has not written a condition for 33 min/,
        /annotate serviceaccount .* eks\.amazonaws\.com\/role-arn-/,
        /rollout restart/,
        /ClusterRole is not the cause/,
      ],
    ],
    [
      /^2/,
      [
        /No NMA version reads Xid lines/,
        /read by .*Meta gcm .*rejected by gpud .*00000000:00:1F\.0.*NVSentinel .*journald cuts/,
        /A driver prints the address as 0000:00:1f/,
        /sequence \d+: 11,/,
        /"surfaces": \["dcgm"\]/,
        /event since 1\.6\.4/,
      ],
    ],
    [
      /^3a/,
      [
        /field 150 is the GPU temperature/,
        /48 °C is healthy/,
        /Did you mean.*230 = 48|did you mean 230 = 48/i,
      ],
    ],
    [
      /^3b$|^3c$/,
      [/has no listener/, /pid 3310/, /NMA’s engine is pid 2201 in pod kube-system\/dcgm-server/, /watchers/],
    ],
    [/^4/, [/has no listener/, /pid 3402/, /field group "watch"/, /field 856 has no watcher/]],
    [/^5/, [/arm64/, /no GPU fault can ever be seen/, /v1\.7\.2 or later/, /amd64 GPU node/]],
    [/^6/, [/NodeRepair/, /default is off/, /karpenter/i]],
    [/^(again|then)$/, [/NvidiaXID79Error/, /True → False/, /-f 230 -v 79/]],
  ];
  for (const [name, wants] of rows) {
    const steps = told.filter(({ step }) => name.test(step));
    t.ok(steps.length > 0, `step ${name.source} is played`);
    const text = JSON.stringify(steps).replaceAll('\\"', '"');
    for (const want of wants) t.match(text, want, `step ${name.source} says ${want.source}`);
  }
  for (const { step, explanation } of told) t.not(explanation.remedy, '', `step ${step} says what to do`);
  t.match(told.at(-1), { verdict: 'pass', node: arm.name });
  t.ok((told.at(-1)?.latencySeconds ?? 0) > 0);
  t.notOk(
    told.slice(0, -1).some(({ verdict }) => verdict === 'pass'),
    'none of the silent failures passes',
  );
  t.equal(
    cluster
      .node(arm.name)
      .kernelLog.records()
      .filter((record) => record.text.includes('NVRM')).length,
    0,
    'nothing was injected where the preflight had found the cause',
  );
});
