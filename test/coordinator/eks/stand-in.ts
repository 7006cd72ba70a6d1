import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** One answer of the stand-in: a node group, or an error as EKS sends it (restJson1: type in a header, message in the body). */
export type EksAnswer =
  | { readonly nodegroup: object }
  | { readonly status: number; readonly type: string; readonly message: string }
  | 'silent';

/** Speaks the part of the EKS API that DescribeNodegroup needs (API_DescribeNodegroup), on loopback. */
export type EksStandIn = {
  readonly url: string;
  /** Of every request so far: `GET /clusters/…`, and whether it was signed for EKS. */
  readonly requests: readonly { readonly line: string; readonly signed: boolean }[];
  close(): Promise<void>;
};

/** `answer` decides by cluster and group, and by how often that was asked before. */
export async function startEks(
  answer: (asked: { readonly cluster: string; readonly group: string; readonly before: number }) => EksAnswer,
): Promise<EksStandIn> {
  const requests: { line: string; signed: boolean }[] = [];

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const line = `${request.method} ${request.url}`;
    const before = requests.filter((one) => one.line === line).length;
    const signed = /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/ap-northeast-2\/eks\/aws4_request/.test(
      request.headers.authorization ?? '',
    );
    requests.push({ line, signed });
    const [, cluster, group] = /^GET \/clusters\/([^/]+)\/node-groups\/([^/?]+)$/.exec(line) ?? [];
    const found: EksAnswer =
      cluster === undefined || group === undefined
        ? { status: 404, type: 'ResourceNotFoundException', message: `no such operation: ${line}` }
        : answer({ cluster, group, before });
    if (found === 'silent') return;
    response.setHeader('content-type', 'application/json');
    if ('status' in found) response.setHeader('x-amzn-errortype', found.type);
    response.statusCode = 'status' in found ? found.status : 200;
    response.end(JSON.stringify('status' in found ? { message: found.message } : found));
  }

  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
