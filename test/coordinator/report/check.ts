import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { XmlDocument, type XmlElement, type XmlNode, XsdValidator } from 'libxml2-wasm';
import type { Test } from 'tap';
import { type ReportFormat, renderReport, reportFormats } from '../../../coordinator/report/formats.ts';
import { reportJsonSchema } from '../../../coordinator/report/json-schema.ts';
import type { Report } from '../../../coordinator/report/model.ts';

const xsd = XmlDocument.fromString(readFileSync(new URL('jenkins-junit-10.xsd', import.meta.url), 'utf8'));
const junit = XsdValidator.fromDoc(xsd);
const ajv = new Ajv2020({ strict: false, allErrors: true });
const isReport = ajv.compile(reportJsonSchema());

/** What is wrong with the text of a report; empty: it is a document of its format. */
export function faultOf(text: string, format: ReportFormat): string {
  try {
    switch (format) {
      case 'json':
        return isReport(JSON.parse(text)) ? '' : ajv.errorsText(isReport.errors);
      case 'junit': {
        const document = XmlDocument.fromString(text);
        try {
          junit.validate(document);
        } finally {
          document.dispose();
        }
        return '';
      }
      case 'html':
        // Written so that it is XML as well: a name that breaks out of its place leaves none.
        XmlDocument.fromString(text.replace('<!doctype html>', '')).dispose();
        return '';
      case 'markdown':
        return '';
    }
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

/** Names of all elements and of all attributes of an HTML report, each once, and where its links go. */
export function namesIn(html: string): {
  readonly elements: readonly string[];
  readonly attributes: readonly string[];
  readonly links: readonly string[];
} {
  const document = XmlDocument.fromString(html.replace('<!doctype html>', ''));
  try {
    const all = (path: string) => document.find(path) as readonly XmlNode[];
    const names = (path: string) =>
      [...new Set(all(path).map((node) => (node as XmlElement).name))].toSorted();
    return {
      elements: names('//*'),
      attributes: names('//@*'),
      links: all('//@href').map(({ content }) => content),
    };
  } finally {
    document.dispose();
  }
}

/** All formats of a report, each checked, and made twice. */
export function checked(t: Test, report: Report, what: string): Readonly<Record<ReportFormat, string>> {
  return Object.fromEntries(
    reportFormats.map((format) => {
      const text = renderReport(report, format);
      t.equal(faultOf(text, format), '', `${what}: ${format}`);
      t.equal(
        renderReport(structuredClone(report), format),
        text,
        `${what}: ${format}, the same bytes again`,
      );
      return [format, text];
    }),
  ) as Record<ReportFormat, string>;
}
