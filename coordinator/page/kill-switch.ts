import type { KillSwitchState } from '../../shared/schemas/kill-switch.ts';
import type { Unread } from '../view/facts.ts';
import { renderBarred } from './buttons.ts';
import { type Html, html } from './html.ts';
import { commandList, mark } from './layout.ts';
import type { Barred } from './port.ts';

/** Where somebody engages or releases the kill switch, with a reason; `barred`: why they cannot. */
export function renderKillSwitch(
  base: string,
  killSwitch: KillSwitchState | Unread,
  namespace: string,
  barred: Barred | undefined,
): Html {
  const isEngaged = 'engaged' in killSwitch && killSwitch.engaged;
  return html`<h1>Kill switch</h1>
<p class="lead">${mark('unread' in killSwitch ? 'unknown' : isEngaged ? 'broken' : 'ok')} ${'unread' in killSwitch ? 'It could not be read.' : isEngaged ? 'Engaged: nothing is injected.' : 'Released: drills may run.'}</p>
<p>Engaged, new drills and orders are refused, running drills are aborted, and what goes on on nodes ends within 2 s. Released, drills may run again; what was aborted stays so.</p>
${barred && renderBarred(barred)}
<form class="drill" method="post" action="${base}/killswitch">
<label>Reason <input name="reason" maxlength="500" autocomplete="off"${barred && html` disabled`}></label>
<p class="muted">For those who are refused. It may be left empty.</p>
<p>${!isEngaged && button('engage', 'Engage: stop all drills', barred)} ${('unread' in killSwitch || isEngaged) && button('release', 'Release', barred)}</p></form>
<h2>From a terminal</h2>
<p>The switch is a ConfigMap, and works without this page and without the coordinator:</p>
${commandList([
  `xidrill killswitch engage --reason TEXT -n ${namespace}`,
  `kubectl -n ${namespace} create configmap xidrill-killswitch --from-literal=engaged=true`,
  `kubectl -n ${namespace} delete configmap xidrill-killswitch`,
])}`;
}

function button(step: string, text: string, barred: Barred | undefined): Html {
  return html`<button name="step" value="${step}"${barred && html` disabled`}>${text}</button>`;
}
