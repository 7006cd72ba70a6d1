import t from 'tap';
import { stringify } from 'yaml';
import { alertGroups } from '../charts/monitoring/queries.ts';
import { findPromtool } from './promtool.ts';

/** Series as promtool writes them (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/), one sample a minute. */
type Case = {
  readonly alert: string;
  readonly what: string;
  readonly series: Readonly<Record<string, string>>;
  /** When it is looked at. */
  readonly at: string;
  /** Labels and texts of what fires then; none where it is silent. */
  readonly fires: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly summary: string;
  }[];
};

const failed = (pod: string, surface = 'kernel-log') =>
  `xidrill_injections_total{pod="${pod}",surface="${surface}",result="failed"}`;
const readBack = 'xidrill_read_back_failures_total{pod="a",surface="dcgm"}';
const ended = (verdict: string, fault = 'xid') =>
  `xidrill_experiments_total{pod="c",fault="${fault}",verdict="${verdict}"}`;
const engaged = (pod: string) => `xidrill_kill_switch_engaged{pod="${pod}"}`;
const active = (pod: string) => `xidrill_active_experiments{pod="${pod}"}`;

const cases: readonly Case[] = [
  {
    alert: 'XidrillInjectionFails',
    what: 'the first failure of an agent',
    series: { [failed('a')]: '0x5 1x20', [failed('b')]: '0x30', [failed('b', 'dcgm')]: '0x30' },
    at: '10m',
    fires: [
      {
        labels: { severity: 'warning', surface: 'kernel-log' },
        summary: 'Injections on kernel-log fail',
      },
    ],
  },
  {
    alert: 'XidrillInjectionFails',
    what: 'a quarter of an hour later',
    series: { [failed('a')]: '0x5 1x40' },
    at: '30m',
    fires: [],
  },
  {
    alert: 'XidrillInjectionFails',
    what: 'injections that succeed or are refused',
    series: {
      'xidrill_injections_total{pod="a",surface="kernel-log",result="injected"}': '0+1x30',
      'xidrill_injections_total{pod="a",surface="kernel-log",result="refused"}': '0+1x30',
    },
    at: '10m',
    fires: [],
  },
  {
    alert: 'XidrillInjectionFails',
    what: 'an agent that restarts after old failures',
    series: { [failed('a')]: '3x20 0x20' },
    at: '30m',
    fires: [],
  },
  {
    alert: 'XidrillReadBackFails',
    what: 'one that did not come back',
    series: { [readBack]: '0x5 1x20' },
    at: '10m',
    fires: [
      {
        labels: { severity: 'warning', surface: 'dcgm' },
        summary: 'What was written on dcgm did not come back',
      },
    ],
  },
  { alert: 'XidrillReadBackFails', what: 'none', series: { [readBack]: '0x30' }, at: '10m', fires: [] },
  {
    alert: 'XidrillDrillsFail',
    what: 'one that fails and one that could not be run',
    series: {
      [ended('fail')]: '0x5 1x60',
      [ended('error', 'soft-lockup')]: '0x5 1x60',
      [ended('pass')]: '0+1x60',
    },
    at: '40m',
    fires: [
      { labels: { severity: 'info', fault: 'xid', verdict: 'fail' }, summary: 'Drills of xid end with fail' },
      {
        labels: { severity: 'info', fault: 'soft-lockup', verdict: 'error' },
        summary: 'Drills of soft-lockup end with error',
      },
    ],
  },
  {
    alert: 'XidrillDrillsFail',
    what: 'drills that pass, prove nothing or are aborted',
    series: { [ended('pass')]: '0+1x60', [ended('inconclusive')]: '0+1x60', [ended('aborted')]: '0+1x60' },
    at: '40m',
    fires: [],
  },
  {
    alert: 'XidrillExperimentStuck',
    what: 'one that runs for two hours, whoever leads',
    series: { [active('c')]: '1x60 0x120', [active('d')]: '0x60 1x120' },
    at: '125m',
    fires: [{ labels: { severity: 'warning' }, summary: 'An experiment has been running for two hours' }],
  },
  {
    alert: 'XidrillExperimentStuck',
    what: 'before two hours',
    series: { [active('c')]: '1x180' },
    at: '119m',
    fires: [],
  },
  {
    alert: 'XidrillExperimentStuck',
    what: 'a pause in between',
    series: { [active('c')]: '1x60 0x2 1x120' },
    at: '125m',
    fires: [],
  },
  {
    alert: 'XidrillKillSwitchEngaged',
    what: 'one that was forgotten',
    series: { [engaged('a')]: '0x5 1x60', [engaged('c')]: '0x5 1x60' },
    at: '40m',
    fires: [{ labels: { severity: 'info' }, summary: 'The kill switch has been engaged for half an hour' }],
  },
  {
    alert: 'XidrillKillSwitchEngaged',
    what: 'one that was released in time',
    series: { [engaged('a')]: '0x5 1x20 0x60', [engaged('c')]: '0x5 1x20 0x60' },
    at: '40m',
    fires: [],
  },
  {
    alert: 'XidrillKillSwitchNotEverywhere',
    what: 'an agent that was not informed of the release',
    series: { [engaged('a')]: '1x60', [engaged('b')]: '1x5 0x60', [engaged('c')]: '1x5 0x60' },
    at: '15m',
    fires: [
      {
        labels: { severity: 'warning' },
        summary: 'The kill switch is engaged at some agents and coordinators, and released at others',
      },
    ],
  },
  {
    alert: 'XidrillKillSwitchNotEverywhere',
    what: 'all of them, one after the other',
    series: { [engaged('a')]: '0x5 1x60', [engaged('b')]: '0x7 1x60', [engaged('c')]: '0x6 1x60' },
    at: '15m',
    fires: [],
  },
];

