import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { faults, notOffered } from './catalogue.ts';
import { renderFaultPage } from './page.ts';

const page = fileURLToPath(new URL('./FAULTS.md', import.meta.url));
writeFileSync(page, renderFaultPage(faults, notOffered));
