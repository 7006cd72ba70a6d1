/**
 * NVIDIA GPUs by EC2 instance type, from the monitoring agent's own table (aws/eks-node-monitoring-agent
 * internal/pkg/instanceinfo/instance-info.jsonl, read 2026-11); families whose sizes have fractions of a GPU are not in
 * it. Sizes that are not named have one GPU where the family has a `usual` count.
 */
const families: Readonly<
  Record<string, { readonly usual?: number; readonly sizes?: Readonly<Record<string, number>> }>
> = {
  g3: {},
  g3s: {},
  g4dn: { usual: 1, sizes: { '12xlarge': 4, metal: 8 } },
  g5: { usual: 1, sizes: { '12xlarge': 4, '24xlarge': 4, '48xlarge': 8 } },
  g5g: { usual: 1, sizes: { '16xlarge': 2, metal: 2 } },
  g6: { usual: 1, sizes: { '12xlarge': 4, '24xlarge': 4, '48xlarge': 8 } },
  g6e: { usual: 1, sizes: { '12xlarge': 4, '24xlarge': 4, '48xlarge': 8 } },
  g6f: {},
  g7: { sizes: { '48xlarge': 8 } },
  g7e: { usual: 1, sizes: { '12xlarge': 2, '24xlarge': 4, '48xlarge': 8 } },
  gr6: { usual: 1 },
  gr6f: {},
  p2: {},
  p3: { sizes: { '2xlarge': 1, '8xlarge': 4, '16xlarge': 8 } },
  p3dn: { sizes: { '24xlarge': 8 } },
  p4d: { sizes: { '24xlarge': 8 } },
  p4de: { sizes: { '24xlarge': 8 } },
  p5: { sizes: { '4xlarge': 1, '48xlarge': 8 } },
  p5e: { sizes: { '48xlarge': 8 } },
  p5en: { sizes: { '48xlarge': 8 } },
  'p6-b200': { sizes: { '48xlarge': 8 } },
  'p6-b300': { sizes: { '48xlarge': 8 } },
  'p6e-gb200': { sizes: { '36xlarge': 4 } },
  'p6e-gb300': {},
};

/** What an instance type says about its NVIDIA GPUs. */
export type GpuInstance = {
  /** undefined: it has some, and the table does not say how many. */
  readonly count: number | undefined;
};

/**
 * undefined: it has none, or the type is not known. SageMaker writes `ml.` before the type of its own nodes
 * (`ml.p5.48xlarge`, HyperPod); the machine is the same.
 */
export function gpuInstanceOf(instanceType: string | undefined): GpuInstance | undefined {
  const [family = '', size = ''] = (instanceType ?? '').replace(/^ml\./, '').split('.');
  if (!Object.hasOwn(families, family)) return undefined;
  const { usual, sizes = {} } = families[family] ?? {};
  return { count: (Object.hasOwn(sizes, size) ? sizes[size] : undefined) ?? usual };
}
