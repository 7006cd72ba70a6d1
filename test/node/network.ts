import { execFileSync } from 'node:child_process';

/** Addresses of the cluster under test, all of them in network namespaces of its own. */
export const network = {
  /** Of the API server, and the nodes' gateway. */
  gateway: '10.99.0.1',
  /** One of those that the chart's NetworkPolicies allow by default. */
  apiServerPort: 6443,
  nodeOf: (index: number) => `10.99.0.${index + 11}`,
  podsOf: (index: number) => `10.88.${index + 1}.0/24`,
  pods: '10.88.0.0/16',
  services: '10.0.0.0/24',
  dns: '10.0.0.10',
} as const;

const ip = (words: string) => execFileSync('ip', words.split(' '), { stdio: ['ignore', 'pipe', 'pipe'] });

/** The cluster's wire: a bridge in this network namespace, with the API server's address. */
export function layWire(): void {
  ip('link set lo up');
  ip('link add wire type bridge');
  ip(`addr add ${network.gateway}/24 dev wire`);
  ip('link set wire up');
}

/** A network namespace for a node, plugged into the wire; pods of the others are reached through their nodes. */
export function plugIn(name: string, index: number, nodes: number): void {
  ip(`netns add ${name}`);
  ip(`link add ${name} type veth peer name eth0 netns ${name}`);
  ip(`link set ${name} master wire up`);
  ip(`-n ${name} link set lo up`);
  // A refusal of a NetworkPolicy is an ICMP message, and by default a second within one second is lost.
  execFileSync('nsenter', [
    `--net=/run/netns/${name}`,
    ...['sh', '-c', 'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'],
  ]);
  ip(`-n ${name} addr add ${network.nodeOf(index)}/24 dev eth0`);
  ip(`-n ${name} link set eth0 up`);
  ip(`-n ${name} route add default via ${network.gateway}`);
  ip(`route add ${network.podsOf(index)} via ${network.nodeOf(index)}`);
  for (let other = 0; other < nodes; other += 1)
    if (other !== index) ip(`-n ${name} route add ${network.podsOf(other)} via ${network.nodeOf(other)}`);
}
