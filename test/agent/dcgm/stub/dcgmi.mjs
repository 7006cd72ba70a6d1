// A stand-in for dcgmi 4.6.0: the same texts on the same streams with the same exit codes, as they were recorded.
// Installed as an executable by ../stub.ts, which fills in the known fields.
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';

const fields = new Map(/* FIELDS */ [[230, { tag: 'xid_errors', type: 'int64' }]]);
const connectMs = 300; // the real one tries for 5 s
const codes = {
  [-1]: 'Bad parameter passed to function',
  [-16]: 'Field is not being watched',
};
const usage = [
  'Usage: ',
  '   dcgmi test --host <IP/FQDN> --introspect --gpuid <gpuId> -f <fieldId> ',
  '   dcgmi test --host <IP/FQDN> --inject --gpuid <gpuId> -f <fieldId> -v',
  '        <value> ',
  '   dcgmi test --pause ',
  '   dcgmi test --resume ',
  '',
  '',
  'For complete USAGE and HELP type: ',
  '   dcgmi test --help',
  '',
].join('\n');

const [subsystem = '', ...args] = process.argv.slice(2);
const option = (...names) => {
  const index = args.findIndex((argument) => names.includes(argument));
  return index < 0 ? undefined : args[index + 1];
};
const has = (...names) => args.some((argument) => names.includes(argument));
const host = option('--host') ?? 'localhost:5555';

const subsystems = { '--version': printVersion, '-v': printVersions, discovery, test, fieldgroup };
const run = subsystems[subsystem];
if (run === undefined) end(255, 'ERROR: Invalid subsystem.\n\n');
await run();

function printVersion() {
  end(0, '\ndcgmi  version: 4.6.0\n\n');
}

async function printVersions() {
  const block = (version) =>
    `Version : ${version}\nBuild ID : 0\nBuild Date : 2026-01-01\nBuild Type : Release\nCommit ID : 0\n` +
    'Branch Name : rel_dcgm_4_6\nCPU Arch : x86_64\nBuild Platform : Linux\nCRC : 0\n\n';
  const engine = await ask({ ask: 'facts' }, true);
  if (engine === undefined) end(0, '');
  end(0, `Local build info:\n${block('4.6.0')}\nHostengine build info:\n${block(engine.version)}`);
}

async function discovery() {
  const { gpus, mode } = await ask({ ask: 'facts' });
  const rule = `+--------+${'-'.repeat(70)}+\n`;
  const row = (left, right) => `| ${left.padEnd(6)} | ${right.padEnd(68)} |\n`;
  const show = (text) => (mode === 'blinded' ? '<<<NULL>>>' : text);
  const table = (title, body) => rule + row(title, 'Device Information') + rule + (body === '' ? rule : body);
  const body = gpus.map(
    (gpu) =>
      row(String(gpu.id), `Name: ${show(gpu.name)}`) +
      row('', `PCI Bus ID: ${show(gpu.pci)}`) +
      row('', `Device UUID: ${show(gpu.uuid)}`) +
      rule,
  );
  const head = `${gpus.length} GPUs found (Active).\n${table('GPU ID', body.join(''))}`;
  // As in KempnerInstitute/kempnerpulse#15: the NvSwitch module is on the engine's deny list.
  if (mode === 'denylist') {
    const answer = 'This request is serviced by a module of DCGM that is not currently loaded';
    return end(223, `${head}Error: Cannot get NvSwitch list from remote node. Return: ${answer}\n`);
  }
  const flood = mode === 'flood' ? 'x'.repeat(99).concat('\n').repeat(2048) : '';
  end(
    0,
    `${gpus.length} GPU${gpus.length === 1 ? '' : 's'} found (Active).\n${table('GPU ID', body.join(''))}` +
      '0 NvSwitches found.\n+-----------+\n| Switch ID |\n+-----------+\n+-----------+\n' +
      '0 ConnectX found.\n+----------+\n| ConnectX |\n+----------+\n+----------+\n' +
      `0 CPUs found.\n${table('CPU ID', '')}\n${flood}`,
  );
}

async function fieldgroup() {
  const { groups } = await ask({ ask: 'facts' });
  const count = `${groups.length} field group${groups.length === 1 ? ' ' : 's '}found.\n`;
  end(0, count + groups.map(has('-j') ? jsonOfGroup : tableOfGroup).join(''));
}

function jsonOfGroup(group) {
  const body = { 'Field IDs': { value: group.fields.join(', ') }, ID: { value: String(group.id) } };
  return `${JSON.stringify({ body: { ...body, Name: { value: group.name } }, header: ['FIELD GROUPS'] }, null, 8)}\n`;
}

