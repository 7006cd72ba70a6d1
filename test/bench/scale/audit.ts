import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** One request of the coordinator as the API server's audit log has it. */
export type AuditedRequest = {
  readonly verb: string;
  /** With its subresource: `injections/status`. */
  readonly resource: string;
  readonly status: number;
  /** Milliseconds from its arrival at the API server to the end of the answer. */
  readonly tookMs: number;
};

/** Only finished requests of one user; its watches appear when they end. */
export function auditPolicy(user: string): object {
  return {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived', 'ResponseStarted'],
    rules: [{ level: 'Metadata', users: [user] }, { level: 'None' }],
  };
}

/** Reads an audit log piece by piece: each call returns what was added since the last. */
export function createAuditReader(path: string): () => readonly AuditedRequest[] {
  let offset = 0;
  let rest = '';
  return () => {
    const file = openSync(path, 'r');
    try {
      const buffer = Buffer.alloc(fstatSync(file).size - offset);
      offset += readSync(file, buffer, 0, buffer.length, offset);
      const lines = (rest + buffer.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      return lines.filter((line) => line !== '').map(requestFrom);
    } finally {
      closeSync(file);
    }
  };
}

type AuditLine = {
  readonly verb: string;
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
  readonly requestURI: string;
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
};

function requestFrom(text: string): AuditedRequest {
  const line = JSON.parse(text) as AuditLine;
  const { resource, subresource } = line.objectRef ?? {};
  return {
    verb: line.verb,
    resource: [resource ?? line.requestURI, subresource].filter((part) => part !== undefined).join('/'),
    status: line.responseStatus?.code ?? 0,
    tookMs: Date.parse(line.stageTimestamp) - Date.parse(line.requestReceivedTimestamp),
  };
}

/** How often each verb on each resource was asked; watches are left out, because they last. */
export function countRequests(requests: readonly AuditedRequest[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { verb, resource } of requests) {
    const name = `${verb} ${resource}`;
    if (verb !== 'watch') counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return new Map([...counts].toSorted(([, left], [, right]) => right - left));
}
