import { createDcgm, type Dcgm } from '../../../agent/dcgm/client.ts';
import { createFakeDcgmi, createFakeEngineFinder } from '../../../coordinator/rehearsal/host-engine/dcgmi.ts';
import type { HostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import type { Clock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';

/** The agent's own DCGM code over simulated engines. */
export function dcgmOver(clock: Clock, ...simulated: readonly HostEngine[]): Dcgm {
  const engines = () => simulated;
  return createDcgm({
    finder: createFakeEngineFinder({ engines }),
    dcgmi: createFakeDcgmi({ clock, engines }),
    clock,
    log: createSilentLog(),
    keepMs: 0,
  });
}
