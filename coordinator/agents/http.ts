import { readFileSync } from 'node:fs';
import { createDeadline } from '../../shared/deadline.ts';
import {
  isReason,
  messageFromUnknown,
  type Reason,
  Refusal,
  type RefusalDetails,
} from '../../shared/errors.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { inventoryFrom } from './inventory.ts';
import type { Agents } from './port.ts';
import { type AgentTls, type Answer, createAgentTransport, troubleOf } from './transport.ts';

/** Looks up a node's agent; static ones and pods do the same job. */
export type AgentDirectory = (node: string) => Promise<string | undefined>;

const servicePath = '/xidrill.agent.v1.AgentService';

/** An order runs dcgmi several times at the most, each within its own limit. */
const timeoutMs = 60_000;

/** A scrape must not wait longer for a node that hangs. */
const healthMs = 2_000;

/** Agents over HTTP. Throws `tls_unusable` or an error of the token file at once, not with the first order. */
export function createHttpAgents(options: {
  readonly directory: AgentDirectory;
  /** Read at each call: the kubelet renews what it mounts. */
  readonly tokenFile?: string;
  /** For agents at https addresses. */
  readonly tls?: AgentTls;
}): Agents {
  const { directory, tokenFile } = options;
  const request = createAgentTransport(options.tls);
  // What cannot be read fails at the start, not with the first order.
  authorization(tokenFile);

  async function call(node: string, method: string, body: object, signal?: AbortSignal): Promise<unknown> {
    const url = await directory(node);
    if (url === undefined) {
      throw new Refusal('agent_unknown', `no agent is known for node ${node}`, {
        field: 'node',
        value: node,
        remedy: 'run the agent DaemonSet on this node, or give the coordinator --agent NODE=URL',
      });
    }
    const headers = { 'content-type': 'application/json', 'xidrill-node': node, ...authorization(tokenFile) };
    const deadline = createDeadline(timeoutMs, signal);
    let answer: Answer;
    try {
      answer = await request(`${url}${servicePath}/${method}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
        signal: deadline.signal,
      });
    } catch (thrown) {
      signal?.throwIfAborted();
      throw unreachable(node, url, thrown);
    } finally {
      deadline.release();
    }
    return answerFrom(node, url, answer);
  }

  return {
    find: directory,
    order: async (node, order, signal) =>
      (await call(node, order.method, { ...order.body, orderId: order.orderId }, signal)) as Receipt,
    receipt: async (node, orderId, signal) =>
      (await call(node, 'GetReceipt', { orderId }, signal)) as Receipt,
    stop: async (node, orderId, signal) =>
      (await call(node, 'StopInjection', { orderId }, signal)) as Receipt,
    async isUp(node) {
      const deadline = createDeadline(healthMs);
      try {
        const url = await directory(node);
        if (url === undefined) return false;
        const { signal } = deadline;
        return (await request(`${url}/healthz`, { method: 'GET', signal })).status === 200;
      } catch {
        return false;
      } finally {
        deadline.release();
      }
    },
    inventory: async (node, signal) =>
      inventoryFrom(await call(node, 'GetInventory', {}, signal), `the agent of ${node}`),
  };
}

function authorization(tokenFile: string | undefined): Record<string, string> {
  if (tokenFile === undefined) return {};
  try {
    return { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` };
  } catch (thrown) {
    throw new Refusal(
      'agent_unreachable',
      `agents cannot be called: the token in ${tokenFile} cannot be read: ${messageFromUnknown(thrown)}`,
      { isUnsent: true, remedy: 'give --agent-token-file a file that the coordinator can read' },
      thrown,
    );
  }
}

function unreachable(node: string, url: string, thrown: unknown): Refusal {
  const { because, isAboutTls, isUnsent } = troubleOf(thrown);
  return new Refusal(
    'agent_unreachable',
    `no answer from the agent of ${node} at ${url}: ${because}`,
    { url, isUnsent, remedy: isAboutTls ? certificateRemedy : networkRemedy(node, url) },
    thrown,
  );
}

const tokenRemedy =
  'compare the token that the coordinator shows (--agent-token-file) with what the agent asks for (--audience or --token-file)';

const certificateRemedy =
  'compare the certificate that the agent serves (--tls-cert-file), its authority (--agent-ca-file of the coordinator) and the name in it (--agent-server-name); with the chart they stand in the Secret of the agent’s certificate, and renewed files count at once';

function networkRemedy(node: string, url: string): string {
  return `see whether it runs and whether a NetworkPolicy stands between: kubectl get pods -A -o wide --field-selector spec.nodeName=${node}; curl ${url}/healthz`;
}

function answerFrom(node: string, url: string, { status, text }: Answer): unknown {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (thrown) {
    throw new Refusal(
      'agent_unreachable',
      `${url} answered ${status} with something that is not JSON; is it the agent of ${node}?`,
      { url },
      thrown,
    );
  }
  if (status >= 200 && status < 300) return body;
  const { message, details } = (body ?? {}) as {
    message?: string;
    details?: RefusalDetails & { reason?: string };
  };
  const { reason = '', ...facts } = details ?? {};
  // The agent cannot ask the API server who calls it: nothing was carried out, and it may pass.
  if (reason === 'cluster_unreachable') {
    throw new Refusal('agent_unreachable', `the agent of ${node} at ${url}: ${message ?? reason}`, {
      ...facts,
      isUnsent: true,
    });
  }
  const told = message ?? `${url} answered ${status}`;
  const ours = reasonFrom(reason);
  const all = ours === reason || reason === '' ? facts : { ...facts, agentReason: reason };
  if (status !== 401 && status !== 403) throw new Refusal(ours, told, all);
  // Its own words would read as if somebody refused the caller of the coordinator.
  throw new Refusal(ours, `the agent of ${node} refuses this coordinator: ${told}`, {
    remedy: tokenRemedy,
    ...all,
  });
}

/** Without a reason it was no agent that answered. One that we do not know is a newer agent's: what it did is not known. */
function reasonFrom(text: string): Reason {
  if (text === '') return 'agent_unreachable';
  return isReason(text) ? text : 'internal';
}
