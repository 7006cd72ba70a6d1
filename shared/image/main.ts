import { parseArgs } from 'node:util';
import { messageFromUnknown, Refusal, rpcCodes } from '../errors.ts';
import { readBaseImage } from './base-image.ts';
import { assembleTree, ownPlatform, platforms } from './tree.ts';

const usage =
  'npm run image:tree -- agent|coordinator DIR [--platform linux/amd64|linux/arm64] [--base IMAGE[@DIGEST]]';

/** `npm run image:tree`: the files of an image, and on standard output what they are. */
try {
  const { base, ...asked } = readArguments(process.argv.slice(2));
  const image =
    base === undefined ? {} : { base: readBaseImage(base, { root: '/', versions: process.versions }) };
  process.stdout.write(`${JSON.stringify(await assembleTree({ ...asked, ...image }), null, 2)}\n`);
} catch (thrown) {
  if (!(thrown instanceof Refusal)) throw thrown;
  const { code, reason, message, details } = thrown;
  process.stderr.write(`image:tree: ${reason}: ${message}\n  ${details.remedy ?? ''}\n`);
  process.exit(rpcCodes[code].exit);
}

function readArguments(argv: readonly string[]): {
  readonly program: string;
  readonly folder: string;
  readonly platform: string;
  readonly base: string | undefined;
} {
  const { positionals, values } = parsed(argv);
  const [program, folder, ...more] = positionals;
  if (program === undefined || folder === undefined || more.length > 0)
    throw malformed(`wanted a program and a folder, not ${positionals.length} words`);
  const platform = values.platform ?? ownPlatform;
  if (platform === undefined)
    throw new Refusal('malformed_request', `${process.platform}/${process.arch} has no image of its own`, {
      field: '--platform',
      allowed: platforms,
      remedy: `give --platform one of ${platforms.join(', ')}`,
    });
  return { program, folder, platform, base: values.base };
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { platform: { type: 'string' }, base: { type: 'string' } },
    });
  } catch (thrown) {
    throw malformed(messageFromUnknown(thrown));
  }
}

function malformed(message: string): Refusal {
  return new Refusal('malformed_request', message, { field: 'arguments', remedy: usage });
}
