import t from 'tap';
import {
  deviceCountReaction,
  engineLossReaction,
  fieldReaction,
  healthReaction,
  policyReaction,
  type Reaction,
  type Violation,
  xidReaction,
} from '../../../../coordinator/catalogue/nma/reactions.ts';
import { findNmaVersion } from '../../../../coordinator/catalogue/nma/versions.ts';
import { xidHealthIncident } from '../../../../shared/dcgm-fields/health-codes.ts';

const version = (text: string) => findNmaVersion(text).row;
const short = (found: Reaction | undefined) => found && [found.severity, found.reason, found.message];

t.test('an Xid is a condition or an event, by version', async (t) => {
  const rows: [string, number, 'condition' | 'event'][] = [
    ['1.6.3', 31, 'condition'],
    ['1.6.4', 31, 'event'],
    ['1.6.3', 13, 'condition'],
    ['1.6.4', 13, 'event'],
    ['1.6.3', 94, 'condition'],
    ['1.6.4', 94, 'event'],
    ['1.6.3', 121, 'condition'],
    ['1.7.2', 121, 'event'],
    ['1.6.3', 109, 'event'],
    ['1.6.4', 109, 'condition'],
    ['1.6.4', 143, 'event'],
    ['1.6.5', 143, 'condition'],
    ['1.6.0', 79, 'condition'],
    ['1.7.2', 79, 'condition'],
    ['1.7.2', 45, 'event'],
    ['1.7.2', 0, 'event'],
  ];
  for (const [text, xid, appearsAs] of rows) {
    t.equal(xidReaction(version(text), xid).appearsAs, appearsAs, `${xid} in ${text}: ${appearsAs}`);
  }
  t.same(xidReaction(version('1.6.4'), 79), {
    severity: 'fatal',
    reason: 'NvidiaXID79Error',
    message: 'detected XID-79 on the instance, review kernel logs for additional information.',
    conditionType: 'AcceleratedHardwareReady',
    appearsAs: 'condition',
  });
  t.same(xidReaction(version('1.6.4'), 31), {
    severity: 'warning',
    reason: 'NvidiaXID31Warning',
    message: 'detected unknown XID-31 on the instance, review kernel logs for additional information.',
    conditionType: 'AcceleratedHardwareReady',
    appearsAs: 'event',
  });
});

t.test('the other policies', async (t) => {
  const rows: [Violation, unknown][] = [
    [
      { policy: 'DBE', errors: 3 },
      ['fatal', 'NvidiaDoubleBitError', 'detected 3 Nvidia Double Bit error(s) on location Device'],
    ],
    [
      { policy: 'NVLink', fieldId: 409, errors: 7 },
      ['fatal', 'NvidiaNVLinkError', 'detected 7 NVLink errors on fieldId 409'],
    ],
    [{ policy: 'PCIe', replays: 4 }, ['warning', 'NvidiaPCIeError', 'detected 4 PCIe replays']],
    [
      { policy: 'MaxRtPg', sbePages: 0, dbePages: 11 },
      ['warning', 'NvidiaPageRetirement', 'detected 0 SBE, and 11 DBE page retirements'],
    ],
    [
      { policy: 'Thermal', celsius: 101 },
      ['warning', 'NvidiaThermalError', 'detected GPU thermals outside of thresholds with severity code 101'],
    ],
    [
      { policy: 'Power', watts: 300 },
      ['warning', 'NvidiaPowerError', 'detected power usage outside of thresholds with severity code 300'],
    ],
    [{ policy: 'Thermal', celsius: 0 }, undefined],
    [{ policy: 'Power', watts: 0 }, undefined],
  ];
  for (const [violation, expected] of rows) {
    t.same(short(policyReaction(version('1.7.0'), violation)), expected, violation.policy);
  }
});

