import type { JournalMissing } from '../../../shared/schemas/read-back.ts';

/** journald's settings that decide whether a record of the kernel log is stored (journald.conf(5)), lower case. */
export type JournaldSettings = Readonly<Record<string, string>>;

const levels = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'];
const no = ['no', 'n', 'false', 'f', 'off', '0'];
const yes = ['yes', 'y', 'true', 't', 'on', '1'];
const isBoolean = (value: string) => [...no, ...yes].includes(value.toLowerCase());

/** What journald takes as a value of a setting: names of levels and storages as they stand, words for yes and no in any case. */
const takes: Readonly<Record<string, (value: string) => boolean>> = {
  readkmsg: isBoolean,
  forwardtokmsg: isBoolean,
  storage: (value) => ['auto', 'volatile', 'persistent', 'none'].includes(value),
  maxlevelstore: (value) => levels.includes(value) || /^[0-7]$/.test(value),
};

/** The options of the kernel's command line that journald knows; of the others it only warns (parse_proc_cmdline_item). */
const bootOptions: Readonly<Record<string, string>> = {
  forward_to_kmsg: 'forwardtokmsg',
  max_level_store: 'maxlevelstore',
};

/**
 * The settings in effect: of `systemd-analyze cat-config systemd/journald.conf`, which prints all files in their order, and
 * of the kernel's command line, which goes before them. An empty value is the default; one that journald cannot read it
 * ignores with a warning, so that the one before it holds, or its own default (systemd src/shared/conf-parser.c,
 * config_parse_log_level; src/journal/journald-config.c).
 */
export function parseJournaldSettings(files: string, commandLine = ''): JournaldSettings {
  const found = new Map<string, string>();
  const take = (name: string, value: string) => {
    if (takes[name]?.(value) === true) found.set(name, value.toLowerCase());
  };
  let section = '';
  for (const line of files.split('\n').map((text) => text.trim())) {
    section = /^\[(.+)\]$/.exec(line)?.[1] ?? section;
    const [, name = '', value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (section !== 'Journal' || name === '') continue;
    if (value === '') found.delete(name.toLowerCase());
    else take(name.toLowerCase(), value);
  }
  const options = commandLine.matchAll(/(?:^|\s)systemd\.journald\.([\w-]+)(?:=(\S+))?/g);
  for (const [, name = '', value = 'yes'] of options) {
    const known = name.replaceAll('-', '_');
    if (Object.hasOwn(bootOptions, known)) take(bootOptions[known] ?? '', value);
  }
  return Object.fromEntries(found);
}

/**
 * Which setting keeps a record of user space from being stored. systemd src/journal: journald-kmsg.c, dev_kmsg_record,
 * drops what is not the kernel's own under ForwardToKMsg; journald-server.c, server_dispatch_message, what is above
 * MaxLevelStore. Its rate limit is one of services, and the kernel log is none. `level`: 0 to 7, of the record.
 */
export function whyNotStored(
  settings: JournaldSettings,
  level: number,
): Pick<JournalMissing, 'cause' | 'because'> | undefined {
  const { readkmsg = 'yes', storage = 'auto', forwardtokmsg = 'no', maxlevelstore = 'debug' } = settings;
  if (no.includes(readkmsg))
    return { cause: 'read-kmsg-off', because: `journald does not read the kernel log: ReadKMsg=${readkmsg}` };
  if (storage === 'none') return { cause: 'storage-none', because: 'journald stores nothing: Storage=none' };
  if (yes.includes(forwardtokmsg))
    return {
      cause: 'forward-to-kmsg',
      because: `journald writes to the kernel log itself (ForwardToKMsg=${forwardtokmsg}) and stores of it only what the kernel logged`,
    };
  const most = levels.includes(maxlevelstore) ? levels.indexOf(maxlevelstore) : Number(maxlevelstore);
  if (level > most)
    return {
      cause: 'level-not-stored',
      because: `journald stores nothing above level ${maxlevelstore} (MaxLevelStore), and the record is of level ${levels[level] ?? level}`,
    };
  return undefined;
}
