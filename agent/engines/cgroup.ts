/** Both null: a process of the host. */
export type ContainerIdentity = { readonly container: string | null; readonly podUid: string | null };

/**
 * The innermost one. A colon stands before it where containerd writes its own notation, `slice:cri-containerd:id`; cgroups
 * that the container made itself stand behind it (`/container` of crun, `/init.scope` of a systemd inside).
 */
const containerId = /^(?:.*[-/:])?([0-9a-f]{64})(?:\.scope)?(?:\/|$)/;
/**
 * systemd's names cannot hold a dash in one component, so the kubelet writes the uid with underscores there; the uid
 * of a static pod is a hash without either.
 */
const podUid = /pod([0-9a-f]{32}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?:[/:]|$)/;

/**
 * Container and pod of a process from /proc/PID/cgroup, version 1 (a line per controller) and 2 (one line):
 * `…/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope` and `/kubepods/burstable/pod<uid>/<id>`.
 * A process of the host gives null for both.
 */
export function parseCgroup(text: string): ContainerIdentity {
  const paths = text
    .split('\n')
    .map((line) => line.split(':').slice(2).join(':'))
    .filter((path) => path.length > 1);
  const first = (pattern: RegExp) =>
    paths.map((path) => pattern.exec(path)?.[1]).find((match) => match !== undefined);
  return { container: first(containerId) ?? null, podUid: first(podUid)?.replaceAll('_', '-') ?? null };
}
