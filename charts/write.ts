import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { withTables } from './readme.ts';

/** `npm run chart`: writes what in the chart is made from something else. */
const at = (path: string) => new URL(`xidrill/${path}`, import.meta.url);
const read = (path: string) => readFileSync(at(path), 'utf8');

const printer = new URL('../coordinator/store/print-crds.ts', import.meta.url).pathname;
writeFileSync(at('crds/crds.yaml'), execFileSync(process.execPath, [printer]));
writeFileSync(at('README.md'), withTables(read('README.md'), read('values.yaml'), read('files/rights.yaml')));
