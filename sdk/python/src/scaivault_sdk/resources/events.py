"""Webhooks and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._call import (
    Call,
    Listing,
    Repeat,
    act,
    as_list,
    get,
    get_list,
    given,
    paged,
    query,
    remove,
    segment,
    slow,
)
from .._modes import Feed, Group, ModeT, feed, listing, operation, streaming
from .._stream import StreamPlan
from .._time import format_duration, format_time
from ..models import (
    AcknowledgedEvents,
    Delivery,
    Done,
    Items,
    PolledEvents,
    Replay,
    Subscription,
    Webhook,
    WebhookTest,
)
from .rotation import WAIT_SLACK


class Webhooks(Group[ModeT]):
    """Events of the tenant, delivered by signed requests."""

    @operation
    def list(self) -> Call[Items[Webhook]]:
        """All webhooks."""
        return get_list("/v1/webhooks", "webhooks", Webhook)

    @operation
    def create(
        self,
        name: str,
        url: str,
        secret: str,
        events: Sequence[str],
        *,
        filters: Mapping[str, Any] | None = None,
        format: str | None = None,
        enabled: bool | None = None,
        ordered: str | None = None,
    ) -> Call[Webhook]:
        """A new webhook, signed with ``secret``. ``filters`` may have ``path_prefix``,
        ``secret_type`` and ``tags``; ``ordered`` is ``none``, ``path`` or ``all``."""
        body = given(
            name=name,
            url=url,
            secret=secret,
            events=as_list(events),
            filters=filters,
            format=format,
            enabled=enabled,
            ordered=ordered,
        )
        return act("POST", "/v1/webhooks", Webhook, Repeat.HARMFUL, body)

    @operation
    def read(self, webhook_id: str) -> Call[Webhook]:
        """One webhook with its statistics."""
        return get(_webhook(webhook_id), Webhook)

    @operation
    def update(
        self,
        webhook_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        secret: str | None = None,
        previous_secret_ttl: timedelta | str | None = None,
        events: Sequence[str] | None = None,
        filters: Mapping[str, Any] | None = None,
        format: str | None = None,
        enabled: bool | None = None,
        ordered: str | None = None,
    ) -> Call[Webhook]:
        """Changes what is given. A new ``secret`` signs at once; for ``previous_secret_ttl``
        (24h) the standard signature is also made with the old one."""
        body = given(
            name=name,
            url=url,
            secret=secret,
            previous_secret_ttl=None
            if previous_secret_ttl is None
            else format_duration(previous_secret_ttl),
            events=as_list(events),
            filters=filters,
            format=format,
            enabled=enabled,
            ordered=ordered,
        )
        return act("PATCH", _webhook(webhook_id), Webhook, Repeat.HARMLESS, body)

    @operation
    def delete(self, webhook_id: str) -> Call[Done]:
        """Deletes it; what is on its way is given up."""
        return remove(_webhook(webhook_id))

    @operation
    def test(self, webhook_id: str) -> Call[WebhookTest]:
        """Sends ``webhook.test`` now and answers with what came back."""
        return act("POST", _webhook(webhook_id, "/test"), WebhookTest, Repeat.HARMLESS)

    @listing
    def deliveries(
        self, webhook_id: str, *, status: str | None = None, limit: int | None = None
    ) -> Listing[Delivery]:
        """Its deliveries, newest first; ``status``: ``success``, ``dead``, ``pending``."""
        route = _webhook(webhook_id, "/deliveries")
        return paged(route, "deliveries", Delivery, status=status, limit=limit)

    @operation
    def redeliver(self, webhook_id: str, delivery_id: str) -> Call[Delivery]:
        """Sends one again now, with all its attempts."""
        route = _webhook(webhook_id, f"/deliveries/{segment(delivery_id)}/redeliver")
        return act("POST", route, Delivery, Repeat.HARMFUL)

    @operation
    def replay(
        self,
        webhook_id: str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        events: Sequence[str] | None = None,
        status: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        dry_run: bool | None = None,
    ) -> Call[Replay]:
        """Sends what could not be delivered again, oldest first; with ``status`` ``success`` or
        ``all`` (and ``since``) the others, too. ``cursor`` goes on behind an answer with
        ``has_more``; ``dry_run`` only counts."""
        body = given(
            to=None if until is None else format_time(until),
            events=as_list(events),
            status=status,
            limit=limit,
            cursor=cursor,
            dry_run=dry_run,
        )
        if since is not None:
            body["from"] = format_time(since)
        return act("POST", _webhook(webhook_id, "/replay"), Replay, Repeat.HARMFUL, body)


class Subscriptions(Group[ModeT]):
    """One's own feeds of events about paths."""

    @operation
    def list(self) -> Call[Items[Subscription]]:
        """One's own subscriptions; with ``admin`` all."""
        return get_list("/v1/subscriptions", "subscriptions", Subscription)

    @operation
    def create(
        self,
        name: str,
        paths: Sequence[str],
        events: Sequence[str],
        *,
        delivery: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
        ttl: timedelta | str | None = None,
    ) -> Call[Subscription]:
        """A new one: to be polled, unless ``delivery`` is
        ``{"type": "webhook", "url": …, "secret": …}``. One to be polled ends when nobody read it
        for ``ttl``, at least ``1h``."""
        body = given(
            name=name,
            paths=as_list(paths),
            events=as_list(events),
            delivery=delivery or {"type": "polling"},
            filters=filters,
            ttl=None if ttl is None else format_duration(ttl),
        )
        return act("POST", "/v1/subscriptions", Subscription, Repeat.HARMFUL, body)

    @operation
    def read(self, subscription_id: str) -> Call[Subscription]:
        """One subscription, with the number of events that were dropped."""
        return get(_subscription(subscription_id), Subscription)

    @operation
    def update(
        self,
        subscription_id: str,
        *,
        name: str | None = None,
        paths: Sequence[str] | None = None,
        events: Sequence[str] | None = None,
        delivery: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
        ttl: timedelta | str | None = None,
    ) -> Call[Subscription]:
        """Changes what is given."""
        body = given(
            name=name,
            paths=as_list(paths),
            events=as_list(events),
            delivery=delivery,
            filters=filters,
            ttl=None if ttl is None else format_duration(ttl),
        )
        return act("PATCH", _subscription(subscription_id), Subscription, Repeat.HARMLESS, body)

    @operation
    def delete(self, subscription_id: str) -> Call[Done]:
        """Deletes it; what it holds is dropped."""
        return remove(_subscription(subscription_id))

    @operation
    def poll(
        self,
        subscription_id: str,
        *,
        timeout: int | None = None,
        max_events: int | None = None,
        since_event_id: str | None = None,
    ) -> Call[PolledEvents]:
        """Waits up to ``timeout`` seconds (30, at most 60) for events. They come again until
        they are acknowledged."""
        return _poll(subscription_id, timeout, max_events, since_event_id)

    @operation
    def ack(self, subscription_id: str, event_ids: Sequence[str]) -> Call[AcknowledgedEvents]:
        """These events need not come again."""
        return _ack(subscription_id, event_ids)

    @feed
    def events(
        self,
        subscription_id: str,
        *,
        poll_timeout: int = 30,
        max_events: int | None = None,
        until_idle: bool = False,
    ) -> Feed:
        """Events as they come, each acknowledged after the loop's body has run for it. One whose
        body failed, or was left, comes again. ``until_idle`` ends the loop when a poll finds
        nothing."""
        return Feed(
            lambda: _poll(subscription_id, poll_timeout, max_events, None),
            lambda event_ids: _ack(subscription_id, event_ids),
            until_idle,
        )

    @streaming
    def stream(
        self,
        subscription_id: str,
        *,
        since_event_id: str | None = None,
        acknowledge: bool = True,
        give_up_after: float = 300.0,
        for_seconds: float | None = None,
    ) -> StreamPlan:
        """The same as a stream of server-sent events: each arrives as soon as it is there. A
        connection that broke is made again behind the last event, for ``give_up_after`` seconds at
        most. What the loop's body has run for is acknowledged, unless ``acknowledge`` is false.
        ``for_seconds`` ends the loop after about so long; leaving it ends it, too."""
        return StreamPlan(
            _subscription(subscription_id, "/stream"),
            lambda event_ids: _ack(subscription_id, event_ids),
            since_event_id,
            acknowledge,
            give_up_after,
            for_seconds,
        )


def _poll(
    subscription_id: str,
    timeout: int | None,
    max_events: int | None,
    since_event_id: str | None,
) -> Call[PolledEvents]:
    values = query(timeout=timeout, max_events=max_events, since_event_id=since_event_id)
    call = Call(
        "GET", _subscription(subscription_id, "/poll"), PolledEvents.from_json, query=values
    )
    return slow(call, (30 if timeout is None else timeout) + WAIT_SLACK)


def _ack(subscription_id: str, event_ids: Sequence[str]) -> Call[AcknowledgedEvents]:
    body = {"event_ids": as_list(event_ids)}
    route = _subscription(subscription_id, "/ack")
    return act("POST", route, AcknowledgedEvents, Repeat.HARMLESS, body)


def _webhook(webhook_id: str, suffix: str = "") -> str:
    return f"/v1/webhooks/{segment(webhook_id)}{suffix}"


def _subscription(subscription_id: str, suffix: str = "") -> str:
    return f"/v1/subscriptions/{segment(subscription_id)}{suffix}"
