import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { previewNode } from '../preview/preview.ts';
import { Explanation } from '../store/explanation.ts';
import type { Collector } from '../view/collect.ts';
import { conditionsOf, isReady, optInLabel, optInValue } from '../view/node.ts';
import type { View } from '../view/view.ts';
import { ObjectName } from './names.ts';

const Loose = Type.Record(Type.String(), Type.Unknown());

/** Adds `/api/v1/nodes` and the preflight of one node. */
export function registerNodeRoutes(
  app: FastifyInstance,
  deps: {
    readonly view: Pick<View, 'all' | 'states'>;
    readonly collector: Collector;
    /** Where the agent of a node is; undefined: no agent is known for it. */
    readonly findAgent: (node: string) => Promise<string | undefined>;
    readonly ready: () => Promise<void>;
  },
): void {
  app.get(
    '/api/v1/nodes',
    {
      config: { access: { verb: 'list', resource: 'nodes' } },
      schema: {
        summary: 'Nodes, whether they may be drilled, and their agents',
        response: { 200: Type.Object({ items: Type.Array(Loose), view: Type.Array(Loose) }) },
      },
    },
    async () => {
      await deps.ready();
      const items = await Promise.all(
        deps.view.all('nodes').map(async (node) => {
          const { name, labels = {} } = node.metadata;
          const condition = conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
          return {
            name,
            drillAllowed: labels[optInLabel] === optInValue,
            ready: isReady(node),
            architecture: labels['kubernetes.io/arch'] ?? null,
            instanceType: labels['node.kubernetes.io/instance-type'] ?? null,
            agent: (await deps.findAgent(name)) ?? null,
            acceleratedHardware: condition ?? null,
          };
        }),
      );
      return { items, view: deps.view.states().map((state) => ({ ...state })) };
    },
  );

  app.get<{ Params: { name: string } }>(
    '/api/v1/nodes/:name/preflight',
    {
      config: { access: { verb: 'get', resource: 'nodes', nameFrom: 'name' } },
      schema: {
        summary: 'Every link on this node, checked without injecting anything; what repair would do',
        params: Type.Object({ name: ObjectName(253) }),
        response: {
          200: Type.Object({
            node: Type.String(),
            ok: Type.Boolean(),
            checks: Type.Array(Loose),
            blocking: Type.Union([Explanation, Type.Null()]),
            repair: Type.Array(Loose),
          }),
        },
      },
    },
    async (request) => {
      const { checks, blocking, repair } = previewNode(await deps.collector.facts(request.params.name));
      return {
        node: request.params.name,
        ok: checks.every(({ result }) => result !== 'cause'),
        checks: checks.map((check) => ({ ...check })),
        blocking: blocking?.explanation ?? null,
        repair: repair.map((forecast) => ({ ...forecast })),
      };
    },
  );
}
