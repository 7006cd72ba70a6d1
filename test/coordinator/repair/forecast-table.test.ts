import t from 'tap';
import { findKarpenterVersion } from '../../../coordinator/catalogue/repair/karpenter.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import type { DrillFacts, KarpenterFacts } from '../../../coordinator/view/facts.ts';
import { type Change, facts, planned, version } from '../diagnosis/builder.ts';

/** Written by hand from karpenter.md §2 and §3, field-cases.md F10 to F12 and nma.md §7, not computed. */
const table = `
owner     karpenter  nma    xid  reaction             willAct  action             after  latest
karpenter 1.0.6      1.7.2  79   condition            no       none               -      -
karpenter 1.1.0      1.7.2  79   condition            no       none               -      -
karpenter 1.8.1      1.4.3  79   condition            yes      replace            600    never
karpenter 1.8.1      1.6.0  79   condition            yes      replace            600    600
karpenter 1.8.1      1.7.2  79   condition            yes      replace            600    600
karpenter 1.14.3     1.4.3  79   condition            yes      replace            600    never
karpenter 1.14.3     1.6.0  79   condition            yes      replace            600    600
karpenter 1.14.3     1.7.2  79   condition            yes      replace            600    600
karpenter 1.15.0     1.4.3  79   condition            unknown  replace            600    never
karpenter 1.15.0     1.6.0  79   condition            unknown  replace            600    1800
karpenter 1.15.0     1.7.2  79   condition            unknown  replace            600    1800
group     -          1.4.3  79   condition            unknown  replace            600    never
group     -          1.6.0  79   condition            unknown  replace            600    never
group     -          1.7.2  79   condition            unknown  replace            600    never
auto      -          1.4.3  79   condition            yes      replace            600    never
auto      -          1.6.0  79   condition            yes      replace            600    600
auto      -          1.7.2  79   condition            yes      replace            600    600
hyperpod  -          1.7.2  79   condition            unknown  replace-or-reboot  -      -
eksctl    -          1.7.2  79   condition            -        -                  -      -
hybrid    -          1.7.2  79   condition            -        -                  -      -
nobody    -          1.7.2  79   condition            -        -                  -      -
karpenter 1.8.1      1.6.0  109  event                no       none               -      -
karpenter 1.8.1      1.6.4  109  condition            yes      replace            600    600
karpenter 1.14.3     1.6.4  109  condition            yes      replace            600    600
karpenter 1.15.0     1.6.4  109  condition            unknown  replace            600    600
group     -          1.6.0  109  event                no       none               -      -
group     -          1.6.4  109  condition            unknown  reboot             600    600
auto      -          1.6.4  109  condition            yes      replace            600    600
karpenter 1.8.1      1.6.5  142  condition            yes      replace            600    600
karpenter 1.14.3     1.6.5  142  condition            yes      replace            600    600
karpenter 1.15.0     1.6.5  142  condition            unknown  replace            1800   1800
group     -          1.6.5  142  condition            unknown  replace-or-reboot  600    600
karpenter 1.8.1      1.7.2  94   event                yes      replace            600    600
karpenter 1.14.3     1.7.2  94   event                yes      replace            600    600
karpenter 1.15.0     1.7.2  94   event                unknown  replace            1800   1800
group     -          1.7.2  94   event                no       none               -      -
auto      -          1.7.2  94   event                yes      replace            600    600
`;

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

t.test('each version of NMA, each version of Karpenter, each owner', async (t) => {
  const [, ...rows] = table.trim().split('\n');
  for (const row of rows) {
    const [owner = '', tag = '', nma = '', xid = '', kind = '', ...expected] = row.split(/\s+/);
    const seen = shown({
      node: { labels: labels[owner] ?? {} },
      nma: { version: version(`v${nma}`) },
      repair: { karpenter: tag === '-' ? undefined : karpenter(tag) },
      drill: drillOf(Number(xid), kind as 'event' | 'condition'),
    });
    t.strictSame(seen, expected, row);
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
      ['', undefined, undefined],
    ];
  for (const [image, expected, engine] of rows) {
    const found = findKarpenterVersion(image);
    t.equal(found.version, expected, image);
    t.equal(found.row?.engine, engine, image);
    t.equal(found.note !== '', expected === undefined || expected === '1.16.0', `${image}: ${found.note}`);
  }
});
