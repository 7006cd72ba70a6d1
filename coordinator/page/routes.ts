import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { messageFromUnknown, Refusal, statusOf } from '../../shared/errors.ts';
import { open } from '../../shared/http/access.ts';
import { notOffered } from '../catalogue/catalogue.ts';
import { whyNoFault } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { explainTexts, longestText } from '../why/why.ts';
import { accessOfAct, type BarredBy, registerActions } from './actions.ts';
import assets from './assets.json' with { type: 'json' };
import { renderCoverage } from './coverage.ts';
import { isLive, renderDrill, renderDrills } from './drills.ts';
import { renderFault, renderFaults } from './faults.ts';
import { renderFleet } from './fleet.ts';
import type { Html } from './html.ts';
import { type Frame, renderPage } from './layout.ts';
import { parameterPrefix, renderForm, renderPlan } from './new-drill.ts';
import { renderNode } from './node.ts';
import { pagePaths } from './paths.ts';
import type { DrillForm, PageSource } from './port.ts';
import { renderWhy } from './why.ts';

/** What the page is made of. */
export type PageOptions = {
  readonly source: PageSource;
  /** The catalogue. */
  readonly rows: readonly FaultRow[];
  /** Of the experiments; decides who may read and start them. */
  readonly namespace: string;
  /** Where it is mounted: empty, or `/SECRET`. */
  readonly base: string;
  /** The stream of server-sent events of an experiment. */
  readonly eventsOf: (name: string) => string;
  /** Address of the report on an experiment; absent: nobody serves it. */
  readonly reportOf?: (name: string) => string;
  /** Where nobody else serves that stream: an item for each change, until the drill has ended or the signal is aborted. */
  readonly follow?: (name: string, signal: AbortSignal) => AsyncIterable<unknown>;
  /** Why who asks may not press a button. */
  readonly barred: BarredBy;
};

/** Path of the page's own stream, without the base. */
export const streamPath = (name: string) => `/drills/${encodeURIComponent(name)}/events`;

/**
 * Everything comes from here, nothing runs that stands in the page itself, nobody may frame it. `same-origin`: with no referrer at all
 * a browser would send `Origin: null` with our own forms (Fetch standard, "serializing a request origin"); other sites see none.
 */
export const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

const optionalText = (maxLength: number) => Type.Optional(Type.String({ maxLength }));

const FleetQuery = Type.Object(
  {
    name: optionalText(253),
    state: optionalText(32),
    cause: optionalText(64),
    owner: optionalText(512),
    nodes: optionalText(8),
    page: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
  },
  { additionalProperties: false },
);
const PageQuery = Type.Pick(FleetQuery, ['page']);
const SearchQuery = Type.Object({ q: optionalText(200) }, { additionalProperties: false });
const FormQuery = Type.Object(
  { fault: optionalText(64), node: optionalText(253) },
  { additionalProperties: false },
);
const Name = Type.Object({ name: Type.String({ minLength: 1, maxLength: 253 }) });
const WhyForm = Type.Object(
  { text: Type.String({ maxLength: longestText, description: 'what was done and seen' }) },
  { additionalProperties: false },
);
/** Parameters of the fault stand beside these, each with `parameterPrefix` before its name. */
const NewDrill = Type.Object(
  {
    fault: Type.String({ maxLength: 64 }),
    nodes: optionalText(253_000),
    selector: optionalText(4096),
    mode: optionalText(32),
    value: optionalText(16),
    repair: optionalText(16),
    restore: optionalText(3),
    step: Type.Enum(['dry-run', 'start', 'edit']),
  },
  { additionalProperties: Type.String({ maxLength: 8192 }) },
);

/** Each character may be three bytes of UTF-8, and each byte `%XX`. */
const longestForm = longestText * 9;

/** Adds the page. Who may see a part of it is who may read the same by REST. */
export function registerPage(app: FastifyInstance, options: PageOptions): void {
  app.addHook('onSend', async (_request, reply) => {
    // A report is a file of its own with its style inside, and brings the policy for that.
    if (reply.hasHeader('content-security-policy')) return;
    if (String(reply.getHeader('content-type')).startsWith('text/html'))
      void reply.headers(pageHeaders).header('cache-control', 'no-store');
  });
  void app.register(
    async (routes) => {
      routes.addContentTypeParser(
        'application/x-www-form-urlencoded',
        { parseAs: 'string', bodyLimit: longestForm },
        (_request, body, done) => done(null, fieldsFrom(body as string)),
      );
      const show = createShow(options);
      registerAssets(routes);
      registerNodes(routes, options, show);
      registerDrills(routes, options, show);
      registerActions(routes, { ...options, show });
      registerStream(routes, options);
      registerForm(routes, options, show);
      registerCatalogue(routes, options, show);
    },
    { prefix: options.base },
  );
}

