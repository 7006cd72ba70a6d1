import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Access } from '../../shared/http/gate.ts';
import { renderKillSwitch } from './kill-switch.ts';
import type { Frame } from './layout.ts';
import { pagePaths } from './paths.ts';
import { type Barred, type PageAct, type PageSource, pageActs } from './port.ts';

/** Why who asks may not do this; undefined: they may, or it could not be found out, and trying shows it. */
export type BarredBy = (request: FastifyRequest, access: Access) => Promise<Barred | undefined>;

/** By the gate of the server, which decides on the request itself as well. */
export const barredByGate: BarredBy = async (request, access) => {
  try {
    await request.admit(access);
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.reason !== 'permission_denied') return undefined;
    const { remedy } = thrown.details;
    return { because: thrown.message, ...(remedy === undefined ? {} : { remedy }) };
  }
  return undefined;
};

/** What an act of the page needs, on one object or on all. */
export function accessOfAct(act: PageAct, namespace: string, name?: string): Access {
  return { ...pageActs[act], namespace, ...(name === undefined ? {} : { name }) };
}

const Name = Type.Object({ name: Type.String({ minLength: 1, maxLength: 253 }) });
const SwitchForm = Type.Object(
  {
    reason: Type.Optional(Type.String({ maxLength: 500 })),
    step: Type.Enum(['engage', 'release']),
  },
  { additionalProperties: false },
);

/** Adds what the buttons of the page send: only what a form of the page itself can send is taken. */
export function registerActions(
  app: FastifyInstance,
  options: {
    readonly source: PageSource;
    readonly base: string;
    readonly namespace: string;
    readonly barred: BarredBy;
    readonly show: (reply: FastifyReply, frame: Frame) => Promise<unknown>;
  },
): void {
  const { source, base, namespace, barred, show } = options;
  for (const act of ['abort', 'restore'] as const)
    app.post<{ Params: Static<typeof Name> }>(
      pagePaths[act],
      {
        config: { access: { ...accessOfAct(act, namespace), nameFrom: 'name' }, form: true },
        schema: { params: Name },
      },
      async ({ params: { name } }, reply) => {
        await source[act](name);
        return reply.redirect(`${base}/drills/${encodeURIComponent(name)}`, 303);
      },
    );

  app.get(
    pagePaths.killSwitch,
    { config: { access: { verb: 'get', resource: 'killswitch', namespace } } },
    async (request, reply) => {
      const killSwitch = await source
        .killSwitch()
        .catch((thrown: unknown) => ({ unread: messageFromUnknown(thrown) }));
      const missing = await barred(request, accessOfAct('killSwitch', namespace));
      return show(reply, {
        title: 'Kill switch',
        current: '/killswitch',
        body: renderKillSwitch(base, killSwitch, namespace, missing),
      });
    },
  );
  app.post<{ Body: Static<typeof SwitchForm> }>(
    pagePaths.killSwitch,
    { config: { access: accessOfAct('killSwitch', namespace), form: true }, schema: { body: SwitchForm } },
    async ({ body: { step, reason = '' }, caller }, reply) => {
      await source.setKillSwitch(
        { engaged: step === 'engage', ...(reason.trim() === '' ? {} : { reason: reason.trim() }) },
        caller,
      );
      return reply.redirect(`${base}${pagePaths.killSwitch}`, 303);
    },
  );
}