function tableOfGroup(group) {
  const line = (char) => `+${char.repeat(19)}+${char.repeat(58)}+\n`;
  const row = (left, right) => `| ${left.padEnd(17)} | ${right.padEnd(56)} |\n`;
  const list = group.fields.map((field, index) => field + (index < group.fields.length - 1 ? ', ' : ''));
  const chunks = [
    list.slice(0, 11),
    ...Array.from({ length: 20 }, (_, n) => list.slice(11 + n * 10, 21 + n * 10)),
  ];
  const [first = '', ...more] = chunks.map((chunk) => chunk.join('')).filter(Boolean);
  const rows = row('ID', String(group.id)) + row('Name', group.name) + row('Field IDs', first);
  const rest = more.map((chunk) => row('', chunk)).join('');
  return `${line('-')}| ${'FIELD GROUPS'.padEnd(77)}|\n${line('=')}${rows}${rest}${line('-')}`;
}

async function test() {
  if (!has('--inject', '--introspect', '--pause', '--resume')) {
    const what =
      'PARSE ERROR:  \n             Required argument missing: {introspect | inject | pause | resume}\n';
    end(1, '', `${what}\n${usage}`);
  }
  // The default is 1, not 0, in every version.
  const gpu = option('--gpuid') ?? '1';
  if (!/^-?\d+$/.test(gpu)) {
    const what = `PARSE ERROR: Argument: (--gpuid)\n             Couldn't read argument value from string '${gpu}'\n`;
    end(1, '', `${what}\n${usage}`);
  }
  const offset = Number(option('--offset') ?? 1);
  if (Number(gpu) < 0)
    end(254, '', parseFailure('Error: Positive value expected, negative value found for arg gpuid.'));
  if (offset < 0)
    end(254, '', parseFailure('Error: Positive value expected, negative value found for arg offset.'));
  const field = option('-f', '--field');
  if (field === undefined) {
    end(254, '', parseFailure('Error: The --field argument is required for --inject and --introspect.'));
  }
  if (has('--inject')) await inject(Number(gpu), Number.parseInt(field, 10) || 0, offset);
  else await introspect(Number(gpu), Number.parseInt(field, 10) || 0);
}

async function inject(gpu, field, offset) {
  if (has('-g', '--group')) {
    end(254, '', parseFailure('Error: Injection can only be specified for a single GPU.'));
  }
  const value = option('-v', '--value');
  if (value === undefined) {
    end(254, '', parseFailure('Error: The -v/--value argument is required for --inject.'));
  }
  if (fields.get(field)?.type === 'binary') {
    end(
      250,
      `Field types of DCGM_FT_BINARY cannot be injected.\nError: Unable to parse value '${value}' Return: Feature not supported\n`,
    );
  }
  const time = Math.floor(Date.now() / 1000) + offset;
  const answer = await ask({ ask: 'inject', gpu, field, value, time });
  const code = fields.has(field) ? answer.code : -1;
  if (code === 0) end(0, 'Successfully injected field info.\n');
  end(code & 255, `Error: Unable to inject info. Return: ${codes[code]}\n`);
}

async function introspect(gpu, field) {
  const answer = await ask({ ask: 'introspect', gpu, field });
  const code = fields.has(field) ? answer.code : -1;
  if (code !== 0) {
    end(code & 255, `Error: Unable to get field info for entity ID: ${gpu}. Return: ${codes[code]}\n`);
  }
  const { times, watchers, interval, maxAge } = answer.entry;
  const line = (label, value) => ` ${label.padEnd(25)} : ${String(value).padEnd(46)} \n`;
  end(
    0,
    line('Field ID', fields.get(field).tag) +
      line('Flags', watchers > 0 ? 1 : 0) +
      line('Last Status', 0) +
      line('Number of Samples', times.length) +
      line('Newest Timestamp', ctime(times.at(-1) ?? 0)) +
      line('Oldest Timestamp', ctime(times[0] ?? 0)) +
      line('Monitor Interval (ms)', interval) +
      line('Max Age (sec)', maxAge) +
      line('Fetch Count', 0) +
      line('Total Fetch Usec', 0) +
      line('Usec Per Fetch', 0) +
      line('Number of Watchers', watchers) +
      '\n',
  );
}

/** As ctime() writes it, in the time zone of the environment. */
function ctime(seconds) {
  const [day, month, date, year, time] = new Date(seconds * 1000).toString().split(' ');
  return `${day} ${month} ${date.replace(/^0/, ' ')} ${time} ${year}`;
}

function parseFailure(text) {
  return `${text}\nAn error occurred trying to parse the command line.\n`;
}

async function ask(request, silent = false) {
  const path = /^unix:\/\/(.*)$/.exec(host)?.[1];
  const [name, port = '5555'] = host.split(':');
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect(path === undefined ? { host: name, port: Number(port) } : { path });
      let text = '';
      socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('end', () =>
        text === '' ? reject(new Error('the engine ended')) : resolve(JSON.parse(text)),
      );
      socket.on('error', reject);
    });
  } catch {
    await new Promise((resolve) => setTimeout(resolve, connectMs));
    if (silent) return undefined;
    end(
      235,
      `Error: unable to establish a connection to the specified host: ${host}\n` +
        'Error: Unable to connect to host engine. Host engine connection invalid/disconnected.\n',
    );
  }
}

/** Writes past the stream objects of Node, whose writes to a terminal may still be under way at the exit. */
function end(code, out, err = '') {
  writeFileSync(2, err);
  writeFileSync(1, out);
  process.exit(code);
}
