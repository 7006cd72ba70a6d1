import manifest from '../package.json' with { type: 'json' };

/** Of both programs, from package.json. */
export const version: string = manifest.version;

/** The range of Node versions on which both programs run, `>=24.16.0`; the packaged Node and the images have one of it. */
export const nodeRange: string = manifest.devEngines.runtime.version;
