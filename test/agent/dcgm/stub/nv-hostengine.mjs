// A stand-in for DCGM's host engine, for tests without a GPU. Installed as an executable by ../stub.ts.
//
// It holds the cache entries of its GPUs in memory and answers the stand-in of dcgmi over its real socket, one JSON
// line each way; what it answers is what DCGM 4.6.0 was recorded to answer.
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

// Node names its main thread, and /proc/PID/comm is what an engine is found by.
writeFileSync('/proc/self/comm', 'nv-hostengine');
// A test that is killed must not leave it behind; whoever runs longer says so, and sees to its end.
setTimeout(() => process.exit(3), Number(process.env.STUB_SECONDS ?? 110) * 1000).unref();

const args = process.argv.slice(2);
const option = (...names) => args[args.findIndex((argument) => names.includes(argument)) + 1];
const has = (...names) => args.some((argument) => names.includes(argument));

const state = {
  version: '4.6.0',
  mode: 'ok',
  gpus: [0, 1].map((id) => ({
    id,
    name: 'NVIDIA H100 80GB HBM3',
    pci: `00000000:0${1 + 3 * id}:00.0`,
    uuid: `GPU-00000000-feed-beef-cafe-00000000000${id}`,
  })),
  groups: [
    {
      id: 1,
      name: 'DCGM_INTERNAL_30SEC',
      fields: [124, 125, 126, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139],
    },
    { id: 2, name: 'DCGM_INTERNAL_HOURLY', fields: [117, 55, 56] },
    { id: 3, name: 'DCGM_INTERNAL_JOB', fields: [111, 65] },
  ],
  /** `gpu/field` → { times (seconds), watchers, interval (ms), maxAge (s) } */
  entries: {},
  /** Every injection, with the millisecond in which it came. */
  injected: [],
};

/** Differs between two processes, as what they hold does. */
const started = `${Date.now()} ${process.pid}`;

const answers = {
  configure(request) {
    Object.assign(state, request.set);
    return {};
  },
  /** What the node monitoring agent does when it connects, and what stays when it goes. */
  nma({ connected }) {
    state.groups = state.groups.filter((group) => group.name !== 'watch');
    if (connected) state.groups.push({ id: 4, name: 'watch', fields: [112, 856, 857, 170, 174] });
    for (const { id } of state.gpus) {
      for (const field of [112, 856, 857, 170, 174]) entry(id, field).watchers = connected ? 1 : 0;
      if (connected)
        for (const field of [230, 319]) Object.assign(entry(id, field), { watchers: 2, interval: 10_000 });
    }
    return {};
  },
  injected: () => state.injected,
  facts: () => ({
    started,
    mode: state.mode,
    version: state.version,
    gpus: state.gpus,
    groups: state.groups,
  }),
  inject({ gpu, field, value, time }) {
    if (!state.gpus.some(({ id }) => id === gpu)) return { code: -1 };
    const entered = { gpu, field, value, time, at: Date.now() };
    state.injected.push(entered);
    // Outlives this process, and can be read while it is paused.
    if (process.env.STUB_RECORD !== undefined)
      appendFileSync(process.env.STUB_RECORD, `${JSON.stringify(entered)}\n`);
    if (state.mode === 'lying') return { code: 0 };
    const found = entry(gpu, field);
    const newest = found.times.at(-1) ?? 0;
    // Without a watcher a sample is kept for 30 s, and the next one takes its place.
    if (found.watchers === 0 && time - newest > 30) found.times = [];
    found.times = [...found.times, time].toSorted((a, b) => a - b);
    return { code: 0 };
  },
  introspect({ gpu, field }) {
    const found = state.entries[`${gpu}/${field}`];
    return found === undefined ? { code: -16 } : { code: 0, entry: found };
  },
};

function entry(gpu, field) {
  state.entries[`${gpu}/${field}`] ??= { times: [], watchers: 0, interval: 0, maxAge: 30 };
  return state.entries[`${gpu}/${field}`];
}

// Where nobody can reach it to say so.
if (process.env.STUB_NMA === '1') answers.nma({ connected: true });

const server = createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (data) => {
    text += data;
    if (!text.endsWith('\n')) return;
    const request = JSON.parse(text);
    // A test can still talk to an engine that leaves its clients waiting.
    const isControl = ['configure', 'nma', 'injected'].includes(request.ask);
    if (state.mode === 'hang' && !isControl) return;
    if (state.mode === 'die' && !isControl) process.exit(1);
    socket.end(`${JSON.stringify(answers[request.ask](request))}\n`);
  });
});

if (has('-d', '--domain-socket')) {
  const path = option('-d', '--domain-socket');
  rmSync(path, { force: true });
  server.listen(path, ready);
} else {
  // As the monitoring agent's containers start it, for their hostPort; otherwise only loopback.
  const host =
    has('-b', '--bind-interface') && option('-b', '--bind-interface') === 'ALL' ? '0.0.0.0' : '127.0.0.1';
  server.listen(has('-p', '--port') ? Number(option('-p', '--port')) : 5555, host, ready);
}

function ready() {
  process.stdout.write(`ready ${server.address().port ?? ''}\n`);
}