t.test('what an Xid leaves in the engine, by engine version', async (t) => {
  // xid, 4.3.1, 4.4.1, 4.5.3, 4.6.0
  const rows: [number, ...(string | undefined)[]][] = [
    [13, undefined, undefined, undefined, undefined],
    [31, undefined, undefined, '101 WARN', '101 WARN'],
    [32, undefined, undefined, '101 WARN', '101 WARN'],
    [43, undefined, undefined, '101 WARN', '101 WARN'],
    [38, undefined, undefined, '101 WARN', '101 WARN'],
    [42, undefined, undefined, '3 WARN', '101 WARN'],
    [45, undefined, undefined, undefined, undefined],
    [46, undefined, undefined, undefined, undefined],
    [48, undefined, '4 FAIL', '101 FAIL', '101 FAIL'],
    [54, undefined, undefined, '101 WARN', '101 WARN'],
    [57, undefined, undefined, '12 WARN', '12 WARN'],
    [60, undefined, undefined, '10 WARN', '10 WARN'],
    [62, undefined, undefined, '40 WARN', '101 WARN'],
    [63, undefined, undefined, '6 WARN', '6 WARN'],
    [64, undefined, undefined, '80 WARN', '80 FAIL'],
    [67, undefined, undefined, '13 WARN', '101 WARN'],
    [74, undefined, '71 FAIL', '101 FAIL', '101 FAIL'],
    [79, undefined, '120 FAIL', '120 FAIL', '120 FAIL'],
    [92, undefined, undefined, undefined, undefined],
    [93, undefined, undefined, '9 WARN', undefined],
    [94, undefined, '101 FAIL', '101 FAIL', '131 WARN'],
    [95, '81 FAIL', '81 FAIL', '81 FAIL', '81 FAIL'],
    [109, undefined, undefined, undefined, undefined],
    [110, undefined, undefined, undefined, undefined],
    [119, undefined, '101 FAIL', '101 FAIL', '101 FAIL'],
    [120, undefined, '101 FAIL', '101 FAIL', '101 FAIL'],
    [121, undefined, undefined, '101 WARN', '101 WARN'],
    [137, undefined, undefined, '101 WARN', '101 WARN'],
    [140, undefined, '101 FAIL', '101 FAIL', '101 FAIL'],
    [143, undefined, undefined, undefined, undefined],
    [149, undefined, undefined, undefined, undefined],
  ];
  for (const [xid, ...expected] of rows) {
    const found = ['4.3.1', '4.4.1', '4.5.3', '4.6.0'].map((engine) => {
      const incident = xidHealthIncident(engine, xid);
      return incident && `${incident.code} ${incident.result}`;
    });
    t.same(found, expected, `Xid ${xid}`);
  }
});

t.test('every Xid that the health system of 4.6.0 knows', async (t) => {
  // Measured over 1 to 176.
  const failure = [48, 64, 74, 79, 95, 119, 120, 140];
  const warning = [31, 32, 38, 39, 42, 43, 54, 56, 57, 58, 60, 61, 62, 63, 67, 73, 78, 94, 121, 137];
  const found: Record<string, number[]> = { FAIL: [], WARN: [] };
  for (let xid = 1; xid <= 176; xid += 1) {
    const incident = xidHealthIncident('4.6.0', xid);
    if (incident !== undefined) found[incident.result]?.push(xid);
  }
  t.same(found, { FAIL: failure, WARN: warning });
  const systems: [number, string][] = [
    [48, 'Internal error'],
    [94, 'Internal error'],
    [64, 'Memory'],
    [31, 'Memory'],
    [38, 'PCIe'],
    [54, 'Power'],
    [60, 'Thermal'],
    [67, 'NVLINK'],
  ];
  for (const [xid, system] of systems)
    t.equal(xidHealthIncident('4.6.0', xid)?.system, system, `${xid}: ${system}`);
});

