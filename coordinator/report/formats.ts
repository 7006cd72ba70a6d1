import { printable } from '../../shared/printable.ts';
import { renderHtmlReport } from './html.ts';
import { renderJunit } from './junit.ts';
import { renderMarkdownReport } from './markdown.ts';
import type { Report } from './model.ts';

/** What a report can be written as. */
export const reportFormats = ['json', 'junit', 'markdown', 'html'] as const;
/** One of `reportFormats`. */
export type ReportFormat = (typeof reportFormats)[number];

/** Media types, as an answer has them. RFC 7763 for Markdown. */
export const reportTypes = {
  json: 'application/json; charset=utf-8',
  junit: 'application/xml; charset=utf-8',
  markdown: 'text/markdown; charset=utf-8',
  html: 'text/html; charset=utf-8',
} as const satisfies Readonly<Record<ReportFormat, string>>;

const renderers: Readonly<Record<ReportFormat, (report: Report) => string>> = {
  // Inside a string of JSON an escape is the same string.
  json: (report) => `${printable(JSON.stringify(report, null, 2))}\n`,
  junit: renderJunit,
  markdown: renderMarkdownReport,
  html: renderHtmlReport,
};

/** The text of a report: the same bytes for the same report. */
export function renderReport(report: Report, format: ReportFormat): string {
  return renderers[format](report);
}
