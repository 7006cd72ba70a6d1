import t from 'tap';
import { gpuNode, cpuNode, only, startRig } from './rig.ts';
t.test('x', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('a'), gpuNode('b'), cpuNode('c')] });
  const { rest } = rig;
  for (const [fault, node] of [
    [{ name: 'task-blocked' }, 'c'], [{ name: 'soft-lockup' }, 'c'], [{ name: 'kernel-bug' }, 'c'], [{ name: 'conntrack-full' }, 'c'], [{ name: 'conntrack-full' }, 'c'],[{ name: 'task-blocked' }, 'c'],
    [{ name: 'xid', parameters: { xid: 31 } }, 'a'],[{ name: 'xid', parameters: { xid: 31 } }, 'a'],
    [{ name: 'xid', parameters: { xid: 79 } }, 'a'],
    [{ name: 'xid', parameters: { xid: 79 } }, 'a'],
    [{ name: 'xid', parameters: { xid: 109 } }, 'a'],
    [{ name: 'dcgm-field', parameters: { field: 319, value: 4 } }, 'b'],
    [{ name: 'xid', parameters: { xid: 79 } }, 'c'],
  ] as const) {
    const t0 = performance.now();
    const a = await rest.ask<any>('POST', '/api/v1/experiments', { fault, target: only(node) }, { prefer: 'wait=60' });
    console.error(JSON.stringify(fault), a.status, a.body.phase, a.body.verdict, a.body.latency?.seconds, a.body.explanation?.code, a.body.explanation?.summary, Math.round(performance.now() - t0));
    const i = await rest.ask<any>('GET', `/api/v1/experiments/${a.body.name}/injections`);
    if (i.status !== 200) console.error(JSON.stringify(i.body)); else console.error(JSON.stringify(i.body.items[0]?.status?.timeline?.map((e: any)=>e.kind+' '+e.text.slice(0,120)), null, 1));
  }
  const o = await rest.ask<any>('GET', '/openapi.json');
  console.error(o.status, Object.keys(o.body.paths), JSON.stringify(o.body).length, o.body.openapi, Object.keys(o.body.components ?? {}), JSON.stringify(o.body.paths['/api/v1/experiments'].post).slice(0, 1500));
});
