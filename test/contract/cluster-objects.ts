import type { KubeObject } from '../../coordinator/cluster/port.ts';

const at = '2026-01-02T03:04:05Z';

export function node(name: string, labels: Readonly<Record<string, string>> = {}): KubeObject {
  const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: at, lastTransitionTime: at };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec: {},
    status: { conditions: [ready] },
  };
}

export function pod(name: string, nodeName?: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      ...(nodeName !== undefined && { nodeName }),
      automountServiceAccountToken: false,
      containers: [{ name: 'main', image: 'registry.invalid/main:1' }],
    },
  };
}

export function injection(name: string, spec: object = {}): KubeObject {
  return {
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Injection',
    metadata: { name, namespace: 'default' },
    spec: { node: 'gpu-7', ...spec },
  };
}

/** Small, and with one of each thing that a schema of ours can say. */
export const definitionOfInjections = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'injections.xidrill.dev' },
  spec: {
    group: 'xidrill.dev',
    scope: 'Namespaced',
    names: { kind: 'Injection', listKind: 'InjectionList', plural: 'injections', singular: 'injection' },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['node'],
                properties: {
                  node: { type: 'string', pattern: '^[a-z0-9-]+$' },
                  mode: { type: 'string', enum: ['one', 'all'], default: 'one' },
                  count: { type: 'integer', minimum: 1, maximum: 100 },
                  gpu: { type: 'integer' },
                  labels: { type: 'object', additionalProperties: { type: 'string' } },
                  anything: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  steps: {
                    type: 'array',
                    items: { type: 'object', required: ['at'], properties: { at: { type: 'string' } } },
                  },
                },
              },
              status: {
                type: 'object',
                properties: { phase: { type: 'string', enum: ['Sent', 'Done'] } },
              },
            },
          },
        },
      },
    ],
  },
} as const satisfies KubeObject;
