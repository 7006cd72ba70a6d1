import { stringify } from 'yaml';
import { customResourceDefinitions } from './crds.ts';

// kubectl and helm read YAML 1.1, where a bare `yes` is true: such strings are quoted.
// Whole descriptions on one line each: kubectl does not mind, and a diff of two versions stays readable.
const documents = customResourceDefinitions().map((definition) =>
  stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' }),
);
process.stdout.write(documents.join('---\n'));
