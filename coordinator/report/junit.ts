import type { Explanation } from '../store/explanation.ts';
import type { Verdict } from '../store/timeline.ts';
import { markup } from './escape.ts';
import type { ExperimentReport, Report, ReportNode, SuiteDrill } from './model.ts';
import { culpritOf, faultText, linkText } from './words.ts';

/**
 * JUnit XML as Jenkins reads it (jenkinsci/xunit-plugin junit-10.xsd), and with it GitLab, GitHub's and Azure's readers: a testsuite
 * for each experiment, a testcase for each link of each node.
 */

type Outcome = {
  readonly element: 'failure' | 'error' | 'skipped';
  readonly type: string;
  readonly message: string;
  /** Lines of its text. */
  readonly text: readonly string[];
};

type Case = {
  readonly classname: string;
  readonly name: string;
  readonly seconds: number;
  readonly outcome?: Outcome;
};

type Suite = {
  readonly name: string;
  readonly startedAt: string | null;
  readonly seconds: number | null;
  readonly properties: readonly (readonly [string, string])[];
  readonly cases: readonly Case[];
};

/** A report as JUnit XML. */
export function renderJunit(report: Report): string {
  const suites =
    report.kind === 'SuiteReport'
      ? report.drills.map((drill) => suiteOfDrill(drill, `${report.name}.${drill.name}`))
      : [suiteOf(report, report.name, `xidrill.${report.fault.name}`)];
  const cases = suites.flatMap((suite) => suite.cases);
  const seconds = suites.reduce((sum, suite) => sum + (suite.seconds ?? 0), 0);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${markup(report.name)}" tests="${cases.length}" failures="${count(cases, 'failure')}" errors="${count(cases, 'error')}" time="${seconds.toFixed(3)}">`,
    ...suites.flatMap(renderSuite),
    '</testsuites>',
    '',
  ].join('\n');
}

function count(cases: readonly Case[], element: Outcome['element']): number {
  return cases.filter(({ outcome }) => outcome?.element === element).length;
}

function renderSuite({ name, startedAt, seconds, properties, cases }: Suite, id: number): readonly string[] {
  const at = startedAt === null ? '' : ` timestamp="${markup(startedAt)}"`;
  return [
    `  <testsuite id="${id}" name="${markup(name)}" tests="${cases.length}" failures="${count(cases, 'failure')}" errors="${count(cases, 'error')}" skipped="${count(cases, 'skipped')}" time="${(seconds ?? 0).toFixed(3)}"${at}>`,
    '    <properties>',
    ...properties.map(([key, value]) => `      <property name="${markup(key)}" value="${markup(value)}"/>`),
    '    </properties>',
    ...cases.flatMap(renderCase),
    '  </testsuite>',
  ];
}

function renderCase({ classname, name, seconds, outcome }: Case): readonly string[] {
  const head = `    <testcase classname="${markup(classname)}" name="${markup(name)}" time="${seconds.toFixed(3)}"`;
  if (outcome === undefined) return [`${head}/>`];
  const { element, type, message, text } = outcome;
  return [
    `${head}>`,
    `      <${element} type="${markup(type)}" message="${markup(message)}">${text.map(markup).join('\n')}</${element}>`,
    '    </testcase>',
  ];
}

function suiteOfDrill(drill: SuiteDrill, classname: string): Suite {
  const { name, report, skipped, error } = drill;
  const failed =
    error === null ? undefined : outcome('error', 'not-run', error, [`experiment ${drill.experiment}`]);
  const left = skipped === null ? undefined : outcome('skipped', 'skipped', skipped, []);
  const own = failed ?? left;
  if (report !== null) {
    const suite = suiteOf(report, name, classname);
    return failed === undefined
      ? suite
      : { ...suite, cases: [...suite.cases, { classname, name: 'run', seconds: 0, outcome: failed }] };
  }
  return {
    name,
    startedAt: null,
    seconds: null,
    properties: [['experiment', drill.experiment]],
    cases: [{ classname, name: 'run', seconds: 0, ...(own === undefined ? {} : { outcome: own }) }],
  };
}

/** `classname`: the same in each run, so that a pipeline finds the same test again. */
function suiteOf(report: ExperimentReport, name: string, classname: string): Suite {
  const { nodes, verdict, explanation, startedAt, seconds, fault } = report;
  const cases = nodes.flatMap((node) => casesOf(node, report, classname));
  const isShown = cases.some((one) => one.outcome !== undefined && one.outcome.element !== 'skipped');
  // A pipeline must not take an experiment without a node, or one that was cut short, for a success.
  const whole: readonly Case[] =
    verdict === 'pass' || isShown
      ? []
      : [
          {
            classname,
            name: 'verdict',
            seconds: seconds ?? 0,
            outcome: outcomeOf(verdict, explanation, report.summary),
          },
        ];
  return {
    name,
    startedAt,
    seconds,
    properties: [
      ['experiment', report.name],
      ['fault', faultText(fault)],
      ['phase', report.phase],
      ['verdict', verdict ?? 'none'],
      ['injected', report.injected],
      ['summary', report.summary],
    ],
    cases: [...cases, ...whole],
  };
}

function casesOf(node: ReportNode, report: ExperimentReport, classname: string): readonly Case[] {
  const culprit = culpritOf(node);
  const { verdict, explanation } = node;
  const isBlamed = culprit !== undefined || verdict === 'pass' || verdict === null;
  // What ended it before its first link, such as a preflight that is blocked.
  const whole: readonly Case[] = isBlamed
    ? []
    : [
        {
          classname,
          name: `${node.node} verdict`,
          seconds: 0,
          outcome: outcomeOf(verdict, explanation, report.summary),
        },
      ];
  const cases = node.links.map((link): Case => {
    const of = { classname, name: `${node.node} ${link.id}` };
    const seconds = link.seconds ?? 0;
    if (link.state === 'reached') return { ...of, seconds };
    return link === culprit
      ? { ...of, seconds, outcome: outcomeOf(node.verdict, node.explanation, linkText(link)) }
      : { ...of, seconds, outcome: outcome('skipped', link.state, linkText(link), []) };
  });
  return [...cases, ...whole];
}

function outcome(
  element: Outcome['element'],
  type: string,
  message: string,
  text: readonly string[],
): Outcome {
  return { element, type, message, text };
}

/** A reaction that did not come is a failure; what could not be judged or run is an error, as in JUnit itself. */
function outcomeOf(verdict: Verdict | null, explanation: Explanation | null, otherwise: string): Outcome {
  const element = verdict === 'fail' ? 'failure' : 'error';
  if (explanation === null) return outcome(element, verdict ?? 'not-ended', otherwise, []);
  const { code, summary, evidence, remedy, commands = [], refuted } = explanation;
  return outcome(element, code, summary, [
    ...evidence.map(({ source, observed, at }) => `proof: ${source}: ${observed} (${at})`),
    ...(remedy === '' ? [] : [`do: ${remedy}`]),
    ...commands.map((command) => `run: ${command}`),
    ...refuted.map((one) => `ruled out: ${one.code}: ${one.because}`),
  ]);
}
