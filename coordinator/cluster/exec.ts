import { Writable } from 'node:stream';
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import { type ClusterSource, configFromSource } from './transport.ts';

/** A container of a pod. */
export type Container = { readonly namespace: string; readonly pod: string; readonly container: string };

/** What a command that ended printed. */
export type ExecResult = {
  /** Standard output and then standard error. */
  readonly output: string;
  readonly exitCode: number;
};

/**
 * Runs one command of a fixed list in a container, by the right `pods/exec` of the caller. Throws `cluster_refused` with
 * `httpStatus: 403` where that is missing, `cluster_unreachable` where it did not come to its end in time or printed too much.
 */
export type PodExec = (container: Container, command: readonly string[]) => Promise<ExecResult>;

/** Limits of one command. */
export type ExecLimits = {
  /** From the connection to its end, of real time. */
  readonly timeoutMs: number;
  /** Standard output and standard error together. */
  readonly mostBytes: number;
};

/**
 * `pods/exec` over WebSocket, by the kubeconfig. No other commands than those of `allowed` can be run with it, whoever calls it:
 * these are words for execve(2), no shell reads them.
 */
export function createPodExec(
  source: ClusterSource,
  allowed: readonly (readonly string[])[],
  limits: ExecLimits,
): PodExec {
  return async (container, command) => {
    const isAllowed = allowed.some(
      (one) => one.length === command.length && one.every((word, index) => word === command[index]),
    );
    if (!isAllowed)
      throw new Refusal(
        'malformed_request',
        `"${command.join(' ')}" is not one of the commands that only read`,
      );
    // Only here: nothing else needs them.
    const [{ Exec }, { WebSocketHandler }] = await Promise.all([
      import('@kubernetes/client-node/dist/exec.js'),
      import('@kubernetes/client-node/dist/web-socket-handler.js'),
    ]);
    const asked = `exec in pod ${container.namespace}/${container.pod}`;
    const done = Promise.withResolvers<ExecResult>();
    const chunks: Buffer[] = [];
    let bytes = 0;
    const collect = () =>
      new Writable({
        write(chunk: Buffer, _encoding, next) {
          bytes += chunk.length;
          if (bytes <= limits.mostBytes) chunks.push(chunk);
          else
            done.reject(
              new Refusal('cluster_unreachable', `${asked}: more than ${limits.mostBytes} bytes of output`),
            );
          next();
        },
      });
    const [output, errors] = [collect(), collect()];
    const timer = setTimeout(() => {
      const message = `${asked}: no end within ${limits.timeoutMs} ms`;
      done.reject(new Refusal('cluster_unreachable', message, { timeoutMs: limits.timeoutMs }));
    }, limits.timeoutMs);
    // Its own default streams are those of this process, which it would close.
    const streams = { stdin: process.stdin, stdout: output, stderr: errors };
    const config = bounded(configFromSource(source), limits.timeoutMs);
    const handler = new WebSocketHandler(config, undefined, streams);
    const { namespace, pod } = container;
    const connecting = new Exec(config, handler).exec(
      namespace,
      pod,
      container.container,
      [...command],
      output,
      errors,
      null,
      false,
      (status) =>
        done.resolve({ output: Buffer.concat(chunks).toString('utf8'), exitCode: exitCodeOf(status) }),
    );
    connecting.then(
      (socket) =>
        socket.on('close', () =>
          done.reject(
            new Refusal('cluster_unreachable', `${asked}: the connection ended before the command`),
          ),
        ),
      (thrown: unknown) => done.reject(refusalFrom(asked, thrown)),
    );
    try {
      return await done.promise;
    } finally {
      clearTimeout(timer);
      void connecting.then(
        (socket) => socket.terminate(),
        () => {},
      );
    }
  };
}

/** The same credentials, with ws's own limit for a server that never answers the handshake. */
function bounded(config: KubeConfig, timeoutMs: number): KubeConfig {
  const given = config.applyToHTTPSOptions.bind(config);
  config.applyToHTTPSOptions = async (options) => {
    await given(options);
    Object.assign(options, { handshakeTimeout: timeoutMs });
  };
  return config;
}

function exitCodeOf(status: {
  readonly status?: string | undefined;
  readonly details?: { readonly causes?: { readonly reason?: string; readonly message?: string }[] };
}): number {
  if (status.status === 'Success') return 0;
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  return Number.parseInt(cause?.message ?? '', 10) || 255;
}

/** ws has the status in the message of its event alone: "Unexpected server response: 403". */
function refusalFrom(asked: string, thrown: unknown): Refusal {
  const message =
    typeof thrown === 'object' && thrown !== null && 'message' in thrown
      ? String(thrown.message)
      : messageFromUnknown(thrown);
  const httpStatus = Number(/response: (\d{3})/.exec(message)?.[1] ?? Number.NaN);
  if (httpStatus === 401 || httpStatus === 403)
    return new Refusal('cluster_refused', `${asked}: HTTP ${httpStatus}`, { httpStatus });
  return new Refusal('cluster_unreachable', `${asked}: ${message}`);
}
