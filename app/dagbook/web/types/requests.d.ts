// Types of requests and responses by method and path, from the operations of openapi.d.ts.
//
// A path is that of an operation below /api/v2, as a text or as a list of its segments. A segment of type `string` is
// the value of a parameter; a literal segment must be part of the operation's path.

import type { paths } from "./openapi";

type Unnamed<Path extends string> = Path extends `${infer Before}{${string}}${infer After}`
  ? `${Before}{}${Unnamed<After>}`
  : Path;
type Below<Path> = Path extends `/api/v2/${infer Rest}` ? Unnamed<Rest> : never;
type Operations<Method extends string> = {
  [P in keyof paths as paths[P] extends { [M in Method]: { responses: unknown } } ? Below<P> : never]: paths[P] extends {
    [M in Method]: infer Operation;
  }
    ? Operation
    : never;
};
export type Operation<Method extends string, Path> = KeyOf<Path> extends keyof Operations<Method>
  ? Operations<Method>[KeyOf<Path>]
  : never;

type Segment<Part> = string extends Part ? "{}" : Part & string;
type Joined<Parts> = Parts extends readonly [infer First, ...infer Rest]
  ? Rest extends readonly []
    ? Segment<First>
    : `${Segment<First>}/${Joined<Rest>}`
  : never;
export type KeyOf<Path> = Path extends string ? Path : Joined<Path>;

export type Path = string | readonly string[];

/** Accepts only the path of an operation; any other is `never`. */
export type Known<Method extends string, P> = [Operation<Method, P>] extends [never] ? never : P;

type Content<Answer> = Answer extends { content: { "application/json": infer Body } } ? Body : null;
type Success<Responses> = Responses[keyof Responses & (200 | 201 | 202 | 204)];
export type Answer<Method extends string, P> = Operation<Method, P> extends { responses: infer Responses }
  ? Content<Success<Responses>>
  : never;

export type Value = string | number | boolean | null | undefined;
/** Names are those of the operation; values are converted to text. Empty ones are omitted. */
export type Query<Method extends string, P> = Operation<Method, P> extends { parameters: { query?: infer Names } }
  ? { [Name in keyof NonNullable<Names>]?: Value | readonly string[] }
  : Record<string, never>;

export type Body<Method extends string, P> = Operation<Method, P> extends {
  requestBody?: { content: { "application/json": infer Wanted } };
}
  ? Wanted
  : undefined;

/** What lib/api.js sends. */
export type Get = <const P extends Path>(
  path: Known<"get", P>,
  query?: Query<"get", P>,
  options?: { signal?: AbortSignal },
) => Promise<Answer<"get", P>>;
export type GetWithEtag = <const P extends Path>(
  path: Known<"get", P>,
) => Promise<{ answer: Answer<"get", P>; etag: string | null }>;
export type Post = <const P extends Path>(path: Known<"post", P>, body?: Body<"post", P>) => Promise<Answer<"post", P>>;
export type Change<Method extends "put" | "patch"> = <const P extends Path>(
  path: Known<Method, P>,
  body: Body<Method, P>,
  options?: { etag?: string | null },
) => Promise<Answer<Method, P>>;
export type Remove = <const P extends Path>(path: Known<"delete", P>) => Promise<Answer<"delete", P>>;
