import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { findFault } from '../../../coordinator/catalogue/parameters.ts';
import { causes } from '../../../coordinator/why/causes.ts';
import { explainText } from '../../../coordinator/why/why.ts';
import { inputs } from './inputs.ts';
import { story } from './story.ts';

t.ok(inputs.length >= 60, `${inputs.length} inputs`);

t.test('each input: its code, its sentence, its command', async (t) => {
  for (const { input, code, says, run } of inputs) {
    const answer = explainText(input);
    const found = answer.findings.filter(
      (one) => one.code === code && (says.test(one.did) || says.test(one.summary)),
    );
    const commands = found.flatMap((one) => (one.commands.length === 0 ? [''] : one.commands));
    t.ok(
      found.length > 0 && commands.some((command) => run.test(command)),
      `${code}: ${input.slice(0, 90)}`,
      {
        findings: answer.findings.map((one) => [one.code, one.did, one.summary, one.commands]),
        notUnderstood: answer.notUnderstood,
      },
    );
  }
});

t.test('every code is reached by an input, so that each is documented by one', async (t) => {
  const texts = [
    ...inputs.map(({ input }) => input),
    ...([1, 2, 3, 4, 5, 6] as const).map((step) => story[step].did),
  ];
  const reached = new Set(texts.flatMap((text) => explainText(text).findings.map(({ code }) => code)));
  t.same(
    Object.keys(causes).filter((code) => !reached.has(code)),
    [],
  );
});

t.test('a drill that is offered is one of the catalogue', async (t) => {
  const drills = inputs.flatMap(({ input }) =>
    explainText(input).findings.flatMap(({ drill }) => drill ?? []),
  );
  t.ok(drills.length > 10);
  for (const { name, parameters } of drills) {
    const row = findFault(name, faults);
    for (const key of Object.keys(parameters)) t.ok(row.parameters[key] !== undefined, `${name}.${key}`);
  }
});

t.test('what is not understood is said, with the nearest thing that is', async (t) => {
  for (const [input, nearest] of [
    ['dcgm test --inject --gpuid 0 -f 150 -v 48', /did you mean dcgmi/],
    ['kubectk get nodes', /did you mean kubectl/],
    ['Any ideas?', /understood are commands/],
  ] as const) {
    const answer = explainText(input);
    t.match(answer.notUnderstood, [{ line: 1, input, nearest }], input);
    t.equal(answer.result, 'open');
  }
  t.equal(explainText('').findings.length, 0);
});

t.test('what works is said to work', async (t) => {
  const answer = explainText(
    'image: eks-node-monitoring-agent:v1.7.2-eksbuild.1\nkubectl -n kube-system exec dcgm-server-1 -- dcgmi test --inject --gpuid 0 -f 230 -v 109',
  );
  t.equal(answer.result, 'works', answer.summary);
  t.match(answer.findings, [{ code: 'reaches-nma', certainty: 'proven' }]);

  // What only a node of other hardware would show, does not.
  const neuron = explainText(
    'echo "kernel: NEURON_HW_ERR=DMA_ERROR affecting neuron devices" | sudo tee /dev/kmsg',
  );
  t.match(neuron, {
    result: 'open',
    findings: [{ code: 'nma-reads-it', certainty: 'likely', missing: /inf\*, trn\*/ }],
  });
});
