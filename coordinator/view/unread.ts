import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Unread } from './facts.ts';

/** One member where something is unread, none otherwise. */
export function unreadAs<K extends string>(
  key: K,
  unread: Unread | undefined,
): { readonly [key in K]?: Unread } {
  return (unread === undefined ? {} : { [key]: unread }) as { readonly [key in K]?: Unread };
}

/** What is refused for want of a right is unread; what may pass is thrown. */
export async function unlessRefused<T>(
  answer: Promise<T>,
  asUnread: (refusal: Refusal) => Unread = unreadBecause,
): Promise<T | Unread> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.reason === 'cluster_refused') return asUnread(thrown);
    throw thrown;
  }
}

/** A part that could not be read, with the words of what went wrong and the remedy where there is one. */
export function unreadBecause(thrown: unknown): Unread {
  const unread = messageFromUnknown(thrown);
  if (!(thrown instanceof Refusal)) return { unread };
  const { reason, details } = thrown;
  return { unread, reason, ...(details.remedy === undefined ? {} : { remedy: details.remedy }) };
}
