import type { Finding } from '../finding.ts';
import type { DeedOf, Place } from '../piece.ts';
import { say, type World } from './say.ts';

const listeners = [
  'dcgmi fieldgroup -l   # NMA’s engine has a field group "watch" with fields 112, 856, 857',
  'dcgmi test --introspect --gpuid 0 -f 230   # "Number of Watchers" is above 0 where NMA listens',
];

/** Whether the engine that took the value is the one that NMA is connected to; `instead`: what to inject into the right one. */
export function explainPlace(
  deed: DeedOf<'inject'>,
  instead: string | undefined,
  world: World,
): readonly Finding[] {
  const { place } = deed;
  const again = instead === undefined ? [] : [instead];
  const said = world.deeds.find((one) => one.is === 'injected-said');
  const lines = said === undefined ? [] : [said];
  const own = world.deeds.findLast(
    (one): one is DeedOf<'start-engine'> => one.is === 'start-engine' && one.line <= deed.line,
  );
  const isOwn = own !== undefined && place?.engine !== 'nma' && place?.engine !== 'dcgm-exporter';
  const did = 'Wrote into the memory of one host engine; engines share nothing with each other.';
  const facts = [
    {
      source: 'NVIDIA/DCGM issues 124, 203, 212',
      observed: 'an injected value is in the cache of that engine only',
    },
    {
      source: 'aws/eks-node-monitoring-agent charts, dcgm-server',
      observed: 'NMA connects to DCGM_ADDRESS, by default localhost:5555, where dcgm-server has its hostPort',
    },
  ];
  if (isOwn)
    return [
      say(deed, {
        code: 'wrong-engine',
        result: 'broken',
        ...(own.port === '5555' && deed.options.host === undefined ? { certainty: 'likely' as const } : {}),
        did,
        summary:
          'This nv-hostengine was started by hand: NMA has no connection to it, and no listener there takes the value. NMA’s engine is the process nv-hostengine in the dcgm-server pod of the node.',
        lines: [own, ...lines],
        facts,
        seenBy: [{ who: 'NMA', sees: false, because: 'it is a client of dcgm-server’s engine' }],
        commands: [...again, ...listeners],
        missing: 'who is connected to that engine: the two last commands, run beside it',
      }),
    ];
  if (place === undefined || place.engine === 'unknown' || place.engine === 'node')
    return [notKnown(deed, place, again)];
  if (place.engine === 'nma') return [];
  const who = place.engine === 'dcgm-exporter' ? 'dcgm-exporter' : 'the GPU Operator';
  return [
    say(deed, {
      code: 'wrong-engine',
      result: 'broken',
      certainty: 'likely',
      did,
      summary: `In ${who}’s pod localhost is the engine of ${who}, which NMA is not connected to. NMA’s engine is the process nv-hostengine in the dcgm-server pod of the node.`,
      lines: [...(place.line === deed.line ? [] : [place]), ...lines],
      facts: [
        ...facts,
        {
          source: 'NVIDIA/dcgm-exporter',
          observed:
            'runs an engine of its own (embedded), unless it is started with --remote-hostengine-info',
        },
      ],
      seenBy: [
        { who: 'NMA', sees: false, because: 'it is a client of dcgm-server’s engine' },
        { who, sees: null, because: 'only if it reads this field from the engine that took it' },
      ],
      commands: [...again, ...listeners],
      missing:
        'who is connected to that engine: the two last commands, run in the same pod; and DCGM_ADDRESS of NMA’s pod',
    }),
  ];
}

function notKnown(deed: DeedOf<'inject'>, place: Place | undefined, again: readonly string[]): Finding {
  const where =
    place === undefined
      ? 'The text does not say where this ran'
      : `It ran in ${place.target}, and whose engine answers on localhost:5555 there is not known`;
  return say(deed, {
    code: 'engine-not-known',
    result: 'open',
    certainty: 'likely',
    did: 'Wrote into the memory of one host engine; engines share nothing with each other.',
    summary: `${where}: NMA notices only what is in the engine that it is connected to, the one in the dcgm-server pod of the node.`,
    ...(place === undefined || place.line === deed.line ? {} : { lines: [place] }),
    facts: [
      { source: 'NVIDIA/DCGM issue 124', observed: 'an injected value is in the cache of that engine only' },
    ],
    commands: [...again, ...listeners],
    missing: 'who is connected to that engine: the two last commands, run at the same place',
  });
}
