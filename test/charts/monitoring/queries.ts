import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { chart } from '../helm.ts';

/** A rule of files/alerts.yaml. */
export type AlertRule = {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};

/** One query with the labels that its texts name: `$labels.x` of an alert, `{{x}}` of a panel's legend. */
export type Query = { readonly where: string; readonly expr: string; readonly named: readonly string[] };

/** The groups of alerts as the chart hands them to Prometheus. */
export const alertGroups = parse(readFileSync(join(chart, 'files/alerts.yaml'), 'utf8')) as readonly {
  readonly name: string;
  readonly rules: readonly AlertRule[];
}[];

const namedIn = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name = '']) => name);

/** Every query of the alerts and of the dashboard, with Grafana's variables replaced by a duration. */
export function queries(): readonly Query[] {
  const alerts = alertGroups.flatMap(({ rules }) =>
    rules.map(({ alert, expr, annotations }) => ({
      where: alert,
      expr,
      named: Object.values(annotations).flatMap((text) => namedIn(text, /\$labels\.(\w+)/g)),
    })),
  );
  const { panels } = JSON.parse(readFileSync(join(chart, 'files/dashboard.json'), 'utf8')) as {
    readonly panels: readonly {
      readonly title: string;
      readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
    }[];
  };
  const shown = panels.flatMap(({ title, targets }) =>
    targets.map(({ expr, legendFormat }) => ({
      where: `panel ${title}`,
      expr: expr.replace(/\$__(range|rate_interval)\b/g, '5m'),
      named: namedIn(legendFormat, /\{\{(\w+)\}\}/g),
    })),
  );
  return [...alerts, ...shown];
}

/** What a query asks of the scraped series: a metric, its matchers, the labels it groups by, and whether it takes an increase. */
export type Asked = {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly op: string; readonly value: string }[];
  readonly by: readonly string[];
  readonly isIncrease: boolean;
};

/** The selectors of a query; throws where it is no PromQL, or uses what this reading does not know. */
export function askedBy(expr: string): readonly Asked[] {
  const text = ({ from, to }: { readonly from: number; readonly to: number }) => expr.slice(from, to);
  const tree = parser.parse(expr);
  const asked: Asked[] = [];
  tree.iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expr}`);
      if (['Without', 'On', 'Ignoring', 'OffsetExpr', 'SubqueryExpr'].includes(node.name))
        throw new Error(`this test does not read ${node.name}: ${expr}`);
      if (node.name !== 'VectorSelector') return;
      const by: string[] = [];
      let isIncrease = false;
      for (let outer = node.node.parent; outer !== null; outer = outer.parent) {
        const called = outer.name === 'FunctionCall' ? outer.getChild('FunctionIdentifier') : null;
        if (called !== null && /^(rate|irate|increase)$/.test(text(called))) isIncrease = true;
        const grouping = outer.getChild('AggregateModifier')?.getChild('GroupingLabels');
        by.push(...(grouping?.getChildren('LabelName') ?? []).map(text));
      }
      const metric = node.node.getChild('Identifier');
      const matchers = node.node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      asked.push({
        metric: metric === null ? '' : text(metric),
        matchers: matchers.map((matcher) => {
          const part = (name: string) => {
            const found = matcher.getChild(name);
            if (found === null) throw new Error(`a matcher without ${name}: ${expr}`);
            return text(found);
          };
          return { label: part('LabelName'), op: part('MatchOp'), value: part('StringLiteral').slice(1, -1) };
        }),
        by,
        isIncrease,
      });
    },
  });
  return asked;
}
