import t from 'tap';
import { documentedAction } from '../../../coordinator/catalogue/repair/documented.ts';

/** Of the edition that users quote with NMA 1.7.2 (field-cases F11), Xid by Xid. */
const newest = {
  replace: [64, 74, 79, 119, 120, 151],
  reboot: [48, 63, 95, 109, 143],
} as const;

t.test('F11: what the newest edition says of an Xid, and whether an older one says otherwise', async (t) => {
  for (const [action, xids] of Object.entries(newest))
    for (const xid of xids) {
      const found = documentedAction(`NvidiaXID${xid}Error`);
      t.equal(found?.action, action, `${xid}`);
      t.match(found?.edition.source, /NMA 1\.7\.2/, `${xid}: of the newest edition`);
    }
  t.match(
    documentedAction('NvidiaXID64Error')?.otherwise,
    [{ action: 'reboot' }],
    'the older edition had it among the reboots (repair.md)',
  );
  t.match(documentedAction('DCGMHealthCode120'), { action: 'none' });
  t.equal(documentedAction('NvidiaXID1Error'), undefined);
});
