/** Fills the kernel log until it is killed: one open a record, because the rate limit counts per open file. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';

const text = process.argv[2] ?? 'xidrill flood';
for (let count = 0; ; count += 1) {
  const file = openSync('/dev/kmsg', constants.O_WRONLY);
  writeSync(file, `<7>${text}\n`);
  closeSync(file);
  if (count === 20) process.send?.('flooding');
}
