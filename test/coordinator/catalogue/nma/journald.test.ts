import t from 'tap';
import { journalEntryOf } from '../../../../coordinator/catalogue/readers/journald.ts';

t.test('what journald files a record of the kernel log under', async (t) => {
  const user = 8 + 3;
  const rows: [priority: number, text: string, identifier: string | undefined, message: string][] = [
    [user, 'kubelet: OCI runtime create failed: x', 'kubelet', 'OCI runtime create failed: x'],
    [user, 'systemd[1]: Failed to start x.', 'systemd', 'Failed to start x.'],
    [user, '  kubelet: x', 'kubelet', 'x'],
    [user, 'kubelet:  x', 'kubelet', ' x'],
    [user, 'kubelet:x y', undefined, 'kubelet:x y'],
    [user, 'kubelet : x', undefined, 'kubelet : x'],
    [user, 'NVRM: Xid (PCI:0000:00:1e): 79, x', 'NVRM', 'Xid (PCI:0000:00:1e): 79, x'],
    [user, 'kernel: NVRM: Xid', 'kernel', 'NVRM: Xid'],
    [user, 'a[1][2]: x', 'a[1]', 'x'],
    [user, 'kubelet:', 'kubelet', ''],
    [user, 'no identifier', undefined, 'no identifier'],
    [3, 'kubelet: x', 'kernel', 'kubelet: x'],
    [16 * 8 + 3, 'kubelet: x', 'kubelet', 'x'],
  ];
  for (const [priority, text, identifier, message] of rows)
    t.same(journalEntryOf({ priority, text }), { identifier, message }, `${priority} ${text}`);
});
