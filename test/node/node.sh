# Process 1 of a node: `unshare --mount --pid --uts --ipc --fork sh node.sh DISK`, inside a network namespace of its own.
# DISK is the node's folder on this machine; what it holds is written by node.ts. The node's root is an overlay on this
# machine's: programs and libraries are this machine's, and whatever is written lies in DISK. It ends with the namespaces.
set -eu
disk=$1
if [ "${2:-}" != booted ]; then
  root=$disk/root
  mkdir -p "$root" "$disk/containerd" "$disk/kubelet"
  mount -t overlay -o "lowerdir=/,upperdir=$disk/system/upper,workdir=$disk/system/work" overlay "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o mode=0755 tmpfs "$root/run"
  mkdir -p "$root/run/lock" "$root/node" "$root/var/lib/containerd" "$root/var/lib/kubelet"
  mount --bind "$disk" "$root/node"
  mount --bind "$disk/containerd" "$root/var/lib/containerd"
  mount --bind "$disk/kubelet" "$root/var/lib/kubelet"
  # There is one kernel: what a reboot changes is shown by files in place of the kernel's own.
  mount --bind "$disk/boot_id" "$root/proc/sys/kernel/random/boot_id"
  # The kubelet sets these (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables), and they would be this machine's.
  for tunable in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    copy=$root/run/sysctl/$tunable
    mkdir -p "${copy%/*}"
    cat "/proc/sys/$tunable" > "$copy"
    mount --bind "$copy" "$root/proc/sys/$tunable"
  done
  mkdir -p "$root/old"
  cd "$root"
  pivot_root . old
  exec chroot . sh /node/node.sh /node booted
fi
umount -l /old
mount --make-rshared /
. /node/environment
hostname "$NODE"
# Like an init system: starts a program again that has ended.
keep() {
  log=/node/$1.log
  shift
  while :; do
    "$@" >> "$log" 2>&1 || true
    sleep 1
  done
}
keep containerd containerd --config /node/containerd.toml &
until ctr version > /dev/null 2>&1; do sleep 0.2; done
if [ -n "$IMAGES" ] && [ ! -e /node/imported ]; then
  ctr -n k8s.io image import "$IMAGES" >> /node/import.log 2>&1
  : > /node/imported
fi
keep kubelet "$BIN/kubelet" --config=/node/kubelet.json --kubeconfig=/node/kubelet.kubeconfig --root-dir=/var/lib/kubelet \
  --hostname-override="$NODE" --node-ip="$ADDRESS" --node-labels="$LABELS" &
keep kube-proxy "$BIN/kube-proxy" --config=/node/kube-proxy.json &
# Enforces NetworkPolicies and nothing else.
keep kube-router "$KUBE_ROUTER" --run-firewall=true --run-router=false --run-service-proxy=false --run-loadbalancer=false \
  --kubeconfig=/node/kube-router.kubeconfig --hostname-override="$NODE" --service-cluster-ip-range="$SERVICES" --health-port=0 -v=1 &
# Never without a child: waiting also takes the orphans of containers, as process 1 has to.
while :; do sleep 3600 & wait $!; done
