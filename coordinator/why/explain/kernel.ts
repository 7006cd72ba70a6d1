import { longestKmsgWrite } from '../../../shared/kmsg-record.ts';
import { xidsReadByEngine } from '../../../shared/xid/guard.ts';
import { parseXidLine } from '../../../shared/xid/line.ts';
import { kernelRules, matchKernelRules } from '../../catalogue/nma/kernel-rules.ts';
import { createLogReader } from '../../catalogue/nma/log-reader.ts';
import { type Reaction, xidReaction } from '../../catalogue/nma/reactions.ts';
import { nmaVersions } from '../../catalogue/nma/versions.ts';
import {
  driverSpelling,
  judgeDriverLine,
  judgeLine,
  type ReaderVerdict,
} from '../../catalogue/readers/xid-lines.ts';
import type { Finding, SeenBy } from '../finding.ts';
import type { DeedOf } from '../piece.ts';
import { nmaName, reactionText, xidHistory } from './reaction.ts';
import { inEngine, say, showCondition, showEvents, type World } from './say.ts';

/** Longer texts are cut before patterns of other programs are tried on them: some take time by a power of the length. */
const longestJudged = 300;
const kernelRulesSource = 'aws/eks-node-monitoring-agent monitors/kernel/monitor.go, monitors/nvidia/nccl';
const none = {
  source: `kernel log patterns of NMA to ${nmaVersions.at(-1)?.version} (${kernelRulesSource})`,
  observed: 'none contains NVRM or Xid; Xids come from the XID policy of the host engine, field 230',
};

/** A line that somebody wrote into the kernel log. */
export function explainKernelWrite(deed: DeedOf<'kernel-write'>, world: World): readonly Finding[] {
  const { text: typed, how } = deed;
  const problem = writeProblem(deed);
  if (typed === undefined) {
    const did = `Wrote something into ${how.path}; what it was only a run would show.`;
    return [
      ...problem,
      say(deed, {
        code: 'nobody-reads-it',
        result: 'open',
        certainty: 'likely',
        did,
        summary: 'Whether anybody reads it depends on the text.',
        missing: 'the line itself: dmesg | tail',
      }),
    ];
  }
  const text = typed.replace(/^<\d{1,3}>/, '');
  const did = `Wrote one record of user space into the kernel log of the node (facility user, whatever number stands in front).`;
  return [...problem, ...explainLine(deed, text, did, judgeLine(text.slice(0, longestJudged)), world)];
}

/** A line of the kernel log as somebody saw it; who wrote it is not in it. */
export function explainKernelLine(deed: DeedOf<'kernel-line'>, world: World): readonly Finding[] {
  const { text } = deed;
  // The line that a command of the same text wrote is explained there.
  if (world.deeds.some((one) => one.is === 'kernel-write' && one.text?.includes(text) === true)) return [];
  const line = xidLineIn(text);
  const verdicts = judgeDriverLine(text.slice(0, longestJudged));
  if (line === undefined) return explainLine(deed, text, 'A line of the kernel log.', verdicts, world);
  return [
    say(deed, {
      code: 'driver-reported',
      result: 'open',
      certainty: 'likely',
      did: `The kernel log has an Xid ${line.xid} line${driverSpelling(text.slice(0, longestJudged)) === undefined ? '' : ', in a spelling that no driver uses'}.`,
      summary: `NMA does not read this line, in any version: it gets Xids from its host engine. If the driver printed it, the engine was told by NVML and NMA reacts; if somebody wrote it, nothing follows.${reactionOfXid(line.xid, world)}`,
      seenBy: readersOf(verdicts),
      facts: [none],
      commands: [inEngine(`test --inject --gpuid 0 -f 230 -v ${line.xid}`), showCondition, showEvents],
      missing:
        'who wrote the line: a driver’s record has priority 0 to 7 in front in /dev/kmsg, one of user space 8 and more',
      drill: { name: 'xid', parameters: { xid: line.xid } },
    }),
  ];
}

