import { assertKmsgText } from '../../../shared/kmsg-record.ts';
import type { SurfaceWriter } from './writer.ts';

/** Appends one line to a log file of the node. */
export const logFile: SurfaceWriter<'log-file'> = ({ afterMs, path, text }, { hostFiles }) => {
  return {
    surface: 'log-file',
    afterMs,
    undo: 'stays in the file until it is rotated; nothing that was logged is ever cut out of it',
    async prepare() {
      assertKmsgText(text);
      await hostFiles.assertAppendable(path);
      return {
        write: async () => ({ written: text, readBack: await hostFiles.append(path, text), notes: [] }),
      };
    },
  };
};
