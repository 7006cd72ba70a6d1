import { Gauge, type Registry } from 'prom-client';

/** Registers `xidrill_kill_switch_engaged`, asked for at each scrape. */
export function registerKillSwitch(registry: Registry, isEngaged: () => boolean): void {
  new Gauge({
    name: 'xidrill_kill_switch_engaged',
    help: '1 while the kill switch is engaged: nothing is injected',
    registers: [registry],
    collect() {
      this.set(isEngaged() ? 1 : 0);
    },
  });
}
