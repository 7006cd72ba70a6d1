import type { ObjectKey } from '../../cluster/port.ts';

/** The end of each container's log. */
export type PodLogs = {
  append(key: ObjectKey, line: string, container?: string): void;
  /** undefined: the container wrote nothing yet. */
  read(key: ObjectKey, container: string | undefined, tailLines: number | undefined): string | undefined;
  forget(key: ObjectKey): void;
};

/** A container runtime rotates logs; so does this. */
const keptLines = 5_000;

/** Keeps a bounded number of lines a container. */
export function createPodLogs(): PodLogs {
  const logs = new Map<string, string[]>();
  const prefix = ({ namespace, name }: ObjectKey) => `${namespace}/${name}/`;
  return {
    append: (key, line, container = '') => {
      const id = `${prefix(key)}${container}`;
      const lines = logs.get(id) ?? [];
      logs.set(id, lines);
      lines.push(line);
      if (lines.length > keptLines) lines.splice(0, lines.length - keptLines);
    },
    read: (key, container, tailLines) => {
      // What was appended without a container is what the pod's only container wrote.
      const lines = logs.get(`${prefix(key)}${container ?? ''}`) ?? logs.get(prefix(key));
      if (lines === undefined) return undefined;
      return lines
        .slice(tailLines === undefined ? 0 : Math.max(0, lines.length - tailLines))
        .map((line) => `${line}\n`)
        .join('');
    },
    forget: (key) => {
      for (const id of logs.keys()) if (id.startsWith(prefix(key))) logs.delete(id);
    },
  };
}
