import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Refusal, statusOf } from '../errors.ts';
import type { ErrorFormat } from './server.ts';

/** What Node's HTTP parser or its timers found wrong, before there is a request that a hook could see. */
type ParserError = Error & { readonly code?: string; readonly reason?: string };

/**
 * Answers on a bare connection, in the format of the server, and closes it: Node's own answers have no body. Codes:
 * nodejs.org/api/http.html, event `clientError`.
 */
export function answerParserErrors(
  formatError: ErrorFormat,
  newId: () => string,
): (thrown: ParserError, socket: Socket) => void {
  return (thrown, socket) => {
    // The caller has gone, or an answer is on its way that must not be mixed with this one.
    if (thrown.code === 'ECONNRESET' || !socket.writable || isBeingAnswered(socket)) {
      socket.destroy(thrown);
      return;
    }
    const id = newId();
    const refusal = refusalFromParser(thrown);
    const { type, body } = formatError(refusal, { id, url: undefined });
    const text = JSON.stringify(body);
    const status = statusOf(refusal.reason);
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      `content-type: ${type}`,
      `content-length: ${Buffer.byteLength(text)}`,
      `x-request-id: ${id}`,
      'connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
  };
}

/** As Node's own handler asks (lib/_http_server.js, socketOnError); there is no public member for it. */
function isBeingAnswered(
  socket: Socket & { readonly _httpMessage?: { readonly headersSent: boolean } },
): boolean {
  return socket._httpMessage?.headersSent === true;
}

function refusalFromParser(thrown: ParserError): Refusal {
  if (thrown.code === 'HPE_HEADER_OVERFLOW')
    return new Refusal('headers_too_large', 'headers: larger than this server takes', { field: 'headers' });
  if (thrown.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Refusal('request_timeout', 'the request did not arrive in full in time', {});
  return new Refusal(
    'malformed_request',
    `what was sent is not HTTP/1.1${thrown.reason === undefined ? '' : ` (${thrown.reason})`}`,
    { field: 'request' },
  );
}
