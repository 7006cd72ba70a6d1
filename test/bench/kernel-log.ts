import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { connect } from 'node:net';
import type { Receipt } from '../../shared/schemas/receipt.ts';

export const kernelLog = '/dev/kmsg';

/** Milliseconds, one an injection. */
export type Latencies = {
  /** An order to the agent, to its receipt with the record in it. */
  readonly agent: number[];
  /** An answer of the agent to a GET that does nothing: what connection, HTTP and machine take of an order. */
  readonly nothing: number[];
  /** A shell that writes, and its record read by us from an open reader: the least that can be done by shell. */
  readonly shell: number[];
  /** A shell that writes and looks for its record with dmesg, as a script does. */
  readonly script: number[];
};

export type Counts = Readonly<Record<keyof Latencies, number>>;

const rounds = 20;
const warmUp: Counts = { agent: 1000, nothing: 200, shell: 20, script: 5 };

/**
 * One record at a time: the next begins when the one before has been read back. They take turns in short rounds,
 * so that whatever else the machine does meets them alike.
 */
export async function measureInjections(agentUrl: string, counts: Counts): Promise<Latencies> {
  const caller = await connectToAgent(agentUrl);
  const reader = openReader();
  const ways: Readonly<Record<keyof Latencies, (text: string) => Promise<void>>> = {
    agent: caller.inject,
    nothing: caller.doNothing,
    shell: async (text) => {
      reader.skip();
      await runShell(`echo "<6>${text}" > ${kernelLog}`);
      reader.expect(text);
    },
    script: (text) => runShell(`echo "<6>${text}" > ${kernelLog} && dmesg | grep -q "${text}"`),
  };
  const took: Latencies = { agent: [], nothing: [], shell: [], script: [] };
  let number = 0;

  async function takeTurns(times: Counts, keep: boolean): Promise<void> {
    for (const way of ['agent', 'nothing', 'shell', 'script'] as const) {
      for (let index = 0; index < times[way]; index += 1) {
        number += 1;
        const text = `xidrill bench ${process.pid} ${number} end`;
        const startedAt = performance.now();
        await ways[way](text);
        if (keep) took[way].push(performance.now() - startedAt);
      }
    }
  }

  try {
    await takeTurns(warmUp, false);
    const share = (way: keyof Latencies) => Math.ceil(counts[way] / rounds);
    const turn: Counts = {
      agent: share('agent'),
      nothing: share('nothing'),
      shell: share('shell'),
      script: share('script'),
    };
    for (let round = 0; round < rounds; round += 1) await takeTurns(turn, true);
  } finally {
    caller.close();
    reader.close();
  }
  return took;
}

/**
 * One kept connection. Not node:http: what that takes on this side of the connection would be a third of the result,
 * and nothing of it is the agent's.
 */
async function connectToAgent(url: string) {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname).setNoDelay(true).setEncoding('utf8');
  let received = '';
  let waiting: PromiseWithResolvers<string> | undefined;
  socket.on('data', (data) => {
    received += data;
    const head = received.indexOf('\r\n\r\n');
    if (head < 0) return;
    const [, length] = /^content-length: (\d+)$/im.exec(received.slice(0, head)) ?? [];
    const body = received.slice(head + 4);
    if (length === undefined) waiting?.reject(new Error(`an answer without a length: ${received}`));
    else if (body.length >= Number(length)) {
      const answer = received;
      received = '';
      waiting?.resolve(answer);
    }
  });
  socket.on('error', (cause) => waiting?.reject(cause));
  socket.on('close', () => waiting?.reject(new Error('the agent closed the connection')));
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));

  function ask(start: string, body = ''): Promise<string> {
    waiting = Promise.withResolvers<string>();
    socket.write(
      `${start} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    return waiting.promise;
  }

  return {
    async inject(text: string): Promise<void> {
      const path = '/xidrill.agent.v1.AgentService/WriteKernelMessage';
      const answer = await ask(`POST ${path}`, JSON.stringify({ level: 'info', text }));
      // A fast answer that proves nothing is no result.
      const receipt = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Partial<Receipt>;
      if (!JSON.stringify(receipt.surfaces?.[0]?.readBack ?? '').includes(text)) {
        throw new Error(`the agent did not answer with the record: ${answer}`);
      }
    },
    async doNothing(): Promise<void> {
      await ask('GET /healthz');
    },
    close: () => socket.destroy(),
  };
}

function runShell(command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command], { stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`sh -c '${command}' ended with ${code}`)),
    );
  });
}

function openReader() {
  const file = openSync(kernelLog, constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(8192);

  /** undefined: nothing more; empty where records were overwritten before they were read. */
  function next(): string | undefined {
    try {
      return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, null));
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return undefined;
      if (code === 'EPIPE') return '';
      throw thrown;
    }
  }

  return {
    skip() {
      while (next() !== undefined) {
        // what was there before is none of ours
      }
    },
    expect(text: string) {
      for (let record = next(); record !== undefined; record = next()) if (record.includes(text)) return;
      throw new Error(`"${text}" was written by a shell and did not come back`);
    },
    close: () => closeSync(file),
  };
}
