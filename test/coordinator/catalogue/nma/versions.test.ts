import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { monitorOf, monitors } from '../../../../coordinator/catalogue/nma/conditions.ts';
import { kernelRulesOf } from '../../../../coordinator/catalogue/nma/kernel-rules.ts';
import { findNmaVersion, firstWith, nmaVersions } from '../../../../coordinator/catalogue/nma/versions.ts';
import { compareVersions } from '../../../../shared/compare-versions.ts';
import { root } from '../../../suite.ts';

const last = nmaVersions.at(-1)?.version ?? '';
const ecr = '602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/eks-node-monitoring-agent';

t.test('a version is found in every spelling that clusters use', async (t) => {
  const rows: [text: string, version: string, exact: boolean, note: string | RegExp][] = [
    ['1.6.4', '1.6.4', true, /^$/],
    ['v1.6.4', '1.6.4', true, /^$/],
    ['v1.6.4-eksbuild.1', '1.6.4', true, /^$/],
    [`${ecr}:v1.6.4-eksbuild.1`, '1.6.4', true, /^$/],
    [`${ecr}:v1.7.2-eksbuild.3@sha256:${'ab'.repeat(32)}`, '1.7.2', true, /^$/],
    ['localhost:5000/nma:v1.7.0', '1.7.0', true, /^$/],
    [`${ecr}@sha256:${'ab'.repeat(32)}`, last, false, /names no version.*newest known/],
    ['localhost:5000/nma', last, false, /names no version/],
    ['latest', last, false, /names no version/],
    ['', last, false, /names no version/],
    ['v1.6.9', '1.6.7', false, /1\.6\.9 is not known; judged as 1\.6\.7, the nearest/],
    ['v999.0.0', last, false, `999.0.0 is not known; judged as ${last}, the newest`],
    ['v1.5.1', '1.4.3', false, /nearest/],
    ['v1.0.0', '1.4.3', false, /oldest/],
    ['v1.7.0-rc.1', '1.7.0', false, /another build/],
    ['v1.4.3-eksbuild.2', '1.4.3', false, /one user's notes; the rest is judged as 1\.6\.0/],
  ];
  for (const [text, version, exact, note] of rows) {
    const found = findNmaVersion(text);
    t.equal(found.row.version, version, `${text} is ${version}`);
    t.equal(found.exact, exact, `${text} exact: ${exact}`);
    t.match(found.note, note, `${text}: ${found.note}`);
  }
});

t.test('what differs between the versions', async (t) => {
  const upTo163 = [13, 31, 48, 63, 64, 74, 79, 94, 95, 119, 120, 121, 140];
  const of164 = [46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 140];
  const since165 = [
    46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158,
  ];
  // version, fatal Xids, arm64 gate, engine, device count, watched fields, fabric rule
  const rows: [string, number[], boolean, string, string, number, string][] = [
    ['1.4.3', upTo163, true, '4.5.2', 'warning', 3, 'none'],
    ['1.6.0', upTo163, true, '4.5.2', 'warning', 3, 'none'],
    ['1.6.1', upTo163, true, '4.5.2', 'warning', 3, 'none'],
    ['1.6.2', upTo163, true, '4.5.2', 'fatal', 3, 'none'],
    ['1.6.3', upTo163, true, '4.5.2', 'fatal', 3, 'none'],
    ['1.6.4', of164, true, '4.5.2', 'fatal', 3, 'none'],
    ['1.6.5', since165, true, '4.5.2', 'fatal', 5, 'none'],
    ['1.6.6', since165, true, '4.5.2', 'fatal', 5, 'any bit'],
    ['1.6.7', since165, true, '4.5.2', 'fatal', 5, 'decoded'],
    ['1.7.0', since165, true, '4.6.1', 'fatal', 5, 'decoded'],
    ['1.7.1', since165, true, '4.6.1', 'fatal', 5, 'decoded'],
    ['1.7.2', since165, false, '4.6.1', 'fatal', 5, 'decoded'],
  ];
  t.same(
    nmaVersions.map((row) => [
      row.version,
      row.fatalXids,
      row.arm64Gate,
      row.engineVersion,
      row.deviceCountSeverity,
      row.watchedFields.length,
      row.fabricRule,
    ]),
    rows,
  );
});

t.test('the kernel rules of each version', async (t) => {
  t.same(
    nmaVersions.map((row) => kernelRulesOf(row).length),
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11],
    'one more since 1.7.0, and AppCrash only once',
  );
});

t.test('ready reasons and messages', async (t) => {
  const row = findNmaVersion('1.7.2').row;
  t.same(
    monitors.map((monitor) => {
      const { plugin, conditionType, readyReason, readyMessage } = monitorOf(row, monitor.plugin);
      return [plugin, conditionType, readyReason, readyMessage];
    }),
    [
      ['kernel-monitor', 'KernelReady', 'KernelIsReady', 'Monitoring for the Kernel system is active'],
      ['storage-monitor', 'StorageReady', 'DiskIsReady', 'Monitoring for the Disk system is active'],
      [
        'runtime',
        'ContainerRuntimeReady',
        'ContainerRuntimeIsReady',
        'Monitoring for the ContainerRuntime system is active',
      ],
      [
        'networking',
        'NetworkingReady',
        'NetworkingIsReady',
        'Monitoring for the Networking system is active',
      ],
      [
        'nvidia',
        'AcceleratedHardwareReady',
        'NvidiaGPUIsReady',
        'Monitoring for the Nvidia GPU system is active',
      ],
      [
        'neuron',
        'AcceleratedHardwareReady',
        'NeuronAcceleratedHardwareIsReady',
        'Monitoring for the Neuron AcceleratedHardware system is active',
      ],
    ],
  );
  t.equal(monitorOf(findNmaVersion('1.4.3').row, 'nvidia').readyReason, 'NvidiaAcceleratedHardwareIsReady');
});

t.test('what people read names the release that the rows name', async (t) => {
  const fixed = firstWith((row) => !row.arm64Gate);
  t.match(
    readFileSync(join(root, 'README.md'), 'utf8').replaceAll(/\s+/g, ' '),
    `NMA before ${fixed} watches no GPU on arm64`,
  );
  const values = readFileSync(join(root, 'charts/xidrill/values.yaml'), 'utf8');
  t.match(
    values,
    `tag: ${nmaVersions.at(-1)?.engineVersion}-`,
    'the dcgmi beside the agent is of the newest host engine',
  );
  t.equal(
    firstWith((row) => row.fabricRule === 'none'),
    undefined,
    'no version from which on it holds',
  );
  t.equal(
    firstWith(() => true),
    nmaVersions[0]?.version,
  );
});

t.test('versions are compared by their numbers', async (t) => {
  t.ok(compareVersions('1.6.10', '1.6.9') > 0);
  t.ok(compareVersions('4.5.3', '4.6.0') < 0);
  t.equal(compareVersions('4.6.1-1', '4.6.1'), 0);
});
