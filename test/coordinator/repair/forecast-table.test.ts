import t from 'tap';
import { nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { findKarpenterVersion } from '../../../coordinator/catalogue/repair/karpenter.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import type { DrillFacts, KarpenterFacts } from '../../../coordinator/view/facts.ts';
import { type Change, facts, planned, version } from '../diagnosis/builder.ts';

/**
 * Written by hand from karpenter.md §1 to §3, repair.md, field-cases.md F10 to F12 and nma.md §7, not computed: each owner and
 * version of Karpenter with each version of NMA, for four Xids that versions treat differently.
 *
 * 79: fatal in all, and DCGMHealthCode120 later. 109: fatal from 1.6.4 on. 142: fatal from 1.6.5 on. 94: fatal up to 1.6.3, a
 * warning since, and DCGMHealthCode101 later in both. Before 1.6.0 (row 1.4.3) a changed reason begins the wait anew.
 */
const table = `
owner     karpenter      nma           xid  reaction   willAct  action             after  latest
karpenter 1.8.1,1.14.3   1.4.3         79   condition  yes      replace            600    never
karpenter 1.8.1,1.14.3   1.6.0..1.7.2  79   condition  yes      replace            600    600
karpenter 1.15.0         1.4.3         79   condition  unknown  replace            600    never
karpenter 1.15.0         1.6.0..1.7.2  79   condition  unknown  replace            600    1800
group     -              1.4.3..1.7.2  79   condition  unknown  replace            600    never
auto      -              1.4.3         79   condition  yes      replace            600    never
auto      -              1.6.0..1.7.2  79   condition  yes      replace            600    600
karpenter 1.8.1,1.14.3   1.4.3..1.6.3  109  event      no       none               -      -
karpenter 1.8.1,1.14.3   1.6.4..1.7.2  109  condition  yes      replace            600    600
karpenter 1.15.0         1.4.3..1.6.3  109  event      no       none               -      -
karpenter 1.15.0         1.6.4..1.7.2  109  condition  unknown  replace            600    600
group     -              1.4.3..1.6.3  109  event      no       none               -      -
group     -              1.6.4..1.7.2  109  condition  unknown  reboot             600    600
auto      -              1.4.3..1.6.3  109  event      no       none               -      -
auto      -              1.6.4..1.7.2  109  condition  yes      replace            600    600
karpenter 1.8.1,1.14.3   1.4.3..1.6.4  142  event      no       none               -      -
karpenter 1.8.1,1.14.3   1.6.5..1.7.2  142  condition  yes      replace            600    600
karpenter 1.15.0         1.4.3..1.6.4  142  event      no       none               -      -
karpenter 1.15.0         1.6.5..1.7.2  142  condition  unknown  replace            1800   1800
group     -              1.4.3..1.6.4  142  event      no       none               -      -
group     -              1.6.5..1.7.2  142  condition  unknown  replace-or-reboot  600    600
auto      -              1.4.3..1.6.4  142  event      no       none               -      -
auto      -              1.6.5..1.7.2  142  condition  yes      replace            600    600
karpenter 1.8.1,1.14.3   1.4.3         94   condition  yes      replace            600    never
karpenter 1.8.1,1.14.3   1.6.0..1.6.3  94   condition  yes      replace            600    600
karpenter 1.8.1,1.14.3   1.6.4..1.7.2  94   event      yes      replace            600    600
karpenter 1.15.0         1.4.3         94   condition  unknown  replace            1800   never
karpenter 1.15.0         1.6.0..1.6.3  94   condition  unknown  replace            1800   1800
karpenter 1.15.0         1.6.4..1.7.2  94   event      unknown  replace            1800   1800
group     -              1.4.3..1.6.3  94   condition  unknown  reboot             600    never
group     -              1.6.4..1.7.2  94   event      no       none               -      -
auto      -              1.4.3         94   condition  yes      replace            600    never
auto      -              1.6.0..1.6.3  94   condition  yes      replace            600    600
auto      -              1.6.4..1.7.2  94   event      yes      replace            600    600
`;

/** Owners whose forecast no version of NMA and no Xid changes: they go by rules of their own, or repair nothing. */
const byOwnerAlone = `
hyperpod  unknown  replace-or-reboot  -  -
eksctl    -        -                  -  -
hybrid    -        -                  -  -
nobody    -        -                  -  -
`;

/** Karpenters that do not repair this condition at all (karpenter.md §1): no gate in 1.0, only Ready in 1.1. */
const withoutPolicy = ['1.0.6', '1.1.0'];

const labels: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  karpenter: { 'karpenter.sh/nodepool': 'gpu' },
  group: { 'eks.amazonaws.com/nodegroup': 'g1' },
  // Auto Mode is built on Karpenter and has its labels besides.
  auto: { 'eks.amazonaws.com/compute-type': 'auto', 'karpenter.sh/nodepool': 'general-purpose' },
  hyperpod: { 'sagemaker.amazonaws.com/compute-type': 'hyperpod' },
  eksctl: { 'alpha.eksctl.io/nodegroup-name': 'own' },
  hybrid: { 'eks.amazonaws.com/compute-type': 'hybrid' },
  nobody: {},
};

