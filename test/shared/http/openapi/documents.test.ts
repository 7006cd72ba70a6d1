import { createConfig, lintFromString } from '@redocly/openapi-core';
import t from 'tap';
import { registeredRoutes } from '../routes.ts';
import { bothPrograms, documentOf } from './documents.ts';

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
