import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { commonJsNames } from '../../shared/bundle.ts';
import { version } from '../../shared/version.ts';
import { stubSource, writeExecutable } from '../agent/dcgm/stub.ts';
import { root } from '../suite.ts';
import { dockerfileImages } from './dockerfile-images.ts';
import { type ImageSpec, type Layer, layerIn, layerOf, writeArchive } from './images.ts';

const run = promisify(execFile);

/** The images that tests name in their pods. None can be pulled from anywhere. */
export const imageNames = {
  agent: `xidrill.test/xidrill-agent:${version}`,
  coordinator: `xidrill.test/xidrill-coordinator:${version}`,
  /** The stand-ins of dcgmi and nv-hostengine. */
  dcgm: 'xidrill.test/dcgm:4.6.0',
  /** The simulated monitoring agent under the name of the real one, by which its version is known. */
  monitor: '602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/eks-node-monitoring-agent:v1.6.4-eksbuild.1',
  /** The cluster's DNS. */
  dns: 'xidrill.test/coredns:1',
  /** containerd's own default. */
  pause: 'registry.k8s.io/pause:3.6',
} as const;

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Writes an archive of all images below a folder and tells where it is; `coredns` is that program. */
export async function programImages(
  folder: string,
  { baseLayer, coredns }: { readonly baseLayer: string; readonly coredns: string },
  log: (line: string) => void,
): Promise<string> {
  mkdirSync(folder);
  const base = await layerIn(baseLayer);
  const { agent, coordinator } = await dockerfileImages(base, join(folder, 'build'), log);
  const images: ImageSpec[] = [
    { name: imageNames.agent, ...agent },
    { name: imageNames.coordinator, ...coordinator },
    await dcgmImage(base, folder),
    await monitorImage(base, folder),
    await pauseImage(folder),
    await dnsImage(coredns, folder),
  ];
  const file = join(folder, 'images.tar');
  await writeArchive(images, join(folder, 'staging'), file);
  return file;
}

async function dcgmImage(base: Layer, folder: string): Promise<ImageSpec> {
  const top = join(folder, 'dcgm');
  mkdirSync(join(top, 'usr/bin'), { recursive: true });
  for (const program of ['dcgmi', 'nv-hostengine'] as const)
    writeExecutable(join(top, 'usr/bin', program), stubSource(program), '/usr/local/bin/node');
  return { name: imageNames.dcgm, config: { Env: [path] }, layers: [base, await layerOf(top, `${top}.tar`)] };
}

async function monitorImage(base: Layer, folder: string): Promise<ImageSpec> {
  const top = join(folder, 'monitor');
  await build({
    absWorkingDir: root,
    entryPoints: { nma: 'test/node/monitor/main.ts' },
    outdir: join(top, 'opt'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['*.node'],
    banner: { js: commonJsNames },
    logLevel: 'warning',
  });
  return {
    name: imageNames.monitor,
    config: { Env: [path], Entrypoint: ['node', '/opt/nma.mjs'] },
    layers: [base, await layerOf(top, `${top}.tar`)],
  };
}

async function dnsImage(coredns: string, folder: string): Promise<ImageSpec> {
  const top = join(folder, 'dns');
  mkdirSync(top);
  await run('cp', [coredns, join(top, 'coredns')]);
  return {
    name: imageNames.dns,
    config: { Env: [path], Entrypoint: ['/coredns'] },
    layers: [await layerOf(top, `${top}.tar`)],
  };
}

/** The first process of every pod: it waits, and takes orphans where a pod has one process namespace. */
async function pauseImage(folder: string): Promise<ImageSpec> {
  const top = join(folder, 'pause');
  mkdirSync(top);
  const env = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOFLAGS: '' };
  const source = join(import.meta.dirname, 'pause.go');
  await run('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', join(top, 'pause'), source], { env });
  return {
    name: imageNames.pause,
    config: { Env: [path], Entrypoint: ['/pause'], User: '65535:65535' },
    layers: [await layerOf(top, `${top}.tar`)],
  };
}
