/** An entry of a lock file (version 3), as far as it is reviewed: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json */
export type LockEntry = {
  readonly version?: string;
  readonly name?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly peer?: boolean;
  readonly optional?: boolean;
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
  readonly deprecated?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};

export type Lock = {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockEntry>>;
};

export type Manifest = {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly allowScripts?: Readonly<Record<string, boolean>>;
  readonly overrides?: Readonly<Record<string, unknown>>;
};

/** What somebody has looked at: see reviewed.ts. */
export type Review = {
  /** The version that was looked at; another one in the lock file is to be looked at again. */
  readonly version: string;
  /** When, as YYYY-MM-DD. */
  readonly on: string;
  /** What it is for, and why it and no other. */
  readonly why: string;
};

export type Policy = {
  /** SPDX identifiers of licences that may go into an image. */
  readonly shipped: readonly string[];
  /** Further ones for what is only used to develop. */
  readonly development: readonly string[];
  /** Licences of packages whose manifest names none: `name@version` and what was read in it. */
  readonly read: Readonly<Record<string, string>>;
  /** Direct dependencies by name. */
  readonly reviews: Readonly<Record<string, Review>>;
  /** Why a version deep inside is set by package.json's overrides, by name. */
  readonly overrides: Readonly<Record<string, string>>;
};

/** What is wrong with the dependencies: one sentence each, empty where nothing is. Needs no network. */
export function review(lock: Lock, manifest: Manifest, policy: Policy): readonly string[] {
  const { '': root = {}, ...packages } = lock.packages;
  const entries = Object.entries(packages);
  return [
    ...(lock.lockfileVersion === 3 ? [] : [`lock file version ${lock.lockfileVersion}: it has no licences`]),
    ...entries.flatMap(([path, entry]) => [
      ...pinning(path, entry, packages),
      ...licence(path, entry, policy),
      ...(entry.deprecated === undefined ? [] : [`${path}: deprecated, ${entry.deprecated}`]),
    ]),
    ...scripts(entries, manifest),
    ...direct(root, manifest, packages, policy),
    ...Object.keys({ ...manifest.overrides, ...policy.overrides })
      .filter(
        (name) =>
          !Object.hasOwn(manifest.overrides ?? {}, name) || (policy.overrides[name] ?? '').length < 20,
      )
      .map((name) => `overrides: ${name} has no reason here, or no longer an override`),
    ...Object.keys(policy.read)
      .filter((named) => !entries.some(([path, { version }]) => `${nameOf(path)}@${version}` === named))
      .map((named) => `${named}: its licence was read, and it is no longer there`),
  ];
}

const nameOf = (path: string) => path.split('node_modules/').at(-1) ?? path;

/** Everything comes from a registry, by a hash that lies in the lock file, and no host stands in it. */
function pinning(
  path: string,
  entry: LockEntry,
  packages: Readonly<Record<string, LockEntry>>,
): readonly string[] {
  const found: string[] = [];
  if (entry.link === true) found.push(`${path}: a link to a folder`);
  if (entry.resolved !== undefined) found.push(`${path}: names where it came from, ${entry.resolved}`);
  // What a package brings inside itself is pinned by that package's hash.
  const outer = packages[path.slice(0, path.lastIndexOf('/node_modules/'))];
  const isInside = entry.inBundle === true && outer?.integrity !== undefined;
  if (!isInside && !/^sha512-[A-Za-z0-9+/]{86}==$/.test(entry.integrity ?? ''))
    found.push(`${path}: not pinned by a SHA-512 hash`);
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?(\+[\w.]+)?$/.test(entry.version ?? ''))
    found.push(`${path}: ${entry.version} is no version`);
  for (const [name, wanted] of Object.entries({ ...entry.dependencies, ...entry.optionalDependencies }))
    if (isElsewhere(wanted)) found.push(`${path}: wants ${name} from ${wanted}`);
  return found;
}

/** `git+ssh://…`, `https://…`, `file:…`, `owner/repository`: anything but a range, a tag or another name in the registry. */
const isElsewhere = (wanted: string) => !wanted.startsWith('npm:') && /[:/]/.test(wanted);

function licence(path: string, entry: LockEntry, policy: Policy): readonly string[] {
  const name = `${nameOf(path)}@${entry.version}`;
  const license = entry.license ?? policy.read[name];
  if (license === undefined) return [`${path}: names no licence`];
  const isShipped = entry.dev !== true && entry.peer !== true;
  const allowed = [...policy.shipped, ...(isShipped ? [] : policy.development)];
  return isAllowed(license, allowed)
    ? []
    : [`${path}: ${license} is not allowed ${isShipped ? 'in an image' : 'here'}`];
}

/** An SPDX expression: of alternatives one has to be allowed, of what holds together all. Exceptions (WITH) are not. */
function isAllowed(expression: string, allowed: readonly string[]): boolean {
  const bare = expression.trim();
  const inner = /^\(([^()]*)\)$/.exec(bare)?.[1];
  if (inner !== undefined) return isAllowed(inner, allowed);
  if (bare.includes('(')) return false;
  const alternatives = bare.split(/\s+OR\s+/);
  return alternatives.some((each) => each.split(/\s+AND\s+/).every((id) => allowed.includes(id)));
}

/** What runs at installation: exactly what package.json allows. */
function scripts(entries: readonly (readonly [string, LockEntry])[], manifest: Manifest): readonly string[] {
  const having = new Set(entries.flatMap(([path, entry]) => (entry.hasInstallScript ? [nameOf(path)] : [])));
  const answers = manifest.allowScripts ?? {};
  return [
    ...[...having]
      .filter((name) => !Object.hasOwn(answers, name))
      .map((name) => `${name}: has an install script, and package.json neither allows nor denies it`),
    ...Object.keys(answers)
      .filter((name) => !having.has(name))
      .map((name) => `allowScripts: ${name} has no install script`),
  ];
}

/** Direct dependencies: the lock file has what package.json wants, and each version was reviewed. */
function direct(
  root: LockEntry,
  manifest: Manifest,
  packages: Readonly<Record<string, LockEntry>>,
  policy: Policy,
): readonly string[] {
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const;
  const wanted = kinds.flatMap((kind) => Object.entries(manifest[kind] ?? {}));
  const names = wanted.map(([name]) => name);
  return [
    ...wanted.flatMap(([name, range]) => {
      const version = packages[`node_modules/${name}`]?.version;
      if (kinds.every((kind) => root[kind]?.[name] !== range))
        return [`${name}: the lock file is of another package.json`];
      if (isElsewhere(range)) return [`${name}: comes from ${range}`];
      const found = policy.reviews[name];
      if (found === undefined)
        return [`${name}: was never reviewed; add it to test/supply-chain/reviewed.ts`];
      if (!/^\d{4}-\d\d-\d\d$/.test(found.on) || found.why.length < 20)
        return [`${name}: its review says neither when nor why`];
      return found.version === version
        ? []
        : [`${name}: reviewed at ${found.version}, and ${version} is used`];
    }),
    ...Object.keys(policy.reviews)
      .filter((name) => !names.includes(name))
      .map((name) => `${name}: reviewed, and no dependency`),
  ];
}
