import type { TSchema } from 'typebox';
import type { Reason } from '../../errors.ts';

/** What a route answers with one status, when nothing is wrong. */
export type AnswerDoc = {
  /** One sentence, such as `The experiment`. */
  readonly description: string;
  /** Absent: the answer has no body. */
  readonly schema?: TSchema;
  /** Media type of the body; absent: `application/json`. */
  readonly type?: string;
  /** Further media types of the same answer, which the caller chooses between. */
  readonly others?: Readonly<Record<string, TSchema>>;
  /** Headers of this answer beside those that every answer has, each with what it holds. */
  readonly headers?: Readonly<Record<string, string>>;
};

/** An example of a body; a test holds it against the route's own schema. */
export type ExampleDoc = { readonly summary: string; readonly value: unknown };

/**
 * What the OpenAPI document says of a route beside the schemas that its requests are checked by, which stand in the route's
 * `schema` and are not repeated.
 */
export type RouteDoc = {
  /** The operationId: unique in a program, stable, the method's name in a generated client. */
  readonly id: string;
  /** One of the program's tags. */
  readonly tag: string;
  /** One line. */
  readonly summary: string;
  /** Further sentences; absent: the summary says it all. */
  readonly description?: string;
  /** Answers by HTTP status. */
  readonly answers: Readonly<Record<number, AnswerDoc>>;
  /** Refusals of the route itself; those that every route may answer with are added by the document. */
  readonly reasons?: readonly Reason[];
  /** Examples of the body, by name. */
  readonly examples?: Readonly<Record<string, ExampleDoc>>;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: the route is not in the document. */
    doc?: RouteDoc;
  }
}
