/**
 * One EKS user's six steps as they told them (December 2025, NMA add-on 1.4.3): what they did, and what they saw. The
 * words are theirs, so that a paste of such an account is a test.
 */
export const story = {
  nodes:
    'Nodes: one `g5g.xlarge` (arm64, one NVIDIA T4G at `00000000:00:1F.0`, UUID `GPU-9ca02968-f496-c0c4-01d9-509cb6c32f5f`, driver 580.105.08), one `c7g.2xlarge`, one `c6i.2xlarge` without GPUs. NMA add-on 1.4.3.',
  1: {
    did: 'Installed the add-on four ways: `eksctl create addon` without a role; `aws eks create-addon --service-account-role-arn` with an IRSA role (trust policy on the ServiceAccount, `AmazonEKSWorkerNodePolicy`), then annotated the ServiceAccount by force and deleted the pods; `eksctl create iamserviceaccount`; a Pod Identity association; and patched the ClusterRole for `nodes/status`',
    saw: "Pods Running. In one set-up the log has `[Errno 2] No such file or directory: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token'`, `panic: exit status 255`, and `failed to report managed conditions … getting credentials: exec: executable /opt/amazon/bin/chroot failed with exit code 2`",
  },
  2: {
    did: '`echo "<3>NVRM: Xid (PCI:00000000:00:1F.0): 31, Ch 00000001, failed to allocate GPU memory" \\| sudo tee /dev/kmsg`',
    saw: 'The line is in `dmesg`. Nothing else',
  },
  3: {
    did: 'In a debug container started its own `nv-hostengine &`, made a group, switched health on, then `dcgmi test --inject --gpuid 0 -f 150 -v 48` "XID 48" and `-f 111 -v 999` "ECC uncorrectable"',
    saw: '`Successfully injected field info.` twice, health checks show nothing useful',
  },
  4: {
    did: '`kubectl exec` into dcgm-exporter: `dcgmi test --inject --gpuid 0 -f 319 -v 4`',
    saw: 'Success again, nothing on the node',
  },
  5: {
    did: 'Watched the node: `kubectl get node … \\| jq` for `AcceleratedHardwareReady`, `kubectl logs` of NMA',
    saw: '`True`, reason `NvidiaAcceleratedHardwareIsReady`, heartbeat at 02:32:26 while other conditions are at 03:04:59',
  },
  6: {
    did: 'Expected: "in a few minutes the node is cordoned and replaced", Karpenter "≥ 1.1 repairs by default", or the managed node group after `--node-repair-config enabled=true`',
    saw: 'Nothing',
  },
} as const;
