/**
 * Another writer of the kernel log, a hundred records whenever it is told to, until it is killed. It opens the log for
 * each, because the rate limit counts per open file. All at once it would turn the ring over under whoever else reads it.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';

const text = process.argv[2] ?? 'xidrill flood';
process.on('message', () => {
  for (let count = 0; count < 100; count += 1) {
    const file = openSync('/dev/kmsg', constants.O_WRONLY);
    writeSync(file, `<7>${text}\n`);
    closeSync(file);
    if (count === 20) process.send?.('writing');
  }
});
