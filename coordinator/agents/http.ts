import { readFileSync } from 'node:fs';
import { createDeadline } from '../../shared/clock.ts';
import {
  isReason,
  messageFromUnknown,
  type Reason,
  Refusal,
  type RefusalDetails,
} from '../../shared/errors.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import { type Asked, invalidAnswer, inventoryFrom, receiptFrom, whyUnbounded } from './answers.ts';
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

  /** What the agent answered; an order's own receipt may come with a refusal, hence `order`. */
  async function call<T>(
    { node, method, order, signal }: Call,
    body: object,
    read: (answer: unknown, asked: Asked) => T,
  ): Promise<T> {
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
      throw unreachable({ node, url, method }, thrown);
    } finally {
      deadline.release();
    }
    const asked = { node, url, method };
    return read(answerFrom(asked, answer, order), asked);
  }

  const orderCall = (node: string, method: string, orderId: string, signal?: AbortSignal) =>
    call({ node, method, order: { orderId }, signal }, { orderId }, (answer, asked) =>
      receiptFrom(answer, asked, { orderId }),
    );

  return {
    find: directory,
    order: (node, order, signal) =>
      call(
        { node, method: order.method, order, signal },
        { ...order.body, orderId: order.orderId },
        (answer, asked) => receiptFrom(answer, asked, order),
      ),
    receipt: (node, orderId, signal) => orderCall(node, 'GetReceipt', orderId, signal),
    stop: (node, orderId, signal) => orderCall(node, 'StopInjection', orderId, signal),
    setKillSwitch: (node, asked, signal) =>
      call({ node, method: 'SetKillSwitch', signal }, asked, () => undefined),
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
    inventory: (node, signal) => call({ node, method: 'GetInventory', signal }, {}, inventoryFrom),
  };
}

type Call = {
  readonly node: string;
  readonly method: string;
  /** Whose receipt is in the answer, or in the details of a refusal. */
  readonly order?: Pick<AgentOrder, 'orderId'> | AgentOrder;
  readonly signal?: AbortSignal | undefined;
};

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

function unreachable(asked: Asked, thrown: unknown): Refusal {
  const { node, url } = asked;
  const { because, isAboutTls, isUnsent, isAnswer } = troubleOf(thrown);
  if (isAnswer) return invalidAnswer(asked, `cannot be read: ${because}`);
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

function answerFrom(asked: Asked, { status, text }: Answer, order: Call['order']): unknown {
  const { node, url } = asked;
  const isSuccess = status >= 200 && status < 300;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (thrown) {
    if (isSuccess) throw invalidAnswer(asked, `is ${status} with something that is not JSON`);
    throw new Refusal(
      'agent_unreachable',
      `${url} answered ${status} with something that is not JSON; is it the agent of ${node}?`,
      { url },
      thrown,
    );
  }
  if (isSuccess) return body;
  throw refusalFrom(asked, status, body, order);
}

/** What an agent's error says, or `agent_answer_invalid` where its members are not of the documented types. */
function refusalFrom(asked: Asked, status: number, body: unknown, order: Call['order']): Refusal {
  const { node, url } = asked;
  const because = whyUnbounded(body);
  if (because !== undefined) return invalidAnswer(asked, `is ${status} and ${because}`);
  const { message, details = {} } = (body ?? {}) as {
    readonly message?: unknown;
    readonly details?: unknown;
  };
  if (message !== undefined && typeof message !== 'string')
    return invalidAnswer(asked, `is ${status} with a /message that is no text`);
  if (typeof details !== 'object' || details === null || Array.isArray(details))
    return invalidAnswer(asked, `is ${status} with /details that are no object`);
  const { reason = '', receipt, ...others } = details as Readonly<Record<string, unknown>>;
  if (typeof reason !== 'string' || reason.length > longestReason)
    return invalidAnswer(asked, `is ${status} with a /details/reason that is none`);
  const facts: RefusalDetails =
    receipt === undefined || order === undefined
      ? others
      : { ...others, receipt: receiptFrom(receipt, asked, order) };
  // The agent cannot ask the API server who calls it: nothing was carried out, and it may pass.
  if (reason === 'cluster_unreachable') {
    return new Refusal('agent_unreachable', `the agent of ${node} at ${url}: ${message ?? reason}`, {
      ...facts,
      isUnsent: true,
    });
  }
  const reported = message ?? `${url} answered ${status}`;
  const ours = reasonFrom(reason);
  const all = ours === reason || reason === '' ? facts : { ...facts, agentReason: reason };
  if (status !== 401 && status !== 403) return new Refusal(ours, reported, all);
  // Its own words would read as if somebody refused the caller of the coordinator.
  return new Refusal(ours, `the agent of ${node} refuses this coordinator: ${reported}`, {
    remedy: tokenRemedy,
    ...all,
  });
}

/** More than any reason of shared/errors.ts. */
const longestReason = 64;

/** Without a reason it was no agent that answered. One that we do not know is a newer agent's: what it did is not known. */
function reasonFrom(text: string): Reason {
  if (text === '') return 'agent_unreachable';
  return isReason(text) ? text : 'internal';
}
