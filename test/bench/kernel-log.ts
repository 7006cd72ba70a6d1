import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import http from 'node:http';
import type { Receipt } from '../../shared/schemas/receipt.ts';

export const kernelLog = '/dev/kmsg';

export type Latencies = {
  /** Milliseconds from the request to the receipt, one a request. */
  readonly agent: readonly number[];
  /** From the start of a shell that writes to its record, read by us. */
  readonly shell: readonly number[];
  /** The same, where a shell also reads back, with dmesg. */
  readonly shellOnly: readonly number[];
};

/**
 * Takes turns in short rounds, so that whatever else the machine does meets all of them alike. One record at a time:
 * the next begins when the one before has been read back.
 */
export async function measureInjections(
  agentUrl: string,
  counts: { readonly rounds: number; readonly agent: number; readonly shell: number; readonly shellOnly: number },
): Promise<Latencies> {
  const agent = agentCaller(agentUrl);
  const reader = openReader();
  const took: { agent: number[]; shell: number[]; shellOnly: number[] } = { agent: [], shell: [], shellOnly: [] };
  let number = 0;
  const repeat = async (times: number, into: number[], inject: (text: string) => Promise<void>) => {
    for (let index = 0; index < times; index += 1) {
      number += 1;
      const text = `xidrill bench ${process.pid} ${number}`;
      const startedAt = performance.now();
      await inject(text);
      into.push(performance.now() - startedAt);
    }
  };
  const byShell = async (text: string) => {
    reader.skip();
    await runShell(`echo "<6>${text}" > ${kernelLog}`);
    reader.expect(text);
  };
  const byShellOnly = (text: string) =>
    runShell(`echo "<6>${text}" > ${kernelLog} && dmesg | grep -qxF -- "${text}"`.replace('-qxF', '-qF'));
  try {
    await repeat(500, [], agent.inject);
    await repeat(20, [], byShell);
    for (let round = 0; round < counts.rounds; round += 1) {
      await repeat(counts.agent / counts.rounds, took.agent, agent.inject);
      await repeat(counts.shell / counts.rounds, took.shell, byShell);
      await repeat(counts.shellOnly / counts.rounds, took.shellOnly, byShellOnly);
    }
  } finally {
    agent.close();
    reader.close();
  }
  return took;
}

/** One kept connection, as an agent's caller has it. */
function agentCaller(url: string) {
  const connection = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const path = `${url}/xidrill.agent.v1.AgentService/WriteKernelMessage`;

  async function inject(text: string): Promise<void> {
    const body = JSON.stringify({ level: 'info', text });
    const { status, answer } = await post(path, body, connection);
    const receipt = JSON.parse(answer) as Partial<Receipt>;
    const record = receipt.surfaces?.[0]?.readBack;
    // A fast answer that proves nothing is no result.
    if (status !== 200 || !JSON.stringify(record ?? '').includes(text)) {
      throw new Error(`the agent did not answer with the record: ${status} ${answer}`);
    }
  }
  return { inject, close: () => connection.destroy() };
}

function post(url: string, body: string, agent: http.Agent): Promise<{ status: number; answer: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = http.request(url, { method: 'POST', agent, headers }, (response) => {
      let answer = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        answer += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, answer }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
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

  /** undefined: nothing more; '' where records were overwritten. */
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
