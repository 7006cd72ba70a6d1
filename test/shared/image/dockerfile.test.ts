import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import t from 'tap';
import { nodeEnvironment, nodeFlags } from '../../../shared/bundle.ts';
import { assembleTree, ownPlatform } from '../../../shared/image/tree.ts';
import { version } from '../../../shared/version.ts';
import { root } from '../../suite.ts';
import { environmentOf, instructionsOf, layOut, stagesOf, textsOf } from './dockerfile.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-dockerfile-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const digest = `sha256:${'b'.repeat(64)}`;
const programs = [
  { program: 'agent', user: '0:0', port: '9475' },
  { program: 'coordinator', user: '65532:65532', port: '8475' },
] as const;

for (const { program, user, port } of programs) {
  const file = `Dockerfile.${program}`;
  const { head, build, final, count } = stagesOf(instructionsOf(file));

  t.test(`${file}: the final stage is the base image and the tree`, async (t) => {
    t.equal(count, 2);
    t.equal(textsOf(head, 'ARG').length, 2);
    t.match(textsOf(head, 'ARG'), [/^NODE_IMAGE=node:\d+\.\d+\.\d+-trixie-slim$/, 'NODE_DIGEST=']);
    for (const stage of [build, final])
      t.match(textsOf(stage, 'FROM')[0], /\$\{NODE_IMAGE\}\$\{NODE_DIGEST:\+@\}\$\{NODE_DIGEST\}/);
    t.strictSame(textsOf(final, 'COPY'), ['--from=build /tree /opt/xidrill']);
    t.strictSame(textsOf(final, 'RUN'), [], 'nothing is installed or left behind in it');
    t.strictSame(textsOf(final, 'USER'), [user]);
    t.strictSame(textsOf(final, 'EXPOSE'), [port]);
    const [labels = ''] = textsOf(final, 'LABEL');
    for (const name of ['title', 'description', 'licenses', 'version', 'revision', 'created'])
      t.match(labels, `org.opencontainers.image.${name}="`);
    t.match(textsOf(final, 'ARG'), [`VERSION=${version}`, /^REVISION=/, /^CREATED=/]);
  });

  t.test(`${file}: starts the program as it was measured`, async (t) => {
    const [node, ...args] = JSON.parse(textsOf(final, 'ENTRYPOINT')[0] ?? '[]') as string[];
    t.equal(node, 'node');
    t.strictSame(args, [...nodeFlags[program], `/opt/xidrill/${program}.mjs`]);
    const { PATH = '', ...environment } = environmentOf(final);
    t.strictSame(environment, { NODE_ENV: 'production', ...nodeEnvironment });
    t.equal(PATH.startsWith('/opt/xidrill/bin:'), program === 'coordinator', 'xidrill is on PATH there');
  });

  t.test(`${file}: what the build stage copies is enough to assemble the tree`, async (t) => {
    const source = join(folder, program, 'src');
    const tree = join(folder, program, 'tree');
    const [command = '', ...more] = layOut(build, source);
    t.strictSame(more, []);
    t.match(command, ` ${program} /tree --platform "\${TARGETPLATFORM}" --base "\${NODE_IMAGE}`);
    t.strictSame(
      textsOf(build, 'ARG'),
      ['TARGETPLATFORM', 'NODE_IMAGE', 'NODE_DIGEST'],
      'it sees the names of the head',
    );
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    t.match(scripts['image:tree'], command.split(' ')[1] ?? 'none', 'the same script as npm run image:tree');
    const path = `${dirname(process.execPath)}:${process.env.PATH}`;
    const { stdout } = await run('sh', ['-c', command.replace('/tree', tree)], {
      cwd: source,
      env: {
        ...process.env,
        PATH: path,
        TARGETPLATFORM: ownPlatform,
        NODE_IMAGE: 'node:1-slim',
        NODE_DIGEST: digest,
      },
    });
    const own = await assembleTree({
      program,
      folder: join(folder, program, 'own'),
      platform: ownPlatform ?? '',
    });
    t.strictSame((JSON.parse(stdout) as { files: unknown }).files, own.files);
    const bill = readFileSync(join(tree, 'sbom.cdx.json'), 'utf8');
    t.match((JSON.parse(bill) as { components: readonly object[] }).components.at(-2), {
      type: 'container',
      name: 'node',
      version: '1-slim',
      hashes: [{ content: digest.slice(7) }],
      components: [{ 'bom-ref': /^pkg:deb\/debian\// }],
    });
  });

  t.test(`${file}: the linter has nothing to say`, async (t) => {
    const found = (text: string) => validate(text).map(({ message }) => message);
    const text = readFileSync(join(root, file), 'utf8');
    t.strictSame(found(text), []);
    t.match(found(text.replace('USER ', 'USRE ')), [/Unknown instruction: USRE/]);
  });
}
