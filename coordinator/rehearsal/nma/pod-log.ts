import { type Clock, isoFromMillis } from '../../../shared/clock.ts';
import type { NmaVersion } from '../../catalogue/nma/versions.ts';

/** What NMA writes to its container's log: zap's JSON, mixed with lines of the programs and libraries around it. */
export type PodLog = {
  info(message: string, fields?: object): void;
  debug(message: string, fields?: object): void;
  error(message: string, error: string, fields?: object): void;
  /** A line that is not NMA's own: a plugin's stderr, a panic, go-dcgm, klog. */
  plain(line: string): void;
};

/** Each line of it goes to `write`, without a line break. */
export function createPodLog(deps: {
  readonly clock: Clock;
  readonly node: string;
  readonly row: NmaVersion;
  readonly write: (line: string) => void;
}): PodLog {
  const { clock, node, row, write } = deps;
  const line = (level: string, message: string, fields: object) =>
    write(JSON.stringify({ level, ts: isoFromMillis(clock.now()), msg: message, hostname: node, ...fields }));
  return {
    info: (message, fields = {}) => line('info', message, fields),
    debug: (message, fields = {}) => line(row.debugLevelText, message, fields),
    error: (message, error, fields = {}) =>
      line('error', message, { ...fields, error, stacktrace: 'sigs.k8s.io/controller-runtime/pkg/log' }),
    plain: write,
  };
}
