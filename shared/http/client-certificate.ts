import type { Socket } from 'node:net';
import { type DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { certificateFaults } from './certificate-faults.ts';
import type { Gate } from './gate.ts';

/** Which client certificates are accepted. */
export type CertificateRule = {
  /** SHA-256 fingerprints of the authorities that are trusted now. */
  readonly authorities: () => ReadonlySet<string>;
  /** The DNS name that the certificate has to be issued for. */
  readonly name: string;
  /** Whose token counts only together with a certificate; absent: everybody's. */
  readonly user?: string;
};

/**
 * Tokens together with client certificates: a token that got into other hands is worth nothing there. A certificate that
 * is shown has to be good, whoever shows it.
 */
export function createCertificateGate(inner: Gate, clock: Clock, rule: CertificateRule): Gate {
  return {
    async admit(header, access, peer) {
      const shown = shownBy(peer, rule, clock.now());
      if (typeof shown === 'object') throw refused(`the client certificate ${shown.fault}`, rule);
      const username = await inner.admit(header, access, peer);
      if (shown === 'none' && (rule.user === undefined || rule.user === username)) {
        const whose = rule.user === undefined ? 'the token' : `the token of ${rule.user}`;
        throw refused(`${whose} counts only together with a client certificate, and none was shown`, rule);
      }
      return username;
    },
  };
}

/** At each request, as a connection may outlive the certificate that it began with, and the belief in its authority. */
function shownBy(
  peer: Socket,
  { name, authorities }: CertificateRule,
  now: number,
): 'none' | 'good' | { readonly fault: string } {
  if (!(peer instanceof TLSSocket)) return 'none';
  const certificate = peer.getPeerX509Certificate();
  if (certificate === undefined) return 'none';
  const { validTo, subjectAltName = 'no name' } = certificate;
  const code = faultAtHandshake(peer) ?? (Date.parse(validTo) < now ? 'CERT_HAS_EXPIRED' : undefined);
  if (code !== undefined) return { fault: `${certificateFaults[code] ?? 'is not trusted'} (${code})` };
  const known = authorities();
  if (!chainOf(peer).some(({ fingerprint256 }) => known.has(fingerprint256)))
    return { fault: 'comes from an authority that is not trusted any more' };
  if (certificate.checkHost(name, { subject: 'never' }) !== undefined) return 'good';
  return { fault: `is for another name: it has ${subjectAltName}, and not ${name}` };
}

/** Node leaves `authorized` as it was when a later handshake fails, so that the error counts first. */
function faultAtHandshake(peer: TLSSocket): string | undefined {
  const error: unknown = peer.authorizationError;
  if (error !== undefined && error !== null) return String(error);
  return peer.authorized ? undefined : 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';
}

/** From the certificate that was shown to the root that it was trusted by, which its issuer is itself. */
function chainOf(peer: TLSSocket): readonly DetailedPeerCertificate[] {
  const chain = [peer.getPeerCertificate(true)];
  for (let last = chain[0]; last !== undefined; ) {
    const { issuerCertificate: issuer } = last;
    last = issuer === undefined || issuer === last || chain.includes(issuer) ? undefined : issuer;
    if (last !== undefined) chain.push(last);
  }
  return chain;
}

function refused(message: string, { name }: CertificateRule): Refusal {
  return new Refusal('unauthenticated', message, {
    field: 'client-certificate',
    allowed: `a certificate for ${name} from the authority of --client-ca-file`,
    remedy:
      'compare the certificate that the caller shows (--agent-client-cert-file of the coordinator) with --client-ca-file and --client-name of the program that refuses it',
  });
}
