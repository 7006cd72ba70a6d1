/** Members and headers whose value is nobody's business, wherever they stand. */
const secretNames = [
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key'],
  ...[
    'token',
    'access_token',
    'id_token',
    'refresh_token',
    'password',
    'secret',
    'client_secret',
    'api_key',
    'signature',
  ],
].join('|');

/** What a secret looks like in a line, and what stands there instead; the rest of the line stays as it was. */
const secretShapes: readonly (readonly [RegExp, string])[] = [
  // A member of an object, also of one that was made a text before.
  [
    new RegExp(
      `((?<!\\\\)\\\\*"(?:${secretNames})\\\\*"\\s*:\\s*(?:\\[\\s*)?)(\\\\*")(.*?)(?<!\\\\)\\2`,
      'gi',
    ),
    '$1$2[removed]$2',
  ],
  [new RegExp(`([?&](?:${secretNames}|key|sig)=)[^&#\\s"\\\\]*`, 'gi'), '$1[removed]'],
  // A header in a text (RFC 9110, 11.4), a JSON Web Token, and who logs in by an address (RFC 3986, 3.2.1).
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 [removed]'],
  // A variable or an option of a command; a quote or backslash behind it ends it, so that a line of JSON stays one.
  [
    /((?:\b\w{0,60}(?:secret|token|password|passwd)\w{0,60}=|--(?:token|password|secret)[ =])\\*["']?)(?!(?:true|false)\b)[^\s"'\\&#;]+/gi,
    '$1[removed]',
  ],
  [/\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*/g, '[removed]'],
  [/([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/"\\@?#]+@/gi, '$1[removed]@'],
];

/** A text without what looks like a secret, the rest as it was: the last guard of a log, and of what is quoted out of a pasted text. */
export function withoutSecrets(line: string): string {
  return secretShapes.reduce((text, [shape, instead]) => text.replace(shape, instead), line);
}
