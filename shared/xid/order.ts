import type { InjectCascade, InjectXid } from '../schemas/order.ts';

/** What is asked for about one Xid. */
export type XidStep = Omit<InjectCascade['steps'][number], 'afterSeconds'>;

/** What is asked for about all Xids of an order. */
export type XidOrder = Pick<InjectXid, 'driver' | 'mig' | 'companions'>;
