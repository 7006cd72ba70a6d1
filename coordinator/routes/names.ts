import Type from 'typebox';

/** A name in an address: Kubernetes' rule for names (RFC 1123 subdomains), by which an empty one, `.` and `..` are none. */
export function ObjectName(maxLength: number, use?: string) {
  const rule = 'lower case letters, digits, dashes and dots, a letter or digit first and last';
  return Type.String({
    maxLength,
    pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
    description: use === undefined ? rule : `${rule}; ${use}`,
  });
}
