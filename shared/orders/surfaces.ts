import type { MethodCall } from '../schemas/order.ts';
import { type Surface, type SurfaceMethods, surfaceRows } from '../surfaces/table.ts';

/** Where an order writes, whatever the node is: its script (script.ts) has parts on these and no others. */
export function surfacesOfOrder(call: MethodCall): readonly Surface[] {
  switch (call.method) {
    case 'InjectXid':
    case 'InjectCascade':
      return call.body.surfaces;
    case 'InjectSxid':
      return ['kernel-log'];
    default:
      return [surfaceOfMethod(call.method)];
  }
}

/** The surface of a method that writes to one alone. */
function surfaceOfMethod(method: keyof SurfaceMethods): Surface {
  const row = surfaceRows.find(({ methods }) => method in methods);
  if (row === undefined) throw new RangeError(`no surface has ${method}`);
  return row.name;
}
