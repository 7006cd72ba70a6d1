import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createForkedNvml } from '../../../agent/nvml/forked.ts';
import { locateNvmlLibrary, pathsInCache } from '../../../agent/nvml/locate-library.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { createManualClock } from '../../manual-clock.ts';
import { temporaryFolder } from '../rig.ts';
import { because, children } from './rig.ts';

const name = 'libxidrill-test.so.1';

/** Two folders that only we may write to, the library in the second one. */
function place(t: Test) {
  const root = realpathSync(temporaryFolder(t));
  chmodSync(root, 0o755);
  const [first, second] = ['first', 'second'].map((folder) => join(root, folder)) as [string, string];
  for (const folder of [first, second]) mkdirSync(folder, { mode: 0o755 });
  const file = join(second, name);
  writeFileSync(file, 'an ELF file', { mode: 0o644 });
  const locate = (asked = name) => locateNvmlLibrary(asked, { folders: [first, 'relative', '', second] });
  return { root, first, second, file, locate };
}

t.test('a name is looked for in the folders in their order, and loaded by its path', async (t) => {
  const { first, second, file, locate } = place(t);
  t.same(await locate(), { path: file });
  t.same(await locate(file), { path: file });
  writeFileSync(join(second, 'libreal.so'), '', { mode: 0o644 });
  symlinkSync('../second/libreal.so', join(first, name));
  t.same(await locate(), { path: join(second, 'libreal.so') }, 'the one before it, links followed');
});

t.test('what others can change is not loaded, nor anything after it', async (t) => {
  const { root, first, second, file, locate } = place(t);
  const refused = (text: RegExp) => ({ isRefused: true, because: text });
  chmodSync(file, 0o666);
  t.match(await locate(), refused(/mode 0666\) is not trusted/));
  chmodSync(file, 0o644);
  chmodSync(second, 0o777);
  t.match(
    await locate(),
    refused(/second .*mode 0777/),
    'who may write the folder can put another one there',
  );
  t.match(await locate(file), refused(/mode 0777/), 'a path as well');
  chmodSync(second, 0o755);
  chmodSync(root, 0o777);
  t.match(await locate(), refused(/mode 0777/), 'a folder above it');
  chmodSync(root, 0o755);
  writeFileSync(join(first, name), '', { mode: 0o644 });
  chmodSync(join(first, name), 0o646);
  t.match(await locate(), refused(/first.*mode 0646/), 'the linker would take this one');
  t.match(await locate('second/x.so'), refused(/no absolute path/));
});

t.test('what is nowhere', async (t) => {
  const { locate, root } = place(t);
  t.match(await locate('libnot-there.so.9'), { isRefused: false, because: /neither in .* nor in .*second/ });
  t.match(await locate(join(root, 'x.so')), { isRefused: false, because: /x\.so: ENOENT/ });
});

t.test(
  'the cache of this machine names files that are there',
  { skip: !existsSync('/etc/ld.so.cache') },
  async (t) => {
    const cache = readFileSync('/etc/ld.so.cache');
    const found = pathsInCache(cache, 'libc.so.6');
    t.ok(found.length > 0 && found.every((path) => existsSync(path)), found.join(' '));
    t.same(pathsInCache(cache, 'libc.so'), [], 'the whole name');
    t.match(await locateNvmlLibrary('libc.so.6', { folders: [] }), { path: /libc[.-].*so/ });
    for (const length of [0, 10, 20, 47, 60, 1000]) pathsInCache(cache.subarray(0, length), 'libc.so.6');
    t.same(pathsInCache(Buffer.from('something else'), 'libc.so.6'), []);
  },
);

t.test('a library that is not trusted is never loaded, and the answer says what to do', async (t) => {
  const { file, second } = place(t);
  const clock = createManualClock();
  const nvml = createForkedNvml({ clock, log: createSilentLog(), libraryPath: file });
  t.teardown(() => nvml.close());
  chmodSync(second, 0o777);
  const first = because(await nvml.list());
  t.match(first, /is not loaded: .*mode 0777.*chown root.*--nvml PATH/);
  t.same(children(), [], 'no child was started');
  chmodSync(second, 0o755);
  clock.jump(5_000);
  t.match(
    because(await nvml.list()),
    /cannot be loaded \(.*(file too short|invalid ELF header)/,
    'once it is',
  );
});
