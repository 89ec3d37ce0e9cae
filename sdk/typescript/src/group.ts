/** Operations that belong together, and the lists they give. */

import { type Call, type CallOptions, exchange, type Session } from "./core.js";
import { isRecord } from "./errors.js";
import { decode, decodeList } from "./json.js";
import type { Repeat } from "./retry.js";
import type { Page } from "./types.js";

/** Size of a page; all pages are walked. */
export interface ListOptions extends CallOptions {
  limit?: number | undefined;
}

/** A group of operations. */
export abstract class Group {
  protected readonly session!: Session;

  constructor(session: Session) {
    // Not enumerable: a logged client is not a page of settings.
    Object.defineProperty(this, "session", { value: session, enumerable: false });
  }

  protected send<T>(call: Call<T>, options?: CallOptions): Promise<T> {
    return exchange(this.session, call, options);
  }

  protected get<T>(route: string, options?: CallOptions, query?: object): Promise<T> {
    return this.send({ method: "GET", route, decode: (body) => decode<T>(body), query: query ?? {} }, options);
  }

  protected getList<T>(route: string, key: string, options?: CallOptions, query?: object): Promise<T[]> {
    const decoder = (body: unknown): T[] => decodeList<T>(body, key);
    return this.send({ method: "GET", route, decode: decoder, query: query ?? {} }, options);
  }

  protected act<T>(
    method: string,
    route: string,
    repeat: Repeat,
    body: unknown,
    options?: CallOptions,
  ): Promise<T> {
    return this.send({ method, route, repeat, body, decode: (answer) => decode<T>(answer) }, options);
  }

  /** A removal without an answer. What is gone after a lost answer was removed by it. */
  protected remove(route: string, options?: CallOptions, query?: object, body?: unknown): Promise<void> {
    const nothing = (): void => undefined;
    const call: Call<void> = { method: "DELETE", route, repeat: "harmless", decode: nothing, gone: nothing };
    return this.send({ ...call, query: query ?? {}, body }, options);
  }

  protected paged<T>(route: string, key: string, options: ListOptions = {}, query: object = {}): Pages<T> {
    const { signal, limit } = options;
    return new Pages<T>((cursor) =>
      this.send(
        {
          method: "GET",
          route,
          query: { ...query, limit, cursor },
          decode: (body) => ({
            items: decodeList<T>(body, key),
            cursor: isRecord(body) && typeof body["cursor"] === "string" ? body["cursor"] : null,
            hasMore: isRecord(body) && body["has_more"] === true,
          }),
        },
        { signal },
      ),
    );
  }
}

/** The items of all pages: walk it with `for await`. It is fetched while it is walked. */
export class Pages<T> implements AsyncIterable<T> {
  readonly #page: (cursor: string | undefined) => Promise<Page<T>>;

  constructor(page: (cursor: string | undefined) => Promise<Page<T>>) {
    this.#page = page;
  }

  /** Page by page. A page may be empty and not be the last. */
  async *pages(): AsyncGenerator<Page<T>, void, undefined> {
    let cursor: string | undefined;
    do {
      const page: Page<T> = await this.#page(cursor);
      yield page;
      cursor = page.hasMore && page.cursor !== null ? page.cursor : undefined;
    } while (cursor !== undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const page of this.pages()) yield* page.items;
  }

  /** All of them, in one array. */
  async all(): Promise<T[]> {
    const items: T[] = [];
    for await (const item of this) items.push(item);
    return items;
  }
}
