import t from 'tap';
import { cpuNode, only, startRig } from './rig.ts';
t.test('x', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('c')] });
  const o = await rig.rest.ask<any>('GET', '/openapi.json');
  console.error(o.status, Object.keys(o.body.paths), JSON.stringify(o.body).match(/"\$id"/g)?.length, JSON.stringify(o.body).match(/"\$ref":"[^"]*"/g));
  const bad: [any, any][] = [[{},{}],['{',{}],[{fault:{name:'nope'}},{}],[{fault:{name:'xid'}},{}],[{fault:{name:'xid',parameters:{xid:999}}},{}],[{fault:{name:'xid',parameters:{xid:'a', x:1}}},{}],
  [{fault:{name:'conntrack-full'},foo:1},{}],[{fault:{name:'conntrack-full'},target:{mode:'fixed'}},{}],[{fault:{name:'conntrack-full'},target:{mode:'fixed-percent',value:101}},{}],[{fault:{name:'conntrack-full'},target:{mode:'many'}},{}],
  [{fault:{name:'conntrack-full'},target:only('zz')},{}],[{fault:{name:'conntrack-full'},deadline:'soon'},{}],[{fault:{name:'conntrack-full'},deadline:'0s'},{}],[{fault:{name:'conntrack-full'},deadline:'99999999999999999999999h'},{}],[{fault:{name:'conntrack-full'},expectation:{within:'2h'}},{}],[{fault:{name:'conntrack-full'},expectation:{kind:'x'}},{}],
  [{name:'Bad_',fault:{name:'conntrack-full'}},{}],[{fault:{name:'conntrack-full'}},{prefer:'wait=x'}],[{fault:{name:'conntrack-full'}},{'idempotency-key':'a b'}],[{fault:{name:'xid',parameters:{xid:79}},target:{gpu:{pci:'xx'}}},{}],[{fault:{name:'xid',parameters:{xid:79}},target:{gpu:{index:0,pci:'xx'}}},{}],
  [{fault:{name:'dcgm-field',parameters:{field:150,value:48}}},{}],[{fault:{name:'dcgm-field',parameters:{field:'zzz',value:48}}},{}],[{fault:{name:'dcgm-field',parameters:{field:230,value:'abc'}}},{}],[{fault:{name:'dcgm-field',parameters:{field:230,value:79,engine:{pid:'x'}}}},{}],[{fault:{name:'kernel-bug',parameters:{text:'ä'}}},{}], [{fault:{name:'xid',parameters:{xid:79,process:{pid:1}}}},{}],
  [{fault:{name:'conntrack-full'},target:{selector:{matchExpressions:[{key:'a',operator:'In'}]}}},{}],
  [{fault:{name:'xid',parameters:{xid:79,surfaces:[]}}},{}],
  [{fault:{name:'xid',parameters:{xid:79,surfaces:['dcgm','dcgm']}}},{}],
  [{fault:{name:'soft-lockup',parameters:null}},{}],[null,{}],[[],{}],
  [{fault:{name:'xid',parameters:{xid:119,surfaces:['kernel-log']}}},{}],
  [{fault:{name:'xid',parameters:{xid:79,surfaces:['kernel-log']}}},{}],
  ];
  for (const [b,h] of bad) { const a = await rig.rest.ask<any>('POST','/api/v1/experiments',b,h); console.error(JSON.stringify(b)?.slice(0,110), JSON.stringify(h), '\n   =>', a.status, a.body.code, JSON.stringify(a.body.errors), a.body.phase??'', a.body.explanation?.code, a.body.remedy ?? ''); }
  for (const [m,p,b] of [['GET','/api/v1/experiments/none'],['GET','/api/v1/experiments/none/events'],['POST','/api/v1/experiments/none/abort'],['GET','/api/v1/nodes/none/preflight'],['DELETE','/api/v1/experiments'],['GET','/api/v1/experiments/none/injections'],['POST','/api/v1/experiments?dryRun=Yes',{fault:{name:'conntrack-full'}}],['POST','/api/v1/experiments?x=1',{fault:{name:'conntrack-full'}}]] as const) { const a = await rig.rest.ask<any>(m,p,b); console.error(m,p,a.status,a.headers.get('content-type'),a.body.code,JSON.stringify(a.body.errors)); }
});
