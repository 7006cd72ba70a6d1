import type { FastifyInstance } from 'fastify';
import { KillSwitchCall, KillSwitchState } from '../../shared/schemas/kill-switch.ts';
import type { KillSwitch } from '../store/kill-switch.ts';

const path = '/api/v1/killswitch';
const tag = 'killswitch';
const answers = { 200: { description: 'The switch', schema: KillSwitchState } };

/** Adds GET and PUT of `/api/v1/killswitch`. */
export function registerKillSwitchRoutes(
  app: FastifyInstance,
  { killSwitch, namespace }: { readonly killSwitch: KillSwitch; readonly namespace: string },
): void {
  const rule = { resource: 'killswitch', namespace };

  app.get(
    path,
    {
      config: {
        access: { ...rule, verb: 'get' },
        doc: { id: 'getKillSwitch', tag, summary: 'Whether the kill switch is engaged', answers },
      },
    },
    () => killSwitch.read(),
  );

  app.put<{ Body: KillSwitchCall }>(
    path,
    {
      config: {
        access: { ...rule, verb: 'update' },
        doc: {
          id: 'setKillSwitch',
          tag,
          summary: 'Engage or release the kill switch',
          description:
            'Engaged: nothing is injected, running experiments are aborted, and what goes on on nodes ends within 2 s.',
          answers,
          examples: {
            engage: { summary: 'Stop everything', value: { engaged: true, reason: 'incident 42' } },
            release: { summary: 'Drills may run again', value: { engaged: false } },
          },
        },
      },
      schema: { body: KillSwitchCall },
    },
    ({ body, caller }) => killSwitch.set(body, caller),
  );
}