function karpenter(tag: string, over: Partial<KarpenterFacts> = {}): KarpenterFacts {
  return {
    deployment: 'kube-system/karpenter',
    image: `public.ecr.aws/karpenter/controller:${tag}`,
    nodeRepairGate: true,
    evidence: 'feature gates "NodeRepair=true"',
    ...over,
  };
}

function drillOf(xid: number, kind: 'event' | 'condition'): DrillFacts {
  return planned({
    parameters: { xid, surfaces: ['dcgm'] },
    expectation: {
      kind,
      type: 'AcceleratedHardwareReady',
      reason: `NvidiaXID${xid}${kind === 'condition' ? 'Error' : 'Warning'}`,
      withinSeconds: 60,
    },
  });
}

function shown(change: Change): readonly string[] {
  const forecasts = forecastRepair(facts(change));
  t.ok(forecasts.length < 2, 'one controller');
  const [first] = forecasts;
  if (first === undefined) return ['-', '-', '-', '-'];
  const { willAct, action, afterSeconds, latestSeconds } = first;
  return [
    willAct,
    action.replaceAll(' ', '-'),
    String(afterSeconds ?? '-'),
    String(latestSeconds ?? (afterSeconds === null ? '-' : 'never')),
  ];
}

type Row = {
  readonly owner: string;
  readonly tag: string;
  readonly nma: string;
  readonly xid: number;
  readonly kind: 'event' | 'condition';
  readonly expected: readonly string[];
};

/** One row for each version that a line of the table stands for. */
function expand(line: string): readonly Row[] {
  const [owner = '', tags = '', range = '', xid = '', kind = '', ...expected] = line.split(/\s+/);
  const [from = '', to = from] = range.split('..');
  const known = nmaVersions.map(({ version }) => version);
  return known
    .slice(known.indexOf(from), known.indexOf(to) + 1)
    .flatMap((nma) =>
      tags
        .split(',')
        .map((tag) => ({ owner, tag, nma, xid: Number(xid), kind: kind as Row['kind'], expected })),
    );
}

const lines = (text: string) => text.trim().split('\n');
const whole = lines(table).slice(1).flatMap(expand);

function seenIn({ owner, tag, nma, xid, kind }: Omit<Row, 'expected'>): readonly string[] {
  return shown({
    node: { labels: labels[owner] ?? {} },
    nma: { version: version(`v${nma}`) },
    repair: { karpenter: tag === '-' ? undefined : karpenter(tag) },
    drill: drillOf(xid, kind),
  });
}

t.test('the table has each version of NMA with each owner, version of Karpenter and Xid, once', async (t) => {
  const owners = [
    ['karpenter', '1.8.1'],
    ['karpenter', '1.14.3'],
    ['karpenter', '1.15.0'],
    ['group', '-'],
    ['auto', '-'],
  ];
  const wanted = owners.flatMap(([owner, tag]) =>
    nmaVersions.flatMap(({ version }) =>
      [79, 109, 142, 94].map((xid) => `${owner} ${tag} ${version} ${xid}`),
    ),
  );
  t.strictSame(
    whole.map(({ owner, tag, nma, xid }) => `${owner} ${tag} ${nma} ${xid}`).toSorted(),
    wanted.toSorted(),
  );
});

