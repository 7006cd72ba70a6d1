import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isLoopback } from '../config.ts';
import { Refusal } from '../errors.ts';
import type { RouteAccess } from './access.ts';

/** By which names a server may be called, and what protects it beside that. */
export type BrowserRule = {
  /** True: each caller shows a bearer token, which no browser adds by itself. False: whoever reaches it may change something. */
  readonly hasGate: boolean;
  /**
   * Names that are accepted beside loopback, without a port, such as that of a Service or of an Ingress; with a gate only. With a
   * gate the address that the connection came to is accepted as well, as the kubelet and Prometheus use it: a foreign page has a
   * name of its own that resolves to us, never our address.
   */
  readonly names: readonly string[];
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True: it takes what a form of our own page sends, though it changes something. Absent: it does not. */
    form?: boolean;
  }
}

/** `Host` as RFC 9110 (7.2) has it: a name or an address, and perhaps a port. */
const authority = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i;

/** Methods that a page of another origin can send without asking first (Fetch standard, "CORS-safelisted method"). */
const unasked: readonly string[] = ['GET', 'HEAD', 'POST'];

/** Verbs of an access rule that change nothing. */
const readingVerbs: readonly string[] = ['get', 'list', 'watch'];

/**
 * Refuses what a web page makes a browser send: a name that is not ours (DNS rebinding), a request of another origin, and a change
 * without a header that such a page cannot add. Runs before the gate, so that no page makes us ask the API server. No CORS header is
 * ever sent: a preflight is answered as any unknown method.
 */
export function registerBrowserRules(app: FastifyInstance, rule: BrowserRule): void {
  app.addHook('onRequest', async (request) => {
    assertKnownHost(request, rule);
    assertOwnOrigin(request);
    const { access, form } = request.routeOptions.config;
    if (form === true && isOwnForm(request)) return;
    if (!rule.hasGate && !request.is404 && changes(request.method, access)) assertNotSimple(request);
  });
}

/** Also of a target that names a host itself, as a proxy is asked (RFC 9112, 3.2.2): that one counts then. */
function assertKnownHost(request: FastifyRequest, { hasGate, names: given }: BrowserRule): void {
  const names = hasGate ? given : [];
  const inTarget = /^https?:\/\/([^/?#]*)/i.exec(request.raw.url ?? '')?.[1];
  for (const host of [request.headers.host ?? '', ...(inTarget === undefined ? [] : [inTarget])]) {
    const name = parseAuthority(host)?.name;
    const isOwn = hasGate && name !== undefined && name === addressOf(request.raw.socket.localAddress);
    if (name !== undefined && (isOwn || isLoopback(name) || names.some((known) => sameName(known, name))))
      continue;
    throw new Refusal('host_unknown', `Host ${JSON.stringify(host)} is not a name of this server`, {
      field: 'host',
      value: host,
      allowed: ['localhost', ...names],
      remedy: hasGate
        ? 'call it by one of these names, or start it with --host NAME for another one'
        : 'without a token it is called as localhost only; with --token-file or --audience, --host NAME adds a name',
    });
  }
}

/**
 * As Go's net/http.CrossOriginProtection decides, but a page of the same site with another origin is refused too: `Sec-Fetch-Site`
 * where the browser sends it, `Origin` against `Host` otherwise. Without either it is no browser. A link that is followed to
 * us is no foreign read, as its page does not see the answer.
 */
function assertOwnOrigin({ headers, method }: FastifyRequest): void {
  const { origin, host } = headers;
  const site = textOf(headers['sec-fetch-site']);
  const isLink =
    method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  const isForeignSite = site !== undefined && site !== 'same-origin' && site !== 'none' && !isLink;
  const isForeignOrigin = origin !== undefined && !isSameOrigin(origin, host ?? '');
  if (!isForeignSite && !isForeignOrigin) return;
  const from =
    origin === undefined ? `Sec-Fetch-Site ${JSON.stringify(site)}` : `origin ${JSON.stringify(origin)}`;
  throw new Refusal('origin_refused', `a web page of another origin may not call this server (${from})`, {
    field: isForeignOrigin ? 'origin' : 'sec-fetch-site',
    value: isForeignOrigin ? origin : site,
    allowed: 'the page that this server itself serves, or a program that sends no Origin',
  });
}

/** The scheme does not count: behind an Ingress the page came by https, and the request by http. */
function isSameOrigin(origin: string, host: string): boolean {
  const match = /^(https?):\/\/([^/?#]*)$/i.exec(origin);
  const defaultPort = match?.[1]?.toLowerCase() === 'https' ? 443 : 80;
  const [left, right] = [parseAuthority(match?.[2] ?? ''), parseAuthority(host)];
  if (left === undefined || right === undefined || left.name !== right.name) return false;
  return (left.port ?? defaultPort) === (right.port ?? defaultPort);
}

/** Whether a request of the route changes something, by its rule: the agent's reads are POSTs. */
export function changes(method: string, access: RouteAccess | undefined): boolean {
  if (access === undefined || access === 'open') return method !== 'GET' && method !== 'HEAD';
  return !readingVerbs.includes(access.verb);
}

/**
 * Whether the browser itself says that a page of ours sends this, which no page can make it say (Fetch Metadata, `Sec-` headers are
 * forbidden to scripts); an older one says it by `Origin`, which has been compared with `Host` by now.
 */
function isOwnForm({ headers }: FastifyRequest): boolean {
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(headers['content-type'] ?? '')) return false;
  const site = textOf(headers['sec-fetch-site']);
  return site === undefined ? headers.origin !== undefined : site === 'same-origin';
}

/**
 * What a form of any page could send (Fetch standard, "CORS-safelisted request-header") changes nothing. Methods beside these need
 * a preflight by themselves.
 */
function assertNotSimple({ headers, method }: FastifyRequest): void {
  if (!unasked.includes(method)) return;
  if (/^application\/json\s*(?:;|$)/i.test(headers['content-type'] ?? '')) return;
  throw new Refusal(
    'media_type_unsupported',
    'content-type: a request that changes something needs it, also without a body',
    {
      field: 'content-type',
      value: headers['content-type'],
      allowed: 'application/json',
      remedy: 'send the header content-type: application/json, so that no web page can send the same request',
    },
  );
}

function parseAuthority(
  text: string,
): { readonly name: string; readonly port: number | undefined } | undefined {
  const match = authority.exec(text);
  const name =
    match === null ? undefined : (addressOf(match[1]) ?? match[2]?.toLowerCase().replace(/\.$/, ''));
  return name === undefined
    ? undefined
    : { name, port: match?.[3] === undefined ? undefined : Number(match[3]) };
}

/** One spelling of an address: IPv4 that came over IPv6 as IPv4, IPv6 shortened. undefined: it is none. */
function addressOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const plain = text.replace(/^::ffff:(?=\d+\.)/i, '');
  if (/^\d+\.\d+\.\d+\.\d+$/.test(plain)) return plain;
  const url = `http://[${plain.replace(/%.*$/, '')}]`;
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
}

function sameName(left: string, right: string): boolean {
  return (addressOf(left) ?? left.toLowerCase().replace(/\.$/, '')) === right;
}

/** A header that came more than once counts as foreign: no browser sends this one twice. */
function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
