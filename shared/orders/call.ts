import { Compile } from 'typebox/compile';
import { Errors } from 'typebox/value';
import { knownField } from '../dcgm-fields/find.ts';
import { xidField } from '../dcgm-fields/ids.ts';
import { Refusal } from '../errors.ts';
import { type MethodCall, type OrderBody, type OrderMethod, orderMethods } from '../schemas/order.ts';
import type { EngineSelector, GpuSelector } from '../schemas/order-members.ts';
import { type Surface, type SurfaceMethods, surfaceRows } from '../surfaces/table.ts';

/**
 * A method with a body that was put together from untyped values. Throws a Refusal that names the member,
 * `parameter_invalid` or `text_too_long`, for a body that the agent would not take.
 */
export function parseCall<M extends OrderMethod>(
  method: M,
  body: Readonly<Record<string, unknown>>,
): { readonly method: M; readonly body: OrderBody<M> } {
  const schema = orderMethods[method];
  if (checkOf(method)(body)) return { method, body: body as OrderBody<M> };
  const [first] = Errors(schema, body);
  const field = first?.instancePath.slice(1).replaceAll('/', '.') || 'body';
  throw new Refusal(
    first?.keyword === 'maxLength' ? 'text_too_long' : 'parameter_invalid',
    `${field}: ${first?.message ?? 'not the documented shape'} (${method})`,
    { field },
  );
}

/**
 * Compiled at the first use of a method: a plan of thousands of nodes checks one body each, and walking through the schema was
 * two thirds of its time.
 */
function checkOf(method: OrderMethod): (body: unknown) => boolean {
  const known = checks.get(method);
  if (known !== undefined) return known;
  const compiled = Compile(orderMethods[method]);
  const check = (body: unknown) => compiled.Check(body);
  checks.set(method, check);
  return check;
}

const checks = new Map<OrderMethod, (body: unknown) => boolean>();

/** The GPU that an order names; undefined: its method takes none. */
export function gpuNamed({ body }: MethodCall): GpuSelector | undefined {
  return 'gpu' in body ? body.gpu : undefined;
}

/** The host engine that an order names; undefined: the one that the monitoring agent is connected to. */
export function engineNamed({ body }: MethodCall): EngineSelector | undefined {
  return 'engine' in body ? body.engine : undefined;
}

/** Whether it is carried out although no listener or no reaction is known. */
export function isForced({ body }: MethodCall): boolean {
  return 'force' in body && body.force === true;
}

/** Whether it consents to a kernel log line that a host engine acts on. */
export function acceptsRisk({ body }: MethodCall): boolean {
  return 'acceptRisk' in body && body.acceptRisk === true;
}

/** Whether its kernel log lines are those that an NVIDIA driver prints for an Xid, made by the agent. */
export function isXidOrder({ method }: Pick<MethodCall, 'method'>): boolean {
  return method === 'InjectXid' || method === 'InjectCascade';
}

/** The Xids that an order names by number: its own, those of its steps, or a value of field 230. */
export function xidsNamed(call: MethodCall): readonly number[] {
  switch (call.method) {
    case 'InjectXid':
      return [call.body.xid];
    case 'InjectCascade':
      return call.body.steps.map(({ xid }) => xid);
    case 'InjectDcgmField': {
      const { field, value } = call.body;
      const number = Number(value);
      return knownField(field)?.id === xidField && Number.isInteger(number) ? [number] : [];
    }
    default:
      return [];
  }
}

/** Milliseconds from the acceptance of an order until its last part is due; 0: at once. */
export function scheduledMs({ body }: MethodCall): number {
  if ('steps' in body) return Math.max(0, ...body.steps.map(({ afterSeconds }) => afterSeconds)) * 1000;
  if (!('times' in body || 'gapSeconds' in body)) return 0;
  const { times = 1, gapSeconds = 0 } = body;
  return (times - 1) * gapSeconds * 1000;
}

/** Seconds for which an order lasts once it was accepted; undefined: it is written once. */
export function lastingSeconds({ body }: MethodCall): number | undefined {
  return 'forSeconds' in body ? body.forSeconds : undefined;
}

/** Whether something goes on, or begins, at the agent after it has answered the order. */
export function outlastsItsAnswer(call: MethodCall): boolean {
  return lastingSeconds(call) !== undefined || scheduledMs(call) > 0;
}

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