type Show = (reply: FastifyReply, frame: Frame) => Promise<FastifyReply>;

function createShow({ source, base, namespace }: PageOptions): Show {
  return async (reply, frame) => {
    const killSwitch = await source
      .killSwitch()
      .catch((thrown: unknown) => ({ unread: messageFromUnknown(thrown) }));
    return reply.type('text/html; charset=utf-8').send(renderPage({ base, killSwitch, namespace }, frame));
  };
}

/** They say nothing of the cluster, and change with the program only. */
function registerAssets(app: FastifyInstance): void {
  const files = [
    [pagePaths.style, 'text/css; charset=utf-8', assets.style],
    [pagePaths.client, 'text/javascript; charset=utf-8', assets.client],
    [pagePaths.icon, 'image/svg+xml', assets.icon],
  ] as const;
  for (const [path, type, content] of files)
    app.get(path, { config: open }, async (_request, reply) =>
      reply.type(type).headers(pageHeaders).header('cache-control', 'no-cache').send(content),
    );
}

function registerNodes(app: FastifyInstance, { source, base }: PageOptions, show: Show): void {
  app.get<{ Querystring: Static<typeof FleetQuery> }>(
    pagePaths.fleet,
    { config: { access: { verb: 'list', resource: 'nodes' } }, schema: { querystring: FleetQuery } },
    async ({ query }, reply) => {
      const asked = withoutEmpty(query);
      const report = await source.fleet(asked.nodes === 'all');
      return show(reply, { title: 'Fleet', current: '/', body: renderFleet(base, report, asked) });
    },
  );
  app.get<{ Params: Static<typeof Name> }>(
    pagePaths.node,
    { config: { access: { verb: 'get', resource: 'nodes', nameFrom: 'name' } }, schema: { params: Name } },
    async ({ params: { name } }, reply) =>
      show(reply, { title: name, body: renderNode(base, await source.node(name)) }),
  );
}

function registerDrills(app: FastifyInstance, options: PageOptions, show: Show): void {
  const { source, base, namespace } = options;
  const rule = { resource: 'experiments', namespace };
  app.get<{ Querystring: Static<typeof PageQuery> }>(
    pagePaths.drills,
    { config: { access: { ...rule, verb: 'list' } }, schema: { querystring: PageQuery } },
    async ({ query }, reply) =>
      show(reply, {
        title: 'Drills',
        current: '/drills',
        body: renderDrills(base, await source.drills(), query.page),
      }),
  );
  app.get(pagePaths.coverage, { config: { access: { ...rule, verb: 'list' } } }, async (_request, reply) =>
    show(reply, {
      title: 'Coverage',
      current: '/coverage',
      body: renderCoverage(base, await source.coverage()),
    }),
  );
  app.get<{ Params: Static<typeof Name> }>(
    pagePaths.drill,
    { config: { access: { ...rule, verb: 'get', nameFrom: 'name' } }, schema: { params: Name } },
    async (request, reply) => {
      const { name } = request.params;
      const view = await source.drill(name);
      const live = isLive(view) ? { live: { events: options.eventsOf(name) } } : {};
      const hasButtons = view.restorable !== undefined || view.experiment.status?.verdict === undefined;
      const barred = hasButtons
        ? await options.barred(request, accessOfAct('abort', namespace, name))
        : undefined;
      const body = renderDrill(base, view, { report: options.reportOf?.(name), barred });
      return show(reply, { title: name, body, ...live });
    },
  );
}

/** As `…/events` of the REST interface has it, but that the data is only the name: the page itself is asked for what is new. */
function registerStream(app: FastifyInstance, { follow, namespace }: PageOptions): void {
  if (follow === undefined) return;
  const access = { resource: 'experiments', namespace, verb: 'get', nameFrom: 'name' } as const;
  app.get<{ Params: Static<typeof Name> }>(
    '/drills/:name/events',
    { config: { access }, schema: { params: Name } },
    async ({ params: { name } }, reply) => {
      const gone = new AbortController();
      reply.raw.on('close', () => gone.abort());
      const event = (kind: string) => `event: ${kind}\ndata: ${JSON.stringify({ name })}\n\n`;
      async function* events() {
        for await (const _change of follow?.(name, gone.signal) ?? []) yield event('experiment');
        if (!gone.signal.aborted) yield event('end');
      }
      return reply
        .type('text/event-stream')
        .header('cache-control', 'no-cache')
        .send(Readable.from(events()));
    },
  );
}

