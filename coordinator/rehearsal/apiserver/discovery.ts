import { apiVersionOf, type Kinds, type ServedKind } from './kinds.ts';

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** What clients ask to learn what is served; undefined: not such a path. */
export function discovered(pathname: string, kinds: Kinds): object | string | undefined {
  const path = pathname.replace(/\/$/, '');
  if (path === '/readyz' || path === '/livez' || path === '/healthz') return 'ok';
  if (path === '/version') return version;
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups(kinds) };
  if (path === '/openapi/v3' || path.startsWith('/openapi/v3/')) return openApi(path.slice(12), kinds);
  const [, root, group = '', groupVersion] = path.split('/');
  if (root === 'api' && groupVersion === undefined) return resourceList('', group, kinds);
  if (root === 'apis' && groupVersion === undefined) return groups(kinds).find(({ name }) => name === group);
  return root === 'apis' ? resourceList(group, groupVersion ?? '', kinds) : undefined;
}

/** Says that it is a stand-in where kubectl version shows it. */
const version = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.4+rehearsal',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: 'linux/amd64',
};

function groups(kinds: Kinds) {
  const names = [...new Set(kinds.all().map(({ group }) => group))].filter((group) => group !== '');
  return names.map((name) => {
    const served = [
      ...new Set(
        kinds
          .all()
          .filter(({ group }) => group === name)
          .map(({ version }) => version),
      ),
    ];
    const versions = served.map((text) => ({ groupVersion: `${name}/${text}`, version: text }));
    return { kind: 'APIGroup', apiVersion: 'v1', name, versions, preferredVersion: versions[0] };
  });
}

/**
 * As much as kubectl needs to see that the server itself checks fields: a PATCH with the parameter `fieldValidation` for each kind
 * (kubectl's QueryParamVerifierV3). Without it `kubectl apply` refuses to work.
 */
function openApi(group: string, kinds: Kinds): object | undefined {
  const pathOf = (kind: ServedKind) =>
    kind.group === '' ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`;
  if (group === '') {
    const urls = kinds
      .all()
      .map((kind) => [pathOf(kind), { serverRelativeURL: `/openapi/v3/${pathOf(kind)}` }]);
    return { paths: Object.fromEntries(urls) };
  }
  const rows = kinds.all().filter((kind) => pathOf(kind) === group);
  if (rows.length === 0) return undefined;
  const parameters = [{ name: 'fieldValidation', in: 'query', schema: { type: 'string' } }];
  const paths = rows.map((row) => [
    `/${group}/${row.namespaced ? 'namespaces/{namespace}/' : ''}${row.plural}/{name}`,
    {
      patch: {
        parameters,
        responses: {},
        'x-kubernetes-group-version-kind': { group: row.group, version: row.version, kind: row.kind },
      },
    },
  ]);
  const info = { title: 'stand-in', version: '0' };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths) };
}

function resourceList(group: string, served: string, kinds: Kinds): object | undefined {
  const rows = kinds.all().filter((kind) => kind.group === group && kind.version === served);
  if (rows.length === 0) return undefined;
  const groupVersion = apiVersionOf({ group, version: served });
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: rows.flatMap(resourceRows) };
}

function resourceRows(kind: ServedKind): readonly object[] {
  const { plural, singular, namespaced, shortNames } = kind;
  const row = { name: plural, singularName: singular, namespaced, kind: kind.kind, verbs, shortNames };
  const below = (name: string, allowed: readonly string[]) => ({
    name: `${plural}/${name}`,
    singularName: '',
    namespaced,
    kind: kind.kind,
    verbs: allowed,
  });
  return [
    row,
    ...(kind.statusSubresource ? [below('status', ['get', 'patch', 'update'])] : []),
    ...(plural === 'pods' && !kind.custom ? [below('log', ['get'])] : []),
  ];
}
