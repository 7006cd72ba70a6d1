import t from 'tap';
import { createForkedNvml } from '../../agent/nvml/forked.ts';
import { createRealClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { nvmlContract } from '../contract/nvml.ts';

/** Without persistence mode each list initialises every GPU first. */
const timeoutMs = 60_000;

function start() {
  return createForkedNvml({ clock: createRealClock(), log: createSilentLog(), timeoutMs });
}

const probe = start();
const answer = await probe.list();
await probe.close();
const missing = answer.available ? false : `NVML is not usable here: ${answer.because}`;
const required = process.env.XIDRILL_REQUIRE_GPU === '1';

if (missing !== false && required) t.fail(missing);
t.test('NVML of the driver', { skip: missing }, (t) => nvmlContract(t, async () => ({ nvml: start() })));
