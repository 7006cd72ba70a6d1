import type { FastifyInstance } from 'fastify';
import { isoFromMillis } from '../shared/clock.ts';
import { Refusal } from '../shared/errors.ts';
import type { Gate } from '../shared/http/gate.ts';
import type { ApiInfo } from '../shared/http/openapi/document.ts';
import { ConnectError, createServer, formatConnectError } from '../shared/http/server.ts';
import type { ServerTls } from '../shared/http/tls.ts';
import type { Log } from '../shared/log.ts';
import { noticeOf } from '../shared/schemas/kill-switch.ts';
import { version } from '../shared/version.ts';
import type { Held } from './injection/held.ts';
import { openJournal } from './injection/journal.ts';
import { type KillSwitch, openKillSwitch } from './injection/kill-switch.ts';
import { createInjectionMetrics } from './injection/metrics.ts';
import { createOrders } from './injection/orders.ts';
import { interruptedReceipt } from './injection/receipts.ts';
import { createRecover } from './injection/recovery.ts';
import { methodDoc, NodeHeader, nodeHeader } from './method-docs.ts';
import type { OptIn } from './policy/opt-in.ts';
import { type AgentParts, createMethods } from './service.ts';
import { registerTail } from './tail.ts';

/** Where all methods are, as Connect would place them; `servicePath/GetInventory` is a POST with a JSON body. */
export const servicePath = '/xidrill.agent.v1.AgentService';

/** What `createAgent` needs beside the methods' own parts. */
export type AgentOptions = Omit<AgentParts, 'orders' | 'recover' | 'killSwitch'> & {
  /** Folder of the journal, one file an order; it must outlive the pod, or a restart forgets what it wrote. */
  readonly stateDir: string;
  /** What the agent holds on the node, opened before this: by then paused processes of an earlier agent are continued. */
  readonly held: Held;
  /** How many receipts are kept, and after how many more the oldest are removed; absent: as journal.ts says. */
  readonly receipts?: { readonly keep: number; readonly pruneEvery: number };
  /** True: what goes on ends 1.3 s after the last word of a coordinator. Absent: it needs none. */
  readonly needsLease?: boolean;
  /** The consent of the node's owner; absent: none is asked for. */
  readonly optIn?: OptIn;
  /** Makes the id of an order that comes without one. */
  readonly newId: () => string;
  /** Who is let in; absent: everybody who can connect. */
  readonly gate?: Gate;
  /** Names by which it may be called beside loopback and its own address; absent: none. */
  readonly hosts?: readonly string[];
  /** Certificate and key; absent: plain HTTP. */
  readonly tls?: ServerTls;
  readonly log: Log;
};

const api: Omit<ApiInfo, 'hasGate'> = {
  title: 'Xidrill agent',
  version,
  description:
    'All power on one node, none in the cluster: evidence, or a refusal. Methods are POSTs with a JSON body, as Connect’s unary protocol has them; errors are `{code, message, details}` with Connect’s codes.',
  tags: {
    reading: 'What the node has, and what became of an order; nothing is written.',
    injecting: 'Writes on the node, once for each order id; the receipt has what was read back.',
    program: 'Health, metrics and this document; open to everybody.',
  },
  error: { type: 'application/json', schema: ConnectError },
};

/** The agent without its process: everything real comes in as an argument. */
export function createAgent(options: AgentOptions): FastifyInstance {
  const { log, clock } = options;
  const { app, metrics } = createServer({
    log,
    formatError: formatConnectError,
    api,
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    ...(options.hosts === undefined ? {} : { hosts: options.hosts }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    notice: () => noticeOf(killSwitch.state()),
    notReady: () => (options.kernelLog.unavailable() ?? journal.unwritable())?.message,
  });
  const journal = openJournal({
    stateDir: options.stateDir,
    interrupted: (line) => interruptedReceipt(line, isoFromMillis(clock.now())),
    log,
    ...options.receipts,
  });
  const recover = createRecover(options);
  const injectionMetrics = createInjectionMetrics(metrics);
  const killSwitch: KillSwitch = openKillSwitch({
    ...options,
    needsLease: options.needsLease ?? false,
    end: (why) => orders.cutAll(why),
  });
  const orders = createOrders({ ...options, journal, recover, killSwitch, metrics: injectionMetrics });
  injectionMetrics.killSwitch(() => killSwitch.state().engaged);

  for (const method of createMethods({ ...options, orders, recover, killSwitch })) {
    app.post(
      `${servicePath}/${method.name}`,
      {
        config: {
          access: { verb: method.verb, resource: 'nodes', name: options.node },
          doc: methodDoc(method),
        },
        schema: { body: method.request, headers: NodeHeader },
      },
      async ({ body, caller }, reply) => {
        if (method.verb === 'inject') options.direct?.assertMethod({ caller, method: method.name }, body);
        const answer = await method.call(body as never, caller);
        return reply.type('application/json').send(JSON.stringify(answer));
      },
    );
  }
  // Whoever means a node says so: behind a stale address there may be the agent of one that never opted in.
  app.addHook('preValidation', async (request) => {
    const meant = request.headers[nodeHeader];
    if (meant === undefined || meant === options.node) return;
    throw new Refusal('wrong_node', `this is the agent of node ${options.node}, not of ${String(meant)}`, {
      field: `header ${nodeHeader}`,
      value: meant,
      allowed: options.node,
      remedy: 'correct --agent NODE=URL of the coordinator, or the --node of this agent',
    });
  });
  // A right of its own, as with pods/log: the kernel log tells more than an inventory.
  const mayTail = { verb: 'get', resource: 'nodes/log', name: options.node };
  registerTail(app, `${servicePath}/TailKernelLog`, mayTail, options.kernelLog);
  // Not waited for: an engine that does not answer must not keep the agent from serving.
  const recovered = orders.recover();
  app.addHook('preClose', async () => {
    await orders.close();
    await recovered;
  });
  app.addHook('onClose', async () => {
    options.kernelLog.close();
    await options.nvml.close();
  });
  return app;
}
