import t from 'tap';
import type { Judgement } from '../../../coordinator/diagnosis/rule.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import type { Facts } from '../../../coordinator/view/facts.ts';
import { facts, planned } from './builder.ts';
import { ruleRows, type Said } from './rows.ts';

function saidBy(judgement: Judgement): Said {
  if (judgement.is !== 'cause') return judgement.is;
  const incidental = judgement.incidental ? (' incidental' as const) : ('' as const);
  return judgement.blocks ? 'proven!' : `${judgement.certainty}${incidental}`;
}

function textOf(judgement: Judgement): string {
  if (judgement.is === 'irrelevant') return '';
  return judgement.is === 'cause' ? judgement.summary : judgement.because;
}

t.test('what each rule says', async (t) => {
  for (const [code, name, said, given, text] of ruleRows) {
    const judgement = rules.find((rule) => rule.code === code)?.judge(given);
    if (judgement === undefined) {
      t.fail(`no rule ${code}`);
      continue;
    }
    t.equal(saidBy(judgement), said, `${code}, ${name}: ${said} (${textOf(judgement)})`);
    if (text !== undefined) t.match(textOf(judgement), text, `${code}, ${name}: its text`);
    if (judgement.is !== 'cause') continue;
    t.ok(judgement.evidence.length > 0, `${code}, ${name}: has evidence`);
    t.ok(
      judgement.evidence.every(({ source, observed }) => source !== '' && observed !== ''),
      `${code}, ${name}: evidence says something`,
    );
    t.ok(judgement.remedy.length > 10, `${code}, ${name}: has a remedy`);
    const { commands = [] } = judgement;
    t.equal(
      /\b(kubectl [a-z-]+|aws eks|helm upgrade) /.test(judgement.remedy) && commands.length === 0,
      false,
      `${code}, ${name}: what its remedy tells to run can be copied`,
    );
    t.ok(
      commands.every((command) => /^(kubectl|aws|helm) [^\n]+[^.\s]$/.test(command)),
      `${code}, ${name}: ${commands.join(' | ')}`,
    );
    t.ok(
      !judgement.blocks || (judgement.certainty === 'proven' && !judgement.incidental),
      `${code}, ${name}: only a proven cause blocks`,
    );
    t.notMatch(
      `${judgement.summary} ${judgement.remedy}`,
      /undefined|NaN|\[object|null/,
      `${code}, ${name}: no raw value`,
    );
  }
});

t.test('F14: the remedy for an untolerated taint names the add-on’s value', async (t) => {
  const taints = [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }];
  const remedyWith = (tolerations: NonNullable<Facts['nma']['dcgmServer']['tolerations']>) => {
    const given = facts({
      node: { taints },
      agent: { inventory: { unread: 'no answer' } },
      nma: { dcgmServer: { daemonSet: true, tolerations, pod: undefined } },
    });
    const judgement = rules.find(({ code }) => code === 'dcgm-server-missing')?.judge(given);
    return judgement?.is === 'cause' ? judgement.remedy : '';
  };
  t.match(remedyWith([]), 'dcgmAgent.tolerations of the add-on');
  t.match(
    remedyWith([]),
    '{"dcgmAgent":{"tolerations":[{"key":"nvidia.com/gpu","operator":"Exists","effect":"NoSchedule"}]}}',
  );
  const exists = { key: 'nvidia.com/gpu', operator: 'Exists', value: '', effect: '' };
  t.notMatch(remedyWith([exists]), 'dcgmAgent.tolerations');
  t.match(remedyWith([{ ...exists, effect: 'NoExecute' }]), 'dcgmAgent.tolerations');
  t.match(remedyWith([{ ...exists, operator: 'Equal', value: 'yes' }]), 'dcgmAgent.tolerations');
});

t.test('every rule has rows: a cause and its refutation', async (t) => {
  const codes = rules.map(({ code }) => code);
  t.same([...new Set(codes)], codes, 'codes are unique');
  for (const { code, title, mayBlock, mayBeIncidental } of rules) {
    const said = ruleRows.filter(([rowCode]) => rowCode === code).map(([, , word]) => word);
    t.match(code, /^[a-z0-9]+(-[a-z0-9]+)*$/, `${code} is kebab-case`);
    t.ok(title.length > 5, `${code} has a title`);
    t.ok(
      said.some((word) => /^(proven|likely)/.test(word)),
      `${code} has a row with the cause`,
    );
    t.ok(said.includes('refuted'), `${code} has a row that refutes it`);
    t.equal(
      said.includes('proven!'),
      mayBlock !== undefined,
      `${code} blocks in a row, and says that it may`,
    );
    t.equal(
      said.some((word) => word.endsWith('incidental')),
      mayBeIncidental === true,
      `${code} is a side finding in a row, and says that it may be`,
    );
  }
});

t.test('a healthy node has no cause, with and without a planned drill', async (t) => {
  for (const given of [facts(), facts({ drill: planned() })]) {
    for (const rule of rules) t.not(rule.judge(given).is, 'cause', rule.code);
  }
});
