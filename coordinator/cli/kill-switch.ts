import { createRealClock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { visible } from '../../shared/printable.ts';
import type { KillSwitchState } from '../../shared/schemas/kill-switch.ts';
import { connect } from '../drilling/connect.ts';
import { createKillSwitch, killSwitchName } from '../store/kill-switch.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { printed } from './drill.ts';
import { lookOf, type Ports } from './ports.ts';
import { paint } from './text.ts';

const help = (
  xidrill: string,
) => `usage: ${xidrill} killswitch [engage|release] [--reason TEXT] [-o text|json|yaml]

Shows or sets the kill switch of the installation in the namespace: the ConfigMap ${killSwitchName}, by the API server and without
the coordinator. Engaged, new drills and orders are refused, running experiments are aborted, and what goes on on nodes ends
within 2 s. Released, drills may run again; what was aborted stays so.

      --reason TEXT      why, for those who are refused
  -o, --output O         text (default), json or yaml
${clusterHelp}`;

/** Shows or sets the kill switch. */
export function runKillSwitch(argv: readonly string[], ports: Ports): Promise<number> {
  const options = {
    ...clusterOptions,
    reason: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'text' },
  } as const;
  const command = { name: 'killswitch', help, options };
  return withArguments(command, argv, ports, async ({ values, words }) => {
    const { namespace, reason, output } = values;
    const [what, ...more] = words;
    if (more.length > 0 || (what !== undefined && what !== 'engage' && what !== 'release'))
      throw usage('killswitch takes one of engage, release, or nothing to show it');
    if (!['text', 'json', 'yaml'].includes(output))
      throw usage(`--output: "${output}" is none of text, json, yaml`);
    if (reason !== undefined && (what === undefined || reason === '' || reason.length > 500))
      throw usage('--reason is for engage and release, and has 1 to 500 characters');
    const killSwitch = createKillSwitch({ cluster: connect(values), namespace, clock: createRealClock() });
    const state = await withRemedy(namespace, what, () =>
      what === undefined
        ? killSwitch.read()
        : killSwitch.set({
            engaged: what === 'engage',
            ...(reason === undefined ? {} : { reason }),
          }),
    );
    // Since when it is so is not in the ConfigMap: only a coordinator that saw the change knows it.
    const { since: _unknown, ...shown } = state;
    ports.print(output === 'text' ? textOf(shown, namespace, ports) : await printed(shown as never, output));
    return 0;
  });
}

function textOf({ engaged, reason, by }: KillSwitchState, namespace: string, ports: Ports): string {
  const why = reason === undefined ? '' : `: ${visible(reason)}`;
  const who = by === undefined ? '' : ` (by ${visible(by)})`;
  const line = `${engaged ? '✗ engaged' : '✓ released'} in namespace ${namespace}${why}${who}`;
  const next = engaged
    ? `  new drills are refused and running ones aborted; to go on: ${ports.program} killswitch release\n`
    : '';
  return `${paint(line, engaged ? 31 : 32, lookOf(ports))}\n${next}`;
}

/** In an emergency nobody looks up which right is missing. */
async function withRemedy<T>(namespace: string, what: string | undefined, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.details.httpStatus !== 403) throw thrown;
    const verbs = what === undefined ? ['list'] : ['patch', 'create'];
    // A list is allowed by the name in its field selector, which can-i does not have.
    const checks = verbs.map(
      (verb) => `kubectl auth can-i ${verb} configmaps/${killSwitchName} -n ${namespace}`,
    );
    const remedy = `${checks.join(' && ')}; the operator role of the chart allows it`;
    throw new Refusal(thrown.reason, thrown.message, { ...thrown.details, remedy }, thrown);
  }
}
