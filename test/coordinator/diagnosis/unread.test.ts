import t from 'tap';
import { preflight } from '../../../coordinator/diagnosis/explain.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import { type Change, facts } from './builder.ts';

const unread = { unread: 'it cannot be read: HTTP 403', remedy: 'grant it' };
const none = { pod: undefined, daemonSet: undefined, serviceAccount: undefined };
const agentless = { url: undefined, inventory: unread };

/** Nothing is there: the cause that this proves, and what hides behind a right that is missing. */
const rows: readonly { code: string; absent: Change; hidden: Change }[] = [
  {
    code: 'nma-not-running',
    absent: { nma: { pod: undefined } },
    hidden: { nma: { pod: undefined, kept: { pods: unread } } },
  },
  {
    code: 'nma-not-installed',
    absent: { nma: none },
    hidden: { nma: { ...none, kept: { daemonSets: unread } } },
  },
  {
    code: 'dcgm-server-missing',
    absent: { nma: { dcgmServer: { daemonSet: false, pod: undefined } }, agent: { inventory: unread } },
    hidden: {
      nma: { dcgmServer: { daemonSet: false, pod: undefined }, kept: { dcgmServer: unread } },
      agent: { inventory: unread },
    },
  },
  {
    code: 'agent-unknown',
    absent: { agent: agentless },
    hidden: { agent: { ...agentless, directory: unread } },
  },
  {
    code: 'repair-not-enabled',
    absent: { repair: { karpenter: undefined } },
    hidden: { repair: { karpenter: undefined, karpenterUnread: unread } },
  },
];

/** Without conditions, which would show that NMA works whatever else is read. */
const resultOf = (change: Change, code: string) => {
  const found = facts({ ...change, node: { conditions: [] } });
  return preflight(found).checks.find((check) => check.code === code);
};

for (const { code, absent, hidden } of rows)
  t.test(`${code}: what may not be read is not absent`, async (t) => {
    t.match(resultOf(absent, code), { result: 'cause' });
    t.match(resultOf(hidden, code), { result: 'unknown', text: /HTTP 403/ });
  });

t.test('a forecast names what it could not read', async (t) => {
  const change = { karpenter: undefined, karpenterUnread: unread, doNotDisruptPods: unread };
  const [forecast] = forecastRepair(facts({ repair: change }));
  t.match(forecast, { controller: 'Karpenter', willAct: 'unknown' });
  t.ok(forecast?.evidence.some(({ observed }) => observed === unread.unread));
  t.ok(forecast?.notes.some((note) => note.includes(unread.unread)));
});