function explainLine(
  deed: DeedOf<'kernel-write'> | DeedOf<'kernel-line'>,
  text: string,
  did: string,
  verdicts: readonly ReaderVerdict[],
  world: World,
): readonly Finding[] {
  const line = xidLineIn(text);
  if (line !== undefined) {
    const spelling = driverSpelling(text.slice(0, longestJudged));
    const spelled =
      spelling === undefined
        ? ''
        : ` A driver prints the address as ${spelling.usual}, not ${spelling.given}.`;
    return [
      say(deed, {
        code: 'kernel-log-not-read',
        result: 'broken',
        did,
        summary: `No NMA version reads Xid lines from the kernel log, so that this cannot trigger it for any Xid.${spelled}${reactionOfXid(line.xid, world)}`,
        ...(world.nma === undefined ? {} : { lines: [world.nma.at] }),
        facts: [none],
        seenBy: readersOf(verdicts),
        commands: [inEngine(`test --inject --gpuid 0 -f 230 -v ${line.xid}`), showsAs(line.xid, world)],
        drill: { name: 'xid', parameters: { xid: line.xid } },
      }),
      ...wedge(deed, line.xid),
    ];
  }
  const row = world.nma?.found.row ?? nmaVersions.at(-1);
  const matches =
    row === undefined || isRepetitive(text)
      ? []
      : matchKernelRules(row, `12,1,1,-;${text.slice(0, longestJudged)}`);
  const [match] = matches;
  if (match !== undefined)
    return [
      readByNma(deed, match.reaction, world, {
        ...(world.nma === undefined ? { certainty: 'likely' as const } : {}),
        ...(match.rule.plugin === 'neuron' ? onNeuronOnly : {}),
        did,
        seenBy: [
          {
            who: nmaName(world.nma?.found.row),
            sees: true,
            because: `rule ${match.rule.id} of its ${match.rule.plugin} monitor`,
          },
          ...readersOf(verdicts),
        ],
        facts: [{ source: kernelRulesSource, observed: String(match.rule.pattern) }],
      }),
    ];
  const sample = kernelRules[0]?.sample ?? '';
  return [
    say(deed, {
      code: 'nobody-reads-it',
      result: 'broken',
      ...(world.nma === undefined ? { certainty: 'likely' as const } : {}),
      did,
      summary: `${nmaName(world.nma?.found.row)} has no rule for this line.`,
      facts: [
        {
          source: kernelRulesSource,
          observed: `rules: ${[...new Set(kernelRules.map(({ reason }) => reason))].join(', ')}`,
        },
      ],
      seenBy: readersOf(verdicts),
      commands: [
        `echo "${sample}" | sudo tee /dev/kmsg   # NMA answers with an event SoftLockup`,
        showEvents,
      ],
    }),
  ];
}

/** The Xid line at the head of a text. */
function xidLineIn(text: string): ReturnType<typeof parseXidLine> {
  return parseXidLine(text.slice(0, longestJudged));
}

/** Real lines do not repeat what the rules look for; on ones that do, Go's linear patterns and ours differ in time. */
function isRepetitive(text: string): boolean {
  return ['stuck for', '! [', 'segfault at', 'traps:'].some((word) => text.split(word).length > 4);
}

function reactionOfXid(xid: number, world: World): string {
  const row = world.nma?.found.row;
  const newest = nmaVersions.at(-1);
  if (newest === undefined) return '';
  const reaction = xidReaction(row ?? newest, xid);
  return ` Injected into the engine, Xid ${xid} is ${reaction.appearsAs === 'event' ? 'an event, not the condition' : 'the condition'}: ${reactionText(reaction, row)}${xidHistory(xid)}`;
}