const rules = alertGroups.flatMap((group) => group.rules);

/** A file of unit tests for promtool, beside `rules.yaml`. */
function testFile(chosen: readonly Case[]): string {
  return stringify({
    rule_files: ['rules.yaml'],
    evaluation_interval: '1m',
    tests: chosen.map(({ alert, what, series, at, fires }) => ({
      name: `${alert}: ${what}`,
      interval: '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      alert_rule_test: [
        {
          alertname: alert,
          eval_time: at,
          exp_alerts: fires.map(({ labels, summary }) => ({
            exp_labels: labels,
            exp_annotations: {
              summary,
              description: rules.find((rule) => rule.alert === alert)?.annotations.description,
            },
          })),
        },
      ],
    })),
  });
}

t.test('every alert has a series that fires and one that does not', async (t) => {
  for (const { alert } of rules)
    for (const isFiring of [true, false])
      t.ok(
        cases.some((each) => each.alert === alert && each.fires.length > 0 === isFiring),
        `${alert} ${isFiring ? 'fires' : 'is silent'}`,
      );
  t.ok(cases.every(({ alert }) => rules.some((rule) => rule.alert === alert)));
});

const promtool = await findPromtool();
if ('because' in promtool) t.pass('', { skip: promtool.because });
else {
  const file = stringify({ groups: alertGroups });

  t.test('promtool finds no fault in the rules', async (t) => {
    const { code, output } = await promtool({ 'rules.yaml': file }, [
      'check',
      'rules',
      '--lint-fatal',
      'rules.yaml',
    ]);
    t.equal(code, 0, output);
  });

  for (const each of cases)
    t.test(`${each.alert}: ${each.what}`, async (t) => {
      const { code, output } = await promtool({ 'rules.yaml': file, 'test.yaml': testFile([each]) }, [
        'test',
        'rules',
        'test.yaml',
      ]);
      t.equal(code, 0, output);
    });

  t.test('promtool would have said what is wrong', async (t) => {
    const [first] = cases;
    if (first === undefined) throw new Error('no cases');
    const outcome = await promtool({ 'rules.yaml': file, 'test.yaml': testFile([{ ...first, fires: [] }]) }, [
      'test',
      'rules',
      'test.yaml',
    ]);
    t.not(outcome.code, 0);
    t.match(outcome.output, /XidrillInjectionFails/);
  });
}
