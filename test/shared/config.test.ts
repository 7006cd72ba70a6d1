import t from 'tap';
import { checkListenAddress, isLoopback, parseListenAddress, readConfig } from '../../shared/config.ts';

const table = {
  name: { kind: 'text', env: 'NAME', required: true, value: 'NAME', help: 'what it is called' },
  listen: { kind: 'text', default: '127.0.0.1:1', check: checkListenAddress, help: 'where to serve' },
  seconds: {
    kind: 'number',
    env: 'SECONDS',
    default: 30,
    check: (text: string) => (Number(text) < 1 ? 'at least 1' : undefined),
    help: 'how long',
  },
  arm: { kind: 'switch', env: 'ARM', help: 'really' },
  agent: { kind: 'list', env: 'AGENTS', help: 'who' },
  optional: { kind: 'text', help: 'may be missing' },
} as const;

const none = { listen: '127.0.0.1:1', seconds: 30, arm: false, agent: [], optional: undefined };

t.test('flags, environment and defaults, in this order', (t) => {
  const rows = [
    [['--name', 'a'], {}, { ...none, name: 'a' }],
    [['--name=a'], { NAME: 'b' }, { ...none, name: 'a' }],
    [
      [],
      { NAME: 'b', SECONDS: '5', ARM: '1', AGENTS: 'x,,y' },
      { ...none, name: 'b', seconds: 5, arm: true, agent: ['x', 'y'] },
    ],
    [['--agent', 'p', '--agent=q'], { NAME: 'b', AGENTS: 'x' }, { ...none, name: 'b', agent: ['p', 'q'] }],
    [['--arm=false'], { NAME: 'b', ARM: 'true' }, { ...none, name: 'b' }],
    [['--arm'], { NAME: 'b', ARM: 'False' }, { ...none, name: 'b', arm: true }],
    [['--seconds', '2.5', '--name=--arm'], {}, { ...none, name: '--arm', seconds: 2.5 }],
    [['--name', '-'], { SECONDS: '' }, { ...none, name: '-' }],
  ] as const;
  for (const [argv, env, config] of rows)
    t.same(readConfig('it', table, argv, env), { config }, argv.join(' '));
  const read = readConfig('it', table, ['--name', 'a'], {});
  t.ok('config' in read && Object.isFrozen(read.config));
  t.end();
});

t.test('everything wrong is reported, each with its flag', (t) => {
  const rows: readonly (readonly [
    readonly string[],
    Record<string, string>,
    readonly (string | RegExp)[],
  ])[] = [
    [[], {}, ['--name: required (what it is called)']],
    [['--name'], {}, ['--name: needs a value (NAME)', /^--name: required/]],
    [['--name', '--arm'], {}, ['--name: needs a value (NAME)', /^--name: required/]],
    [
      ['--name=a', '--listen', 'x', '--seconds', 'soon'],
      {},
      ['--listen: "x": not HOST:PORT, such as 127.0.0.1:9475', '--seconds: "soon": not a number'],
    ],
    [['--name=a', '--seconds', '0'], {}, ['--seconds: "0": at least 1']],
    [['--name=a', '--seconds='], {}, ['--seconds: "": not a number']],
    [
      ['--name=a', 'b', '-x'],
      {},
      ['"b" is no option; options start with --', /^--x: no such option; allowed: --name --listen/],
    ],
    [['--name=a', '--arm=perhaps'], {}, ['--arm: a switch, not "perhaps"']],
    [['--name=a'], { ARM: 'yes' }, ['--arm (ARM): "yes": true or false']],
    [['--name=a'], { ARM: 'constructor' }, ['--arm (ARM): "constructor": true or false']],
    [
      ['--name=a', '--constructor=b', '--__proto__=c'],
      {},
      [/^--constructor: no such/, /^--__proto__: no such/],
    ],
    [['--name=a', '--no-arm'], {}, [/^--no-arm: no such option/]],
    [['--name='], {}, ['--name: "": empty; leave the option out, or give it a value']],
  ];
  for (const [argv, env, faults] of rows) {
    const outcome = readConfig('it', table, argv, env);
    t.match('faults' in outcome ? outcome.faults : [], faults, argv.join(' '));
    t.equal('faults' in outcome && outcome.faults.length, faults.length, 'and nothing else');
  }
  t.end();
});

t.test('help lists every option with its default and its variable', (t) => {
  const outcome = readConfig('it', table, ['--help', '--nonsense'], {});
  t.notOk('config' in outcome || 'faults' in outcome);
  const { help } = outcome as { help: string };
  for (const name of Object.keys(table)) t.match(help, new RegExp(`^  --${name}`, 'm'));
  t.match(help, /^usage: it \[options\]$/m);
  t.match(help, /--seconds VALUE +how long \(default 30; environment SECONDS\)/);
  t.match(help, /--agent VALUE +who \(may be repeated; environment AGENTS\)/);
  t.end();
});

t.test('addresses to listen on', (t) => {
  const rows = [
    ['127.0.0.1:9475', { host: '127.0.0.1', port: 9475 }, true],
    ['localhost:0', { host: 'localhost', port: 0 }, true],
    ['[::1]:9475', { host: '::1', port: 9475 }, true],
    ['127.8.9.1:1', { host: '127.8.9.1', port: 1 }, true],
    ['0.0.0.0:9475', { host: '0.0.0.0', port: 9475 }, false],
    ['[::]:9475', { host: '::', port: 9475 }, false],
    ['127.0.0.1.example.com:1', { host: '127.0.0.1.example.com', port: 1 }, false],
    ['localhost.example.com:1', { host: 'localhost.example.com', port: 1 }, false],
  ] as const;
  for (const [text, address, loopback] of rows) {
    t.same(parseListenAddress(text), address, text);
    t.equal(isLoopback(address.host), loopback, `${text}: loopback ${loopback}`);
  }
  for (const text of [
    '',
    '9475',
    ':9475',
    '::1:9475',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    'a b:1x',
  ]) {
    t.equal(parseListenAddress(text), undefined, JSON.stringify(text));
    t.match(checkListenAddress(text), /HOST:PORT/);
  }
  t.end();
});
