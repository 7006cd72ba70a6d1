import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import type { RouteDoc } from '../../shared/http/openapi/route.ts';
import { ExperimentName } from '../store/experiment.ts';
import type { Store } from '../store/store.ts';
import { experimentReport } from './build.ts';
import { registerCoverageRoute } from './coverage-route.ts';
import { type ReportFormat, renderReport, reportFormats, reportTypes } from './formats.ts';
import { reportPolicy } from './html.ts';
import { ExperimentReport } from './model.ts';

const Params = Type.Object(
  { name: Type.String({ ...ExperimentName, maxLength: 63, description: 'of an experiment' }) },
  { additionalProperties: false },
);

const Query = Type.Object(
  {
    format: Type.Optional(
      Type.Enum([...reportFormats], {
        description: 'absent: what the header Accept asks for (RFC 9110), json where it takes anything',
      }),
    ),
  },
  { additionalProperties: false },
);

/** What the OpenAPI document says of the route. */
const reportDoc: RouteDoc = {
  id: 'getReport',
  tag: 'experiments',
  summary: 'Everything about an experiment as a file: JSON, JUnit XML, Markdown or HTML',
  description:
    'The same bytes for the same experiment. HTML is one file without script and network. An experiment that has not ended is shown as it stands.',
  answers: {
    200: {
      description: 'The report',
      schema: ExperimentReport,
      others: {
        'application/xml': Type.String(),
        'text/markdown': Type.String(),
        'text/html': Type.String(),
      },
      headers: { 'content-disposition': 'a name for the file' },
    },
  },
  reasons: ['cluster_unreachable', 'experiment_unknown', 'not_acceptable'],
};

const extensions: Readonly<Record<ReportFormat, string>> = {
  json: 'json',
  junit: 'xml',
  markdown: 'md',
  html: 'html',
};

/** Adds `/api/v1/experiments/{name}/report` and `/api/v1/coverage`. */
export function registerReportRoutes(
  app: FastifyInstance,
  deps: Parameters<typeof registerCoverageRoute>[1],
): void {
  registerReportRoute(app, deps);
  registerCoverageRoute(app, deps);
}

function registerReportRoute(app: FastifyInstance, { store }: { readonly store: Store }): void {
  app.get<{
    Params: Static<typeof Params>;
    Querystring: Static<typeof Query>;
  }>(
    '/api/v1/experiments/:name/report',
    {
      config: {
        access: { resource: 'experiments', namespace: store.namespace, nameFrom: 'name', verb: 'get' },
        doc: reportDoc,
      },
      schema: { params: Params, querystring: Query },
    },
    async ({ params: { name }, query, headers }, reply) => {
      const format = query.format ?? acceptedFormat(headers.accept);
      const experiment = await store.requireExperiment(name);
      const report = experimentReport(experiment, await store.listInjections(name));
      return reply
        .type(reportTypes[format])
        .header('cache-control', 'no-cache')
        .header('x-content-type-options', 'nosniff')
        .header('content-security-policy', `${reportPolicy}; frame-ancestors 'none'`)
        .header('referrer-policy', 'no-referrer')
        .header('content-disposition', `inline; filename="${name}.${extensions[format]}"`)
        .send(renderReport(report, format));
    },
  );
}

/** The formats in the order of our preference, each with its media type. */
const offered = (['json', 'html', 'markdown', 'junit'] as const).map((format) => ({
  format,
  type: reportTypes[format].split(';')[0] ?? '',
}));

/** By RFC 9110, 12.5.1: the highest weight, and of several ranges that fit the most specific one. Refuses with `not_acceptable`. */
export function acceptedFormat(accept: string | undefined): ReportFormat {
  if (accept === undefined || accept.trim() === '') return 'json';
  const ranges = accept.split(',').map((part) => {
    const [range = '', ...parameters] = part.split(';').map((one) => one.trim().toLowerCase());
    const weight = parameters.find((one) => one.startsWith('q='));
    return { range, weight: weight === undefined ? 1 : Number(weight.slice(2)) };
  });
  const weighed = offered.map(({ format, type }) => {
    const fitting = [type, `${type.split('/')[0]}/*`, '*/*'].flatMap(
      (one) => ranges.find(({ range }) => range === one) ?? [],
    );
    return { format, weight: fitting[0]?.weight ?? 0 };
  });
  const best = weighed.toSorted((left, right) => right.weight - left.weight)[0];
  if (best !== undefined && best.weight > 0) return best.format;
  throw new Refusal('not_acceptable', `header accept: ${accept} takes none of the forms of a report`, {
    field: 'accept',
    value: accept,
    allowed: offered.map(({ type }) => type),
    remedy: `or ask for ?format=${reportFormats.join('|')}`,
  });
}
