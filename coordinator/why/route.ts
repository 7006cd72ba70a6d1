import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import type { RouteDoc } from '../../shared/http/openapi/route.ts';
import { WhyAnswer } from './finding.ts';
import { explainTexts, longestText } from './why.ts';

const pasted = Type.String({
  maxLength: longestText,
  description: 'commands, log lines, objects, in any mix',
});

const WhyBody = Type.Object(
  {
    text: Type.Optional(pasted),
    files: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Type.String({ minLength: 1, maxLength: 255 }), text: pasted },
          { additionalProperties: false },
        ),
        { maxItems: 50 },
      ),
    ),
  },
  { $id: 'WhyBody', additionalProperties: false, minProperties: 1 },
);

/** What the OpenAPI document says of the route. */
const whyDoc: RouteDoc = {
  id: 'explainText',
  tag: 'why',
  summary: 'Explains what somebody did by hand; nothing of it is executed, and the cluster is not asked',
  answers: {
    200: {
      description: 'Each piece of the text: what it did, the broken link, what to run instead',
      schema: WhyAnswer,
    },
  },
  examples: {
    field: {
      summary: 'A temperature taken for an Xid',
      value: { text: 'dcgmi test --inject --gpuid 0 -f 150 -v 48\nSuccessfully injected field info.' },
    },
  },
};

/** Adds `/api/v1/why`. It shows nothing of the cluster: who may read the catalogue may ask. */
export function registerWhyRoute(app: FastifyInstance): void {
  app.post<{ Body: Static<typeof WhyBody> }>(
    '/api/v1/why',
    { config: { access: { verb: 'list', resource: 'faults' }, doc: whyDoc }, schema: { body: WhyBody } },
    async ({ body }) => {
      const { text, files = [] } = body;
      const inputs = [...(text === undefined ? [] : [{ text }]), ...files];
      if (inputs.every((one) => one.text.trim() === ''))
        throw new Refusal('malformed_request', 'text: there is nothing to explain', {
          field: 'text',
          remedy: 'send what was done or seen as text, or as files: [{"name": …, "text": …}]',
        });
      const length = inputs.reduce((sum, one) => sum + one.text.length, 0);
      if (length > longestText)
        throw new Refusal(
          'body_too_large',
          `text and files: ${length} characters, at most ${longestText} are read`,
          {
            field: 'text',
            allowed: longestText,
            remedy: 'send it in parts',
          },
        );
      return explainTexts(inputs);
    },
  );
}
