import type { Finding } from '../finding.ts';
import type { DcgmiAnswer, DeedOf } from '../piece.ts';
import { inEngine, type Said, say, type World } from './say.ts';

/** dcgmi without --inject. */
export function explainOtherDcgmi(deed: DeedOf<'dcgmi-other'>): readonly Finding[] {
  const row = others[deed.what];
  return row === undefined ? [] : [say(deed, row)];
}

const others: Readonly<Record<DeedOf<'dcgmi-other'>['what'], Said | undefined>> = {
  pause: {
    code: 'engine-paused',
    result: 'broken',
    did: 'Stopped all readings of this host engine and took the GPUs out of its active groups.',
    summary: 'Policies and health checks see nothing while the engine is paused, real faults included.',
    facts: [
      {
        source: 'NVIDIA/DCGM dcgmi test --pause',
        observed: 'disables the GPUs for every client of the engine',
      },
    ],
    commands: [inEngine('test --resume')],
  },
  dmon: {
    code: 'sample-overwritten',
    result: 'broken',
    certainty: 'likely',
    did: 'Watched a field once a second, which makes the engine read it for real.',
    summary:
      'A real reading overwrites an injected value of the same field at once, before NMA’s check can see it.',
    facts: [{ source: 'NVIDIA/DCGM dcgmi dmon', observed: 'adds a watch of 1 s and forces polls' }],
    commands: [inEngine('test --introspect --gpuid 0 -f FIELD')],
    missing: 'whether it was the injected field',
  },
  watch: {
    code: 'watches-only',
    result: 'open',
    did: 'Set what the engine watches for a group or client of one’s own.',
    summary:
      'NMA switches its own watches and policies on at its start; a group or health watch made by hand neither helps nor shows what NMA sees.',
    facts: [
      {
        source: 'aws/eks-node-monitoring-agent monitors/nvidia/dcgm/dcgm_client.go',
        observed: 'NMA registers seven policies and all health watches on all GPUs itself',
      },
    ],
    commands: [inEngine('health -g 0 -c'), inEngine('fieldgroup -l')],
  },
  introspect: undefined,
  look: undefined,
};

/** What dcgmi answered, beside its line of success. */
export function explainDcgmiSaid(deed: DeedOf<'dcgmi-said'>): readonly Finding[] {
  return [say(deed, answers[deed.what])];
}

const texts = 'NVIDIA/DCGM dcgmlib, errorString';

const answers: Readonly<Record<DcgmiAnswer, Said>> = {
  'bad-parameter': {
    code: 'inject-refused',
    result: 'broken',
    did: 'Nothing: the engine refused.',
    summary:
      'The engine has no GPU of this id, or does not know the field. Without --gpuid dcgmi takes GPU 1.',
    facts: [{ source: texts, observed: '-1: Bad parameter passed to function, exit code 255' }],
    commands: [inEngine('discovery -l')],
  },
  'no-engine': {
    code: 'no-host-engine',
    result: 'broken',
    did: 'Nothing: dcgmi found no host engine at this address.',
    summary:
      'No nv-hostengine listens there. One that a program has embedded, as in dcgm-exporter, has no socket and cannot be reached by dcgmi.',
    facts: [{ source: texts, observed: '-21: Host engine connection invalid/disconnected, exit code 235' }],
    commands: ['kubectl -n kube-system get pods -l k8s-app=dcgm-server -o wide', inEngine('discovery -l')],
  },
  'not-watched': {
    code: 'wrong-engine',
    result: 'broken',
    certainty: 'likely',
    did: 'Looked at a field that no client of this engine watches.',
    summary:
      'Where NMA is connected, fields 230 and 319 and those of its health checks are watched: this is not its engine, or NMA is not connected yet.',
    facts: [{ source: texts, observed: '-16: Field is not being watched, exit code 240' }],
    commands: [inEngine('test --introspect --gpuid 0 -f 230')],
    missing: 'the same command in the dcgm-server pod',
  },
  'no-gpus': {
    code: 'engine-without-gpus',
    result: 'broken',
    did: 'Listed the GPUs of this host engine: none.',
    summary:
      'An engine without GPUs answers, and nothing that is injected there has a GPU to belong to. Its container was started without the NVIDIA runtime, or before the driver was loaded.',
    facts: [
      {
        source: 'aws/eks-node-monitoring-agent issues 241, 242; NVIDIA/gpu-operator issue 2854',
        observed: 'engines that answer with zero GPUs',
      },
    ],
    commands: [
      inEngine('discovery -l'),
      'kubectl -n kube-system delete pod -l k8s-app=dcgm-server --field-selector spec.nodeName=NODE',
    ],
  },
  'no-health-watches': {
    code: 'wrong-engine',
    result: 'broken',
    certainty: 'likely',
    did: 'Asked for the health of a group for which nobody has switched watches on.',
    summary:
      'NMA switches all health watches on for the group of all GPUs (0): an engine without them is not NMA’s.',
    facts: [
      {
        source: 'NVIDIA/DCGM dcgmi health -c',
        observed: 'Error: Health watches not enabled. Please enable watches., exit code 253',
      },
    ],
    commands: [inEngine('health -g 0 -c')],
    missing: 'the same command with -g 0 in the dcgm-server pod',
  },
};

/** An engine of one's own. */
export function explainStartEngine(deed: DeedOf<'start-engine'>, world: World): readonly Finding[] {
  // Where something was injected into it, that finding says the same with more.
  if (world.deeds.some((one) => one.is === 'inject' && one.line >= deed.line)) return [];
  return [
    say(deed, {
      code: 'wrong-engine',
      result: 'broken',
      did: `Started a second host engine (port ${deed.port}), with a cache, watches and history of its own.`,
      summary:
        'NMA is not connected to it and notices nothing of what is injected there; NMA’s engine is the process nv-hostengine in the dcgm-server pod of the node.',
      facts: [
        {
          source: 'aws/eks-node-monitoring-agent charts, dcgm-server',
          observed: 'NMA connects to DCGM_ADDRESS, by default localhost:5555',
        },
      ],
      commands: [inEngine('discovery -l')],
    }),
  ];
}

/** `Successfully injected field info.` without the command that it answers. */
export function explainInjectedSaid(deed: DeedOf<'injected-said'>, world: World): readonly Finding[] {
  if (world.deeds.some(({ is }) => is === 'inject')) return [];
  return [
    say(deed, {
      code: 'stored-only',
      result: 'open',
      did: 'The host engine stored a value in its cache.',
      summary:
        'The same line comes for fields that nobody watches, values that are healthy, and engines that NMA is not connected to.',
      facts: [
        {
          source: 'NVIDIA/DCGM dcgmi/DcgmiTest.cpp',
          observed: 'printed whenever the engine stored the sample',
        },
      ],
      commands: [inEngine('test --introspect --gpuid 0 -f FIELD')],
      missing: 'the command that printed it, and where it ran',
    }),
  ];
}