function showsAs(xid: number, world: World): string {
  const row = world.nma?.found.row ?? nmaVersions.at(-1);
  return row !== undefined && xidReaction(row, xid).appearsAs === 'condition' ? showCondition : showEvents;
}

/** DCGM's engine takes three Xids from the ring, and one of them blinds it (dcgmlib/src/DcgmKmsgReader.cpp). */
function wedge(deed: DeedOf<'kernel-write'> | DeedOf<'kernel-line'>, xid: number): readonly Finding[] {
  if (!xidsReadByEngine.includes(xid)) return [];
  const blinds = xid === 119;
  return [
    say(deed, {
      code: 'xid-wedges-engine',
      result: blinds ? 'broken' : 'open',
      certainty: 'likely',
      did: `Put Xid ${xid} where every host engine of the node reads it, now and at each of its starts.`,
      summary: blinds
        ? 'If the address is a GPU of the node, its host engine stops calling the driver and reports no GPU fault until it is restarted, and again after each restart while the line is in the ring.'
        : `If the address is a GPU of the node, the engine stores the Xid in field 230 and tells no client, NMA included.`,
      facts: [
        {
          source: 'NVIDIA/DCGM dcgmlib/src/DcgmKmsgReader.cpp',
          observed: 'Xids 79, 119 and 120 are read from /dev/kmsg; 119 is fatal for the engine',
        },
      ],
      commands: [
        'kubectl -n kube-system delete pod -l k8s-app=dcgm-server --field-selector spec.nodeName=NODE',
        'reboot the node: nothing else takes a line out of the kernel log',
      ],
      missing: 'whether the address is a GPU of the node: nvidia-smi --query-gpu=pci.bus_id --format=csv',
    }),
  ];
}

/** What kept the line from getting in. */
function writeProblem(deed: DeedOf<'kernel-write'>): readonly Finding[] {
  const { how, text } = deed;
  const refused = (summary: string, source: string, observed: string, certainty?: 'likely') =>
    say(deed, {
      code: 'kernel-log-refused',
      result: 'broken',
      ...(certainty === undefined ? {} : { certainty }),
      did: `Tried to write to ${how.path}.`,
      summary,
      facts: [{ source, observed }],
      commands: [`echo "${(text ?? 'LINE').slice(0, 200)}" | sudo tee /dev/kmsg`, 'sudo dmesg | tail -n 1'],
    });
  return [
    ...(how.sudoMissesRedirect
      ? [
          refused(
            'The redirection is opened by your own shell, before sudo: without root it is refused, and nothing is written.',
            'bash(1), REDIRECTION',
            'redirections are carried out by the shell that reads the line',
            'likely',
          ),
        ]
      : []),
    ...(how.endsWithNewline
      ? []
      : [
          refused(
            'Without a line break at its end the record cannot be read until somebody writes the next one.',
            'Linux 6.18, measured',
            'a write without "\\n" is not readable until the next record',
          ),
        ]),
    ...((text ?? '').length > longestKmsgWrite
      ? [
          refused(
            `The text has ${(text ?? '').length} characters; the kernel takes about ${longestKmsgWrite} and refuses a longer write with EINVAL.`,
            'Linux Documentation/ABI/testing/dev-kmsg',
            'LOG_LINE_MAX',
          ),
        ]
      : []),
  ];
}

