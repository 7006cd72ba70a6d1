import { createSchemaBook } from '../../shared/http/openapi/schemas.ts';
import { ExperimentReport, SuiteReport } from './model.ts';

/** The JSON Schema of the JSON form, of experiments and of suites. */
export function reportJsonSchema(): object {
  const book = createSchemaBook();
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    oneOf: [ExperimentReport, SuiteReport].map((schema) => book.shown(schema)),
    // Where the references of the OpenAPI document point to.
    components: { schemas: book.components() },
  };
}
