// Loaded into a drilled program by `node --import`: its wall clock is off by as many milliseconds as the file says
// that XIDRILL_SOAK_CLOCK names. Time that only grows (performance.now, timers) is left alone, as after a step by NTP.
import { readFileSync } from 'node:fs';

const RealDate = Date;
let offset = 0;
const now = () => RealDate.now() + offset;

function look() {
  try {
    offset = Number(readFileSync(process.env.XIDRILL_SOAK_CLOCK, 'utf8')) || 0;
  } catch {
    // Being written: the value before it goes on until the next look.
  }
}

look();
setInterval(look, 100).unref();
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [now()] : args, made),
  apply: () => new RealDate(now()).toString(),
  get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
});
