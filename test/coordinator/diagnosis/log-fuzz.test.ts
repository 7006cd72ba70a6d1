import t from 'tap';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import { distorted, fuzzRuns, tryAll } from '../../mutations.ts';
import { facts, planned } from './builder.ts';

/** Lines as NMA's pods have them: JSON of zap, klog's text, and what a credential plugin prints (nma.md, users-story.md). */
const log = `{"level":"info","ts":"2026-11-30T00:00:00Z","logger":"dcgm","msg":"Listening for violations..."}
I1130 00:00:00.000000       1 leaderelection.go:250] starting
{"level":"error","ts":"2026-11-30T00:00:15Z","msg":"failed to reconcile DCGM state","error":"Host engine connection invalid/disconnected"}
[Errno 2] No such file or directory: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token'
panic: exit status 255
{"level":"error","msg":"failed to report managed conditions","error":"getting credentials: exec: executable /opt/amazon/bin/chroot failed with exit code 2"}
{"level":"info","msg":"sending condition to exporter","condition":"AcceleratedHardwareReady","reason":"NvidiaXID79Error"}
{"level":"info","msg":"monitors disabled by configuration","monitors":["nvidia"]}
`;

t.test('NMA’s log in any state: no rule throws, and what is quoted from it stands in it', async (t) => {
  let runs = 0;
  tryAll(distorted(log), ({ text }) => {
    runs += 1;
    const lines = text.split('\n').filter((line) => line !== '');
    // With and without a drill in turn.
    const given = facts({ nma: { log: lines }, ...(runs % 2 === 0 ? {} : { drill: planned() }) });
    for (const rule of rules) {
      const judgement = rule.judge(given);
      if (judgement.is !== 'cause') continue;
      for (const { source, observed } of judgement.evidence)
        if (source.startsWith('log ') && !text.includes(observed))
          throw new Error(`${rule.code}: ${observed}`);
      if (judgement.blocks) throw new Error(`${rule.code} blocks by a line of a log`);
    }
  });
  t.ok(runs >= fuzzRuns, `${runs} logs, each judged by all rules`);
});
