// `helm test`: the coordinator is ready, refuses a caller without a token, and knows one with it, who has no right here.
import { readFileSync } from 'node:fs';

const { COORDINATOR: url, TOKEN_FILE: file } = process.env;
const authorization = `Bearer ${readFileSync(file, 'utf8').trim()}`;
const checks = [
  ['/readyz', {}, [200]],
  ['/api/v1/nodes', {}, [401]],
  // 200 where somebody has granted it to the namespace's default account.
  ['/api/v1/nodes', { authorization }, [403, 200]],
];
for (const [path, headers, wanted] of checks) {
  const { status } = await fetch(`${url}${path}`, { headers, signal: AbortSignal.timeout(15_000) });
  const who = headers.authorization === undefined ? 'without a token' : 'with a token';
  console.log(`${path} ${who}: ${status}`);
  if (!wanted.includes(status)) {
    console.error(`wanted ${wanted.join(' or ')}`);
    process.exit(1);
  }
}