function registerForm(
  app: FastifyInstance,
  { source, base, rows, namespace, barred }: PageOptions,
  show: Show,
): void {
  const access = accessOfAct('start', namespace);
  app.get<{ Querystring: Static<typeof FormQuery> }>(
    pagePaths.form,
    // It shows the catalogue; what is made of it is refused by who may start a drill.
    { config: { access: { verb: 'list', resource: 'faults' } }, schema: { querystring: FormQuery } },
    async ({ query }, reply) => {
      const { fault = rows[0]?.name ?? '', node } = withoutEmpty(query);
      const form = { fault, set: [], nodes: node === undefined ? [] : [node], restore: false };
      return show(reply, { title: 'New drill', current: '/new', body: renderForm(base, rows, form) });
    },
  );
  app.post<{ Body: Static<typeof NewDrill> }>(
    pagePaths.form,
    { config: { access, form: true }, schema: { body: NewDrill } },
    async (request, reply) => {
      const { body } = request;
      const form = formFrom(body);
      const page = (content: Html) => show(reply, { title: 'New drill', current: '/new', body: content });
      if (body.step === 'edit') return page(renderForm(base, rows, form));
      try {
        if (body.step === 'dry-run') {
          const plan = await source.plan(form);
          return await page(renderPlan(base, form, plan, await barred(request, access)));
        }
        return reply.redirect(`${base}/drills/${encodeURIComponent(await source.start(form))}`, 303);
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
        void reply.code(statusOf(thrown.reason));
        return page(renderForm(base, rows, form, thrown));
      }
    },
  );
}

function registerCatalogue(app: FastifyInstance, { base, rows }: PageOptions, show: Show): void {
  const access = { verb: 'list', resource: 'faults' };
  app.get<{ Querystring: Static<typeof SearchQuery> }>(
    pagePaths.faults,
    { config: { access }, schema: { querystring: SearchQuery } },
    async ({ query: { q } }, reply) =>
      show(reply, { title: 'Faults', current: '/faults', body: renderFaults(base, rows, notOffered, q) }),
  );
  app.get<{ Params: Static<typeof Name> }>(
    pagePaths.fault,
    { config: { access: { verb: 'get', resource: 'faults', nameFrom: 'name' } }, schema: { params: Name } },
    async ({ params: { name } }, reply) => {
      const row = rows.find((one) => one.name === name);
      if (row === undefined)
        throw new Refusal('fault_missing', `name: ${whyNoFault(name, rows)}`, { field: 'name', value: name });
      return show(reply, { title: name, body: renderFault(base, row) });
    },
  );
  app.get(pagePaths.why, { config: { access } }, async (_request, reply) =>
    show(reply, { title: 'Why', current: '/why', body: renderWhy(base) }),
  );
  app.post<{ Body: Static<typeof WhyForm> }>(
    pagePaths.why,
    { config: { access }, schema: { body: WhyForm }, bodyLimit: longestForm },
    async ({ body: { text } }, reply) =>
      show(reply, {
        title: 'Why',
        current: '/why',
        body: renderWhy(base, { text, answer: explainTexts([{ text }]) }),
      }),
  );
}

/** The fields of a form; a browser sends each line break of a text as CR LF (HTML standard, "constructing the entry list"). */
function fieldsFrom(body: string): Readonly<Record<string, string>> {
  const fields = [...new URLSearchParams(body)];
  return Object.fromEntries(fields.map(([name, value]) => [name, value.replaceAll('\r\n', '\n')]));
}

/** A form sends what was left empty as an empty text. */
function withoutEmpty<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '')) as T;
}

function formFrom(body: Static<typeof NewDrill>): DrillForm {
  const { fault, nodes = '', selector, mode, value, repair, restore } = withoutEmpty(body);
  const set = Object.entries(withoutEmpty(body)).flatMap(([name, text]) =>
    name.startsWith(parameterPrefix) ? [`${name.slice(parameterPrefix.length)}=${String(text)}`] : [],
  );
  return {
    fault,
    set,
    nodes: nodes.split(/[\s,]+/).filter((name) => name !== ''),
    ...(selector === undefined ? {} : { selector }),
    ...(mode === undefined ? {} : { mode }),
    ...(value === undefined ? {} : { value }),
    ...(repair === undefined ? {} : { repair }),
    restore: restore === 'yes',
  };
}
