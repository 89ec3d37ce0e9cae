/** Webhooks and subscriptions. */

import { type CallOptions, segment } from "./core.js";
import { ScaiVaultError } from "./errors.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decode, given } from "./json.js";
import { WAIT_SLACK_MS } from "./rotation.js";
import { type StreamOptions, streamed } from "./stream.js";
import type { Delivery, Event, Filters, PolledEvents, Replay, Subscription, Webhook, WebhookTest } from "./types.js";

/** Fields of a webhook. */
export interface WebhookFields {
  name?: string | undefined;
  url?: string | undefined;
  secret?: string | undefined;
  events?: readonly string[] | undefined;
  filters?: Filters | undefined;
  format?: string | undefined;
  /** `none`, `path` or `all`. */
  ordered?: string | undefined;
  enabled?: boolean | undefined;
}

/** Which deliveries to send again: those that failed, unless told. */
export interface ReplayOptions extends CallOptions {
  since?: Date | string | undefined;
  until?: Date | string | undefined;
  events?: readonly string[] | undefined;
  /** `success` and `all` need `since`. */
  status?: "dead" | "success" | "all" | undefined;
  limit?: number | undefined;
  /** Goes on behind an answer with `hasMore`. */
  cursor?: string | undefined;
  /** Only counts. */
  dryRun?: boolean | undefined;
}

/** Events of the tenant, delivered by signed requests. */
export class Webhooks extends Group {
  /** All webhooks. */
  async list(options?: CallOptions): Promise<Webhook[]> {
    return this.getList("/v1/webhooks", "webhooks", options);
  }

  /** A new webhook, signed with `secret`. */
  async create(
    webhook: WebhookFields & { name: string; url: string; secret: string; events: readonly string[] },
    options?: CallOptions,
  ): Promise<Webhook> {
    return this.act("POST", "/v1/webhooks", "harmful", withFilters(webhook), options);
  }

  /** One webhook with its statistics. */
  async read(id: string, options?: CallOptions): Promise<Webhook> {
    return this.get(webhookRoute(id), options);
  }

  /**
   * Changes what is given. A new `secret` signs at once; for `previousSecretTtl` (24h) the standard
   * signature is also made with the old one.
   */
  async update(
    id: string,
    changes: WebhookFields & { previousSecretTtl?: string | undefined },
    options?: CallOptions,
  ): Promise<Webhook> {
    return this.act("PATCH", webhookRoute(id), "harmless", withFilters(changes), options);
  }

  /** Deletes it; what is on its way is given up. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    return this.remove(webhookRoute(id), options);
  }

  /** Sends `webhook.test` now and answers with what came back. */
  async test(id: string, options?: CallOptions): Promise<WebhookTest> {
    return this.act("POST", webhookRoute(id, "/test"), "harmless", undefined, options);
  }

  /** Its deliveries, newest first. */
  deliveries(
    id: string,
    query: ListOptions & { status?: "success" | "dead" | "pending" } = {},
  ): Pages<Delivery> {
    const { signal, limit, ...filters } = query;
    return this.paged(webhookRoute(id, "/deliveries"), "deliveries", { signal, limit }, filters);
  }

  /** Sends one again now, with all its attempts. */
  async redeliver(id: string, deliveryId: string, options?: CallOptions): Promise<Delivery> {
    const route = webhookRoute(id, `/deliveries/${segment(deliveryId)}/redeliver`);
    return this.act("POST", route, "harmful", undefined, options);
  }

  /** Sends what could not be delivered again, oldest first. */
  async replay(id: string, options: ReplayOptions = {}): Promise<Replay> {
    const { signal, since, until, ...others } = options;
    const body = given({ from: since, to: until, ...others });
    return this.act("POST", webhookRoute(id, "/replay"), "harmful", body, { signal });
  }
}

/** Fields of a subscription. */
export interface SubscriptionFields {
  name?: string | undefined;
  paths?: readonly string[] | undefined;
  events?: readonly string[] | undefined;
  /** To be polled, when not given. */
  delivery?:
    | { type: "polling"; bufferSize?: number | undefined }
    | { type: "webhook"; url: string; secret: string }
    | undefined;
  filters?: Filters | undefined;
  /** For polling: it ends when nobody read it for so long, at least `1h`. */
  ttl?: string | undefined;
}

/** One's own feeds of events about paths. */
export class Subscriptions extends Group {
  /** One's own subscriptions; with `admin` all. */
  async list(options?: CallOptions): Promise<Subscription[]> {
    return this.getList("/v1/subscriptions", "subscriptions", options);
  }

