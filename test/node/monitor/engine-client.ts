import { createConnection } from 'node:net';
import { createHostEngine, type HostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import type { EngineGpuOptions } from '../../../coordinator/rehearsal/host-engine/readings.ts';
import type { Clock } from '../../../shared/clock.ts';

type Injected = {
  readonly gpu: number;
  readonly field: number;
  readonly value: string;
  readonly time: number;
};
type Facts = {
  readonly version: string;
  readonly gpus: readonly EngineGpuOptions[];
  readonly started: string;
};

const everyMs = 500;

/**
 * The engine that answers at an address, for the simulated monitoring agent: the stand-in (test/agent/dcgm/stub) keeps
 * values and knows no policies, so that what is injected there is injected again into a simulated engine with its GPUs. Another
 * process there is another engine, without what the one before it held; none is none.
 */
export function createEngineClient(
  port: number,
  clock: Clock,
): { readonly engine: () => HostEngine | undefined } {
  let engine: HostEngine | undefined;
  let life = '';
  let seen = 0;

  async function look(): Promise<void> {
    const facts = (await ask(port, { ask: 'facts' })) as Facts;
    if (engine === undefined || facts.started !== life) {
      engine?.kill();
      engine = announced(createHostEngine({ clock, version: facts.version, gpus: facts.gpus, pid: 1 }), port);
      life = facts.started;
      seen = 0;
    }
    const injected = (await ask(port, { ask: 'injected' })) as readonly Injected[];
    for (const { gpu, field, value, time } of injected.slice(seen))
      engine.inject({ gpuId: gpu, fieldId: field, value: Number(value), text: value, stampMs: time * 1000 });
    seen = injected.length;
  }

  async function follow(): Promise<never> {
    for (;;) {
      await look().catch(() => {
        engine?.kill();
        engine = undefined;
      });
      await clock.sleep(everyMs);
    }
  }
  void follow();
  return { engine: () => engine };
}

/** The stand-in shows the watchers of a monitoring agent from when that has connected, so that whoever looks finds a listener. */
function announced(engine: HostEngine, port: number): HostEngine {
  return {
    ...engine,
    connect(name) {
      const connection = engine.connect(name);
      ask(port, { ask: 'nma', connected: true }).catch(() => engine.kill());
      return connection;
    },
  };
}

/** One question and its answer, a line of JSON each. */
function ask(port: number, question: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port, timeout: 5000 });
    let text = '';
    socket.once('timeout', () => socket.destroy(new Error(`no answer from port ${port}`)));
    socket.once('error', reject);
    socket.once('connect', () => socket.write(`${JSON.stringify(question)}\n`));
    socket.on('data', (data) => {
      text += data;
    });
    socket.once('close', () => {
      try {
        resolve(JSON.parse(text));
      } catch (error) {
        reject(error);
      }
    });
  });
}
