import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { certificateFaults } from './certificate-faults.ts';
import type { Gate } from './gate.ts';

export type CertificateRule = {
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
      const shown = shownBy(peer, rule.name, clock.now());
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

/** At each request, as a connection may outlive the certificate that it began with. */
function shownBy(peer: Socket, name: string, now: number): 'none' | 'good' | { readonly fault: string } {
  if (!(peer instanceof TLSSocket)) return 'none';
  const certificate = peer.getPeerX509Certificate();
  if (certificate === undefined) return 'none';
  const { validTo, subjectAltName = 'no name' } = certificate;
  const code = peer.authorized
    ? Date.parse(validTo) < now && 'CERT_HAS_EXPIRED'
    : String(peer.authorizationError);
  if (code !== false) return { fault: `${certificateFaults[code] ?? 'is not believed'} (${code})` };
  if (certificate.checkHost(name, { subject: 'never' }) !== undefined) return 'good';
  return { fault: `is for another name: it has ${subjectAltName}, and not ${name}` };
}

function refused(message: string, { name }: CertificateRule): Refusal {
  return new Refusal('unauthenticated', message, {
    field: 'client-certificate',
    allowed: `a certificate for ${name} from the authority of --client-ca-file`,
    remedy:
      'compare the certificate that the caller shows (--agent-client-cert-file of the coordinator) with --client-ca-file and --client-name of the program that refuses it',
  });
}
