import { createConfig, lintFromString } from '@redocly/openapi-core';
import t from 'tap';
import { pageBase } from '../../../../coordinator/page-source.ts';
import { registeredRoutes } from '../routes.ts';
import { bothPrograms, documentOf } from './documents.ts';

/** The coordinator's page is for people: its paths and forms are no part of the API. */
const isOfPage = (path: string) => path === pageBase || path.startsWith(`${pageBase}/`);

for (const [name, app] of Object.entries(await bothPrograms(t))) {
  const document = await documentOf(app);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ at: `${method} ${path}`, ...operation })),
  );

  t.test(`N11 ${name}: the document has every route and nothing else`, async (t) => {
    t.match(document.openapi, /^3\.1\./);
    t.strictSame(
      operations.map(({ at }) => at).toSorted(),
      registeredRoutes(app)
        .filter(([, path]) => name === 'agent' || !isOfPage(path))
        .map(([method, path]) => `${method} ${path}`)
        .toSorted(),
    );
    const ids = operations.map(({ operationId }) => operationId);
    t.equal(new Set(ids).size, ids.length, 'each operation has an id of its own');
    const tags = document.tags.map((tag) => tag.name);
    t.strictSame(
      operations.filter((operation) => !operation.tags.every((tag) => tags.includes(tag))),
      [],
      'each operation is of a tag that is described',
    );
  });

  t.test(`N9 ${name}: no operation ignores a query parameter that it does not know`, async (t) => {
    for (const { at, requestBody } of operations) {
      const [method = '', path = ''] = at.split(' ');
      const [example] = Object.values(requestBody?.content['application/json']?.examples ?? {});
      const url = `${path.replace('{name}', 'x')}?limti=1`;
      const answer = await app.inject({
        method: method.toUpperCase() as 'GET' | 'POST' | 'DELETE',
        url,
        ...(requestBody === undefined ? {} : { payload: example?.value ?? {} }),
      });
      t.equal(answer.statusCode, 400, at);
      t.match(answer.body, 'query parameter limti is not known here', at);
    }
  });

  t.test(`N9 ${name}: a path takes the methods of the document and no others`, async (t) => {
    const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'QUERY', 'PROPFIND'] as const;
    for (const [path, known] of Object.entries(document.paths))
      for (const method of methods) {
        if (Object.hasOwn(known, method.toLowerCase())) continue;
        // A body that no route of ours would take does not matter here.
        const answer = await app.inject({
          method: method as 'GET',
          url: path.replace('{name}', 'x'),
          ...(method === 'GET' || method === 'TRACE' ? {} : { payload: '<x/>' }),
        });
        t.match([answer.statusCode, answer.body], [405, 'method_not_allowed'], `${method} ${path}`);
        const named = Object.keys(known).map((one) => one.toUpperCase());
        const allow = String(answer.headers.allow).split(', ');
        t.strictSame(
          allow.filter((one) => one !== 'HEAD'),
          named.toSorted(),
          `${method} ${path}: Allow`,
        );
      }
  });

  t.test(`${name}: redocly's recommended rules find nothing`, async (t) => {
    t.strictSame(await problemsOf(document), [], 'warnings count as well');
    const [example] = operations.flatMap(({ requestBody }) =>
      Object.values(requestBody?.content['application/json']?.examples ?? {}),
    );
    const text = JSON.stringify(document).replace(JSON.stringify(example?.value), '{"fault":1}');
    const found = await problemsOf(JSON.parse(text));
    t.match(found, [/^no-invalid-media-type-examples/], 'a wrong example is found');
  });
}

/** What redocly reports, each with its place. */
async function problemsOf(document: object): Promise<readonly string[]> {
  const found = await lintFromString({
    source: JSON.stringify(document),
    absoluteRef: '/openapi.json',
    config: await createConfig({ extends: ['recommended'], telemetry: 'off' }),
  });
  return found.map(({ ruleId, message, location }) => `${ruleId}: ${message} (${location[0]?.pointer})`);
}
