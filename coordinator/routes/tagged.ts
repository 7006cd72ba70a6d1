import type { FastifyReply } from 'fastify';
import { shortHash } from '../store/store.ts';

/**
 * Sends a body with its ETag, or 304 without it where the caller has it already (`If-None-Match`, RFC 9110 13.1.2: `*`, or a
 * list of tags that are compared weakly).
 */
export function sendTagged(reply: FastifyReply, body: object): FastifyReply {
  const text = JSON.stringify(body);
  const tag = `"${shortHash(text, 32)}"`;
  void reply.header('etag', tag).header('cache-control', 'no-cache');
  // Of a request that changes something the answer is its outcome, whatever the caller knew before.
  const isRead = ['GET', 'HEAD'].includes(reply.request.method);
  const known = [reply.request.headers['if-none-match'] ?? []].flat().join(',');
  const tags = known.split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (isRead && (tags.includes(tag) || tags.includes('*'))) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(text);
}