t.test('each version of NMA, each version of Karpenter, each owner', async (t) => {
  for (const row of whole)
    t.strictSame(seenIn(row), row.expected, `${row.owner} ${row.tag} ${row.nma} ${row.xid}`);
  for (const { nma, xid, kind } of whole) {
    for (const line of lines(byOwnerAlone)) {
      const [owner = '', ...expected] = line.split(/\s+/);
      t.strictSame(seenIn({ owner, tag: '-', nma, xid, kind }), expected, `${owner} ${nma} ${xid}`);
    }
    for (const tag of withoutPolicy)
      t.strictSame(seenIn({ owner: 'karpenter', tag, nma, xid, kind }), ['no', 'none', '-', '-'], tag);
  }
});

t.test('F1: the version that is shown decides', async (t) => {
  const vetoed = (tag: string) =>
    forecastRepair(
      facts({
        node: { annotations: { 'karpenter.sh/do-not-repair': 'true' } },
        repair: { karpenter: karpenter(tag) },
        drill: planned(),
      }),
    )[0];
  t.match(vetoed('1.15.0'), {
    willAct: 'no',
    afterSeconds: null,
    blockedBy: [{ code: 'repair-vetoed', because: /do-not-repair/ }],
  });
  t.match(vetoed('1.14.3'), { willAct: 'yes', blockedBy: [] }, '1.14 does not know the annotation');
  // Which of the two is not known: the veto may count and may not.
  t.match(vetoed('latest'), { willAct: 'unknown', blockedBy: [], unread: [{ what: /version/ }, {}] });
});

t.test('every version that is shown changes the forecast, or says why not', async (t) => {
  const tags = ['1.0.6', '1.1.0', '1.8.1', '1.14.3', '1.15.0', 'latest'];
  const all = tags.map((tag) => {
    const [found] = forecastRepair(
      facts({ repair: { karpenter: karpenter(tag) }, drill: drillOf(142, 'condition') }),
    );
    const { evidence: _, ...rest } = found ?? { evidence: [] };
    return [tag, JSON.stringify(rest), found?.evidence] as const;
  });
  for (const [index, [tag, text, evidence]] of all.entries()) {
    // 1.2 to 1.14 have one behaviour, which their evidence names as one.
    const same = all.slice(0, index).find(([, other]) => other === text);
    if (same === undefined) continue;
    t.strictSame([same[0], tag], ['1.8.1', '1.14.3']);
    t.ok(evidence?.some(({ source }) => source.endsWith('v1.2.0 to v1.14.1')));
  }
});

t.test('a version is read from the tag, and from nothing else', async (t) => {
  const rows: readonly (readonly [image: string, version: string | undefined, engine: string | undefined])[] =
    [
      ['public.ecr.aws/karpenter/controller:1.15.0', '1.15.0', 'voluntary'],
      ['public.ecr.aws/karpenter/controller:1.14.3@sha256:0f', '1.14.3', 'forced'],
      ['registry:5000/mirror/karpenter:v1.8', '1.8.0', 'forced'],
      ['mirror/karpenter:1.0.9', '1.0.9', 'none'],
      ['mirror/karpenter:0.37.7', '0.37.7', 'none'],
      ['mirror/karpenter:1.15.0-eks.2', '1.15.0', 'voluntary'],
      ['mirror/karpenter:1.16.0', '1.16.0', 'voluntary'],
      ['registry:5000/mirror/karpenter@sha256:0f', undefined, undefined],
      ['registry:5000/mirror/karpenter', undefined, undefined],
      ['mirror/karpenter:latest', undefined, undefined],
      ['mirror/karpenter:8d6f2a1', undefined, undefined],
      ['mirror/karpenter:0.0.0-8d6f2a1', undefined, undefined],
      ['mirror/karpenter:v0.0.0', undefined, undefined],
      ['mirror/karpenter:0.0.1', '0.0.1', 'none'],
      ['', undefined, undefined],
    ];
  for (const [image, expected, engine] of rows) {
    const found = findKarpenterVersion(image);
    t.equal(found.version, expected, image);
    t.equal(found.row?.engine, engine, image);
    t.equal(found.note !== '', expected === undefined || expected === '1.16.0', `${image}: ${found.note}`);
  }
});
