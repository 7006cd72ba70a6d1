// Loaded into a drilled program by `node --expose-gc --import`: collects garbage every few seconds and notes what is left in the file
// that XIDRILL_SOAK_HEAP names, one JSON line each. What is left after a collection is what the program still refers to.
import { appendFileSync } from 'node:fs';

const { XIDRILL_SOAK_HEAP: file, XIDRILL_SOAK_HEAP_MS: everyMs = '5000' } = process.env;

function note() {
  globalThis.gc();
  const { heapUsed, external, rss, heapTotal } = process.memoryUsage();
  const liveMiB = (heapUsed + external) / 1024 / 1024;
  appendFileSync(
    file,
    `${JSON.stringify({ ageMs: performance.now(), liveMiB, rss, heapTotal, external })}\n`,
  );
}

// A child of the program inherits its options, and not the name of the file.
if (file !== undefined) setInterval(note, Number(everyMs)).unref();