/** `logger`: another log. */
export function explainSyslog(deed: DeedOf<'syslog-write'>, world: World): readonly Finding[] {
  const { tag, text } = deed;
  const row = world.nma?.found.row ?? nmaVersions.at(-1);
  const did = `Wrote into syslog and the journal${tag === undefined ? '' : ` as ${tag}`}; not into the kernel log.`;
  if ((tag === 'kubelet' || tag === 'systemd') && row !== undefined) {
    const [match] = createLogReader(row).read(
      { kind: 'journal', identifier: tag },
      text.slice(0, longestJudged),
      0,
    );
    if (match !== undefined)
      return [
        readByNma(deed, match.reaction, world, {
          certainty: 'likely',
          did,
          facts: [
            {
              source: 'aws/eks-node-monitoring-agent pkg/observer/journald.go',
              observed: `the journal of identifier ${tag}`,
            },
          ],
        }),
      ];
  }
  const xid = xidLineIn(text)?.xid;
  return [
    say(deed, {
      code: 'not-the-kernel-log',
      result: 'broken',
      did,
      summary: `${deed.asKernel ? 'No program can log as facility kern; logger takes user instead. ' : ''}NMA reads the journal of the identifiers kubelet and systemd only${xid === undefined ? '' : ', and no Xid lines anywhere'}.${xid === undefined ? '' : reactionOfXid(xid, world)}`,
      facts: [
        {
          source: 'aws/eks-node-monitoring-agent pkg/observer/journald.go',
          observed: 'lines are selected by SYSLOG_IDENTIFIER',
        },
        { source: 'logger(1)', observed: 'facility kern cannot be generated from userspace' },
      ],
      commands:
        xid === undefined
          ? [
              `logger -t kubelet 'fork/exec /usr/bin/runc: resource temporarily unavailable'   # latches KernelReady=False`,
            ]
          : [inEngine(`test --inject --gpuid 0 -f 230 -v ${xid}`), showsAs(xid, world)],
      ...(xid === undefined ? {} : { drill: { name: 'xid', parameters: { xid } } }),
    }),
  ];
}

/** A line in a file that NMA follows. */
export function explainFileWrite(deed: DeedOf<'file-write'>, world: World): readonly Finding[] {
  const { path, text } = deed;
  const row = world.nma?.found.row ?? nmaVersions.at(-1);
  if (row === undefined) return [];
  const did = `Wrote into ${path}, one of the files that NMA follows.`;
  const facts = [
    {
      source: 'aws/eks-node-monitoring-agent pkg/observer/file.go',
      observed: `follows ${path} from its end`,
    },
  ];
  const [match] =
    text === undefined
      ? []
      : createLogReader(row).read({ kind: 'file', path }, text.slice(0, longestJudged), 0);
  if (match === undefined)
    return [
      say(deed, {
        code: 'nobody-reads-it',
        result: text === undefined ? 'open' : 'broken',
        certainty: 'likely',
        did,
        summary: 'No rule of NMA takes this line alone.',
        facts,
        commands: [showEvents],
      }),
    ];
  return [readByNma(deed, match.reaction, world, { certainty: 'likely', did, facts })];
}

/** A monitor that NMA starts only where it finds the hardware (nma.md §1.8). */
const onNeuronOnly = {
  certainty: 'likely',
  result: 'open',
  missing:
    'whether the node has AWS Neuron (inf*, trn*), without which NMA starts no monitor for it: kubectl get nodes -L node.kubernetes.io/instance-type',
} as const;

/** A rule of NMA takes it. */
function readByNma(
  deed: Parameters<typeof say>[0],
  reaction: Reaction,
  world: World,
  said: Pick<Parameters<typeof say>[1], 'certainty' | 'did' | 'seenBy' | 'facts' | 'missing'> & {
    readonly result?: 'open';
  },
): Finding {
  return say(deed, {
    ...said,
    code: 'nma-reads-it',
    result: said.result ?? 'works',
    summary: reactionText(reaction, world.nma?.found.row),
    commands: [reaction.appearsAs === 'event' ? showEvents : showCondition],
  });
}

function readersOf(verdicts: readonly ReaderVerdict[]): readonly SeenBy[] {
  return verdicts.map(({ reader, rejects }) => ({
    who: reader.looksFor === 'Xid' ? reader.name : `${reader.name} for ${reader.looksFor}`,
    sees: rejects === undefined,
    because: rejects ?? `it reads ${reader.reads}${reader.note === undefined ? '' : `; ${reader.note}`}`,
  }));
}
