// `helm test`: the coordinator is ready, refuses a caller without a token, and lists nodes for one with it.
import { readFileSync } from 'node:fs';

const { COORDINATOR: url, TOKEN_FILE: file } = process.env;
const authorization = `Bearer ${readFileSync(file, 'utf8').trim()}`;
const checks = [
  ['/readyz', {}, 200],
  ['/api/v1/nodes', {}, 401],
  ['/api/v1/nodes', { authorization }, 200],
];
for (const [path, headers, wanted] of checks) {
  const { status } = await fetch(`${url}${path}`, { headers, signal: AbortSignal.timeout(15_000) });
  const who = headers.authorization === undefined ? 'without a token' : 'with the token';
  console.log(`${path} ${who}: ${status}`);
  if (status !== wanted) {
    console.error(`wanted ${wanted}`);
    process.exit(1);
  }
}
