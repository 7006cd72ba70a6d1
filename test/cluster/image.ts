import { assembleTree, ownPlatform } from '../../shared/image/tree.ts';
import { environmentOf, instructionsOf, stagesOf, textsOf } from '../shared/image/dockerfile.ts';

/** What a container engine would know of an image, read from its Dockerfile, and the files of its last layer. */
export type Image = {
  readonly folder: string;
  /** Where the layer lies in the image. */
  readonly mountPath: string;
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly user: number;
};

export async function buildImage(program: 'agent' | 'coordinator', folder: string): Promise<Image> {
  const tree = await assembleTree({ program, folder, platform: ownPlatform ?? '' });
  const { final } = stagesOf(instructionsOf(`Dockerfile.${program}`));
  const only = (name: string) => {
    const [text, ...more] = textsOf(final, name);
    if (text === undefined || more.length > 0) throw new Error(`one ${name} was expected`);
    return text;
  };
  return {
    folder: tree.folder,
    mountPath: only('COPY').split(' ').at(-1) ?? '',
    entrypoint: JSON.parse(only('ENTRYPOINT')) as string[],
    environment: environmentOf(final),
    user: Number(only('USER').split(':')[0]),
  };
}