  /** A new one: to be polled, unless `delivery` says otherwise. */
  async create(
    subscription: SubscriptionFields & { name: string; paths: readonly string[]; events: readonly string[] },
    options?: CallOptions,
  ): Promise<Subscription> {
    const delivery = subscription.delivery ?? { type: "polling" };
    const body = withFilters({ ...subscription, delivery: given(delivery) });
    return this.act("POST", "/v1/subscriptions", "harmful", body, options);
  }

  /** One subscription, with the number of events that were dropped. */
  async read(id: string, options?: CallOptions): Promise<Subscription> {
    return this.get(subscriptionRoute(id), options);
  }

  /** Changes what is given. */
  async update(id: string, changes: SubscriptionFields, options?: CallOptions): Promise<Subscription> {
    const delivery = changes.delivery === undefined ? undefined : given(changes.delivery);
    const body = withFilters({ ...changes, delivery });
    return this.act("PATCH", subscriptionRoute(id), "harmless", body, options);
  }

  /** Deletes it; what it holds is dropped. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    return this.remove(subscriptionRoute(id), options);
  }

  /**
   * Waits up to `timeoutS` seconds (30, at most 60) for events. They come again until they are
   * acknowledged.
   */
  async poll(
    id: string,
    options: CallOptions & {
      timeoutS?: number | undefined;
      maxEvents?: number | undefined;
      sinceEventId?: string | undefined;
    } = {},
  ): Promise<PolledEvents> {
    const { signal, timeoutS, ...query } = options;
    return this.send(
      {
        method: "GET",
        route: subscriptionRoute(id, "/poll"),
        query: { timeout: timeoutS, ...query },
        decode: (body) => {
          const polled = decode<Partial<PolledEvents>>(body);
          return { events: polled.events ?? [], hasMore: polled.hasMore === true };
        },
        timeoutMs: (timeoutS ?? 30) * 1000 + WAIT_SLACK_MS,
      },
      { signal },
    );
  }

  /** These events need not come again. */
  async ack(id: string, eventIds: readonly string[], options?: CallOptions): Promise<{ acknowledged: number }> {
    return this.act("POST", subscriptionRoute(id, "/ack"), "harmless", given({ eventIds }), options);
  }

  /**
   * Events as they come, each acknowledged after the loop's body has run for it. One whose body
   * failed, or was left, comes again. `untilIdle` ends the loop when a poll finds nothing.
   */
  async *events(
    id: string,
    options: CallOptions & {
      pollTimeoutS?: number | undefined;
      maxEvents?: number | undefined;
      untilIdle?: boolean | undefined;
    } = {},
  ): AsyncGenerator<Event, void, undefined> {
    const { signal, pollTimeoutS = 30, maxEvents, untilIdle } = options;
    let done: string[] = [];
    try {
      for (;;) {
        const { events } = await this.poll(id, { signal, timeoutS: pollTimeoutS, maxEvents });
        if (events.length === 0 && untilIdle === true) return;
        for (const event of events) {
          yield event;
          done.push(event.eventId);
        }
        if (done.length > 0) await this.ack(id, done, { signal });
        done = [];
      }
    } finally {
      // What cannot be acknowledged now comes again.
      if (done.length > 0) {
        await this.ack(id, done).catch((error: unknown) => {
          if (!(error instanceof ScaiVaultError)) throw error;
        });
      }
    }
  }

  /**
   * The same as a stream of server-sent events: each arrives as soon as it is there. A connection
   * that broke is made again behind the last event, for `giveUpAfterMs` at most. What the loop's body
   * has run for is acknowledged, unless `acknowledge` is false. `signal` ends it, and so does leaving
   * the loop.
   */
  stream(id: string, options: StreamOptions = {}): AsyncGenerator<Event, void, undefined> {
    const ack = (eventIds: readonly string[], signal?: AbortSignal): Promise<unknown> =>
      this.ack(id, eventIds, { signal });
    return streamed(this.session, subscriptionRoute(id, "/stream"), ack, options);
  }
}

function withFilters<F extends { filters?: Filters | undefined }>(fields: F): Record<string, unknown> {
  return given({ ...fields, filters: fields.filters === undefined ? undefined : given(fields.filters) });
}

function webhookRoute(id: string, suffix = ""): string {
  return `/v1/webhooks/${segment(id)}${suffix}`;
}

function subscriptionRoute(id: string, suffix = ""): string {
  return `/v1/subscriptions/${segment(id)}${suffix}`;
}
