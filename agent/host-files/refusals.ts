import { Refusal } from '../../shared/errors.ts';

/** `log_file_missing`. `missing` is the first folder or file of the path that is not there. */
export function fileMissing(path: string, missing: string): Refusal {
  return new Refusal(
    'log_file_missing',
    `this node has no ${missing}${missing === path ? '' : `, so no ${path}`}; the node monitoring agent looks for the file every 0.1 s, and nothing is created here`,
    {
      field: 'file',
      value: path,
      remedy: `create it on the node (mkdir -p ${path.slice(0, path.lastIndexOf('/'))} && touch ${path}), wait a second, and send the order again`,
    },
  );
}

/** `log_file_unusable`: it is there and may not be appended to, or cannot. */
export function fileUnusable(path: string, because: string, cause?: unknown): Refusal {
  return new Refusal(
    'log_file_unusable',
    `${path} is not appended to: ${because}`,
    {
      field: 'file',
      value: path,
      allowed: 'a regular file that no symbolic link leads to',
      remedy:
        'where it is one: the agent needs root and the host’s process ids, or the host’s root at --host-root',
    },
    cause,
  );
}

/** `read_back_failed`: the line was appended, and `found` is what stood at its place. */
export function notReadBack(path: string, found: string): Refusal {
  return new Refusal('read_back_failed', `the line was appended to ${path} but did not come back: ${found}`, {
    remedy: 'see whether the file was rotated or cut in this moment; send a new order id to append it again',
  });
}
