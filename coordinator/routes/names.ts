import Type from 'typebox';

/** A name in an address: Kubernetes' rule for names (RFC 1123 subdomains), by which an empty one, `.` and `..` are none. */
export function ObjectName(maxLength: number, description = 'lower case letters, digits, - and .') {
  return Type.String({
    maxLength,
    pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
    description,
  });
}
