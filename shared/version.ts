import manifest from '../package.json' with { type: 'json' };

/** Of both programs, from package.json. */
export const version: string = manifest.version;
