import { stringify } from 'yaml';
import { customResourceDefinitions } from './crds.ts';

// Whole descriptions on one line each: kubectl does not mind, and a diff of two versions stays readable.
const documents = customResourceDefinitions().map((definition) =>
  stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false }),
);
process.stdout.write(documents.join('---\n'));
