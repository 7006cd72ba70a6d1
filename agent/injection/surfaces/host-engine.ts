import { assertListened } from '../../../shared/engines/choose.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { HostEngineFacts } from '../../../shared/schemas/inventory.ts';
import { engineIdentity } from './dcgm.ts';
import type { OrderOnNode, SurfaceWriter } from './writer.ts';

/** Stops the process of a host engine for a while: its clients stay connected and get no answer. */
export const hostEngine: SurfaceWriter<'host-engine'> = ({ afterMs, forMs }, on) => {
  const { engineProcesses } = on;
  return {
    surface: 'host-engine',
    afterMs,
    undo: 'continues by itself at the end, on StopInjection, and when the agent stops or starts',
    async prepare() {
      const engine = await listened(on);
      const found = await engineProcesses.look(engine.pid);
      if (found === undefined || found.state.toUpperCase() === 'T')
        throw notPausable(engine.pid, found?.state);
      const identity = { pid: found.pid, startTime: found.startTime };
      const recovery = { kind: 'process', ...identity } as const;
      return {
        sustain: { forMs, everyMs: null, recovery, end: () => on.recover(recovery) },
        write: async () => ({
          written: `SIGSTOP to process ${identity.pid}, started ${identity.startTime} ticks after boot`,
          readBack: await engineProcesses.pause(identity),
          engine: engineIdentity(engine),
          notes: ['connections to it stay open and nothing answers'],
        }),
      };
    },
  };
};

/** Refuses an engine without a listener: nobody would notice that it stands still. */
async function listened({ dcgm, engine: choose, force }: OrderOnNode): Promise<HostEngineFacts> {
  const engine = await choose();
  if (!force && !engine.nma.listening) assertListened(engine, await dcgm.list());
  return engine;
}

function notPausable(pid: number, state: string | undefined): Refusal {
  if (state === undefined) {
    return new Refusal('engine_not_found', `process ${pid} of the host engine has ended`, { pid });
  }
  return new Refusal('engine_unreachable', `process ${pid} of the host engine is stopped already`, {
    pid,
    state,
    remedy: 'whoever stopped it has to continue it first; GetReceipt of an order shows whether we did',
  });
}
