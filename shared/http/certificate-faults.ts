const otherAuthority = 'comes from another authority than the one that is trusted';

/**
 * What is wrong with the other side's certificate, as the end of a sentence about it, by the codes of OpenSSL and Node
 * (nodejs.org/api/tls.html, "X509 certificate error codes").
 */
export const certificateFaults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet; compare the clocks',
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is signed by itself, and not by the authority that is trusted',
  SELF_SIGNED_CERT_IN_CHAIN: otherAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: otherAuthority,
  UNABLE_TO_GET_ISSUER_CERT: 'comes from an authority whose own root is not in the file that is trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: otherAuthority,
  CERT_SIGNATURE_FAILURE: otherAuthority,
  INVALID_PURPOSE: 'may not be used for this side of a connection (extended key usage)',
};