t.test('health incidents', async (t) => {
  const message = 'DCGM detected issues in health check system with error code';
  t.same(short(healthReaction(version('1.7.0'), { code: 120, result: 'FAIL' })), [
    'fatal',
    'DCGMHealthCode120',
    `${message} 120`,
  ]);
  t.same(short(healthReaction(version('1.7.0'), { code: 3, result: 'WARN' })), [
    'warning',
    'DCGMHealthCode3',
    `${message} 3`,
  ]);
  t.equal(healthReaction(version('1.7.0'), { code: 122, result: 'FAIL' }), undefined, 'IMEX is dropped');
  const lifetime = { code: 71, result: 'FAIL', lifetimeCounter: true } as const;
  t.equal(healthReaction(version('1.7.1'), lifetime)?.severity, 'fatal');
  t.equal(healthReaction(version('1.7.2'), lifetime)?.severity, 'warning');
  t.equal(healthReaction(version('1.7.2'), { code: 71, result: 'FAIL' })?.severity, 'fatal');
});

t.test('fabric fields', async (t) => {
  const rows: [string, number, number | bigint, string | undefined][] = [
    ['1.6.5', 170, 4, undefined],
    ['1.6.6', 170, 4, 'Fabric Manager status: Failure'],
    ['1.7.0', 170, 0, undefined],
    ['1.7.0', 170, 1, undefined],
    ['1.7.0', 170, 2, undefined],
    ['1.7.0', 170, 3, undefined],
    ['1.7.0', 170, 5, 'Fabric Manager status: Unrecognized'],
    ['1.7.0', 170, 6, 'Fabric Manager status: NvmlTooOld'],
    ['1.7.0', 170, 0x7ffffffffffffff0n, 'Fabric Manager status: Unknown(9223372036854775792)'],
    ['1.6.5', 174, 16, undefined],
    ['1.6.6', 174, 128, 'GPU fabric health mask: 0x80'],
    ['1.6.6', 174, 0, undefined],
    ['1.6.7', 174, 16, 'GPU fabric health mask 0x10: route_unhealthy=1'],
    ['1.6.7', 174, 17, 'GPU fabric health mask 0x11: degraded_bw=1, route_unhealthy=1'],
    ['1.6.7', 174, 128, undefined],
    ['1.6.7', 174, 256, undefined],
    ['1.6.7', 174, 512, 'GPU fabric health mask 0x200: incorrect_configuration=2'],
    [
      '1.6.7',
      174,
      0x7ffffffffffffff0n,
      'GPU fabric health mask 0x7ffffffffffffff0: incorrect_configuration=15',
    ],
    ['1.7.2', 112, 8, undefined],
    ['1.7.2', 856, 1, undefined],
  ];
  for (const [text, field, value, message] of rows) {
    const found = fieldReaction(version(text), field, value);
    t.equal(found?.message, message, `${field}=${value} in ${text}`);
    if (found !== undefined) {
      t.equal(found.reason, field === 170 ? 'FabricManagerNotRunning' : 'NvidiaFabricError');
      t.equal(found.severity, 'fatal');
    }
  }
});

t.test('device count and engine loss', async (t) => {
  t.same(short(deviceCountReaction(version('1.6.1'), { dcgm: 1, files: 2 })), [
    'warning',
    'NvidiaDeviceCountMismatch',
    'DCGM detected 1 GPUs but 2 nvidia device files were detected',
  ]);
  t.equal(deviceCountReaction(version('1.6.2'), { dcgm: 1, files: 2 })?.severity, 'fatal');
  t.equal(deviceCountReaction(version('1.6.2'), { dcgm: 2, files: 2 }), undefined);
  t.equal(deviceCountReaction(version('1.6.5'), { dcgm: 1, files: 1, expected: 4 }), undefined);
  t.equal(
    deviceCountReaction(version('1.6.6'), { dcgm: 1, files: 1, expected: 4 })?.message,
    'expected 4 GPUs for this instance type but only 1 were detected — possible hardware failure',
  );
  t.same(short(engineLossReaction('refused')), [
    'fatal',
    'DCGMError',
    'failed to initialize DCGM: error connecting to nv-hostengine: refused',
  ]);
});
