import { readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { createSilentLog } from '../../shared/log.ts';
import { createRest, only } from '../coordinator/rig.ts';
import { startServe } from '../stories/served.ts';
import { percentile } from './statistics.ts';

/**
 * Many at once on one coordinator and one agent: 200 clients that ask without a pause, 1,000 streams of one drill whose
 * objects change all the time, half of them never read. `npm run bench:load` does it for 60 s.
 */
const seconds = Number(process.env.XIDRILL_LOAD_SECONDS ?? 3);
const clients = 200;
const streams = 1_000;
const tails = 100;
const mostStreams = 2_000;
/** Beside a heap that may not grow: without the limit Node takes what the machine has before it collects. */
const heap = '--max-old-space-size=256';
const mostMiB = 150;

t.test('no request is lost, and memory is bounded', async (t) => {
  const served = await startServe(t, ['--speed', '20'], [heap]);
  const rest = createRest(served.rest);
  const agentUrl = served.agents['gpu-1'] ?? '';
  const cluster = createClusterClient({
    kubeconfig: { path: served.kubeconfig },
    userAgent: 'load',
    fieldManager: 'load',
    log: createSilentLog(),
  });
  const name = 'followed';
  // Far longer than the load: it is aborted at the end.
  await rest.create({
    name,
    fault: { name: 'xid', parameters: { xid: 43 } },
    target: only('gpu-1'),
    expectation: { none: true, for: '1h' },
  });
  const before = residentMiB(served.pid);

  const path = `/api/v1/experiments/${name}/events`;
  const quick = await Promise.all(
    Array.from({ length: streams / 2 }, () => openStream(`${served.rest}${path}`)),
  );
  const lasts = quick.map(lastOf);
  const slow = await Promise.all(
    Array.from({ length: streams / 2 }, () => openWithoutReading(served.rest, path)),
  );
  const tailed = await Promise.all(Array.from({ length: tails }, () => tail(agentUrl)));
  const refused = tailed.filter(({ statusCode }) => statusCode === 429);
  t.equal(tailed.length - refused.length, 32, 'an agent opens so many');
  t.ok(refused.every(({ headers }) => Number(headers['retry-after']) > 0));

  const more = await Promise.all(
    Array.from({ length: mostStreams - streams }, () => openStream(`${served.rest}${path}`)),
  );
  const oneMore = await openStream(`${served.rest}${path}`);
  t.equal(oneMore.statusCode, 429, 'a coordinator opens so many');
  t.match(await lastOf(oneMore), /"code":"too_many_streams"/);
  for (const answer of more) answer.destroy();

  const until = Date.now() + seconds * 1000;
  const statuses = new Map<string, number>();
  const tookMs: number[] = [];
  let most = before;
  const ask = async (agent: Agent, index: number) => {
    const urls = [
      `${served.rest}/api/v1/nodes`,
      `${served.rest}/api/v1/experiments/${name}`,
      `${served.rest}/api/v1/faults/xid`,
      `${agentUrl}/healthz`,
    ];
    for (let turn = index; Date.now() < until; turn += 1) {
      const began = performance.now();
      const status = await statusOf(agent, urls[turn % urls.length] ?? '');
      tookMs.push(performance.now() - began);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  const change = async () => {
    for (let turn = 0; Date.now() < until; turn += 1) {
      await cluster.patch(
        'experiments',
        { name, namespace: 'xidrill' },
        { metadata: { annotations: { turn: `${turn}` } } },
      );
      most = Math.max(most, residentMiB(served.pid));
      await sleep(200);
    }
  };
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  await Promise.all([change(), ...Array.from({ length: clients }, (_, index) => ask(agent, index))]);
  agent.destroy();

  t.same([...statuses.keys()], ['200'], `each of ${tookMs.length} requests is answered`);
  t.equal((await rest.ask('POST', `/api/v1/experiments/${name}/abort`, {})).status, 202);
  await rest.ended(name);
  const texts = await Promise.all(lasts);
  t.ok(
    texts.every((text) => text.endsWith(`event: end\ndata: {"name":"${name}"}\n\n`)),
    'who reads gets the end',
  );
  const late = await Promise.all(slow.map(readToEnd));
  t.ok(
    late.every((text) => text.includes('event: end')),
    'who reads late too',
  );
  const missed = Math.max(...late.map((text) => text.split('event: experiment').length - 1));
  for (const answer of tailed) answer.destroy();
  process.stderr.write(
    `${tookMs.length} requests in ${seconds} s, p50 ${Math.round(percentile(tookMs, 50))} ms, p99 ${Math.round(percentile(tookMs, 99))} ms; ` +
      `${before} MiB before, ${most} MiB at most; a late reader gets ${missed} states of the experiment at most\n`,
  );
  t.ok(most - before < mostMiB, `${most - before} MiB more than before`);
});

function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kib) / 1024);
}

async function statusOf(agent: Agent, url: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(url, { agent }, (answer) => {
      answer.resume().once('end', () => resolve(String(answer.statusCode)));
      answer.once('error', (error) => resolve(error.message));
    });
    asked.once('error', (error) => resolve(error.message));
    asked.end();
  });
}

function openStream(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, resolve).once('error', reject).end();
  });
}

/** The last part of what comes, and no more of it. */
async function lastOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer) text = `${text}${String(chunk)}`.slice(-2000);
  return text;
}

function tail(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/xidrill.agent.v1.AgentService/TailKernelLog`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    });
    asked.once('response', resolve).once('error', reject);
    asked.end('{}');
  });
}

/** Its receive buffer fills, and the sender's after it. */
function openWithoutReading(url: string, path: string): Promise<Socket> {
  const { hostname, port, host } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.pause();
      socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      resolve(socket);
    });
  });
}

async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}
