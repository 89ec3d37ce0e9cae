"""Webhooks, subscriptions, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model


@dataclass(frozen=True, kw_only=True)
class Event(Model):
    """Something that happened. It never holds a value. Do nothing twice for one ``event_id``."""

    event_id: str = ""
    event_type: str = ""
    timestamp: datetime = UNKNOWN_TIME
    path: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    tenant_id: str | None = None
    partner_id: str | None = None
    identity_id: str | None = None
    sequence: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Filters(Model):
    """What narrows a webhook's or subscription's events."""

    path_prefix: str | None = None
    secret_type: str | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookStatistics(Model):
    """Deliveries of the last 24 hours."""

    deliveries_24h: int = 0
    success_rate_24h: float = 0.0
    avg_latency_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LastDelivery(Model):
    """The latest delivery of a webhook."""

    id: str = ""
    timestamp: datetime = UNKNOWN_TIME
    status: str = ""
    response_code: int | None = None


@dataclass(frozen=True, kw_only=True)
class Webhook(Model):
    """A webhook. Its signing secret is never answered."""

    id: str = ""
    name: str = ""
    url: str = ""
    events: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    format: str = "scaivault"
    ordered: str = "none"
    enabled: bool = True
    status: str = ""
    created_at: datetime = UNKNOWN_TIME
    previous_secret_until: datetime | None = None
    statistics: WebhookStatistics | None = None
    last_delivery: LastDelivery | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookTest(Model):
    """What came back from a test."""

    delivery_id: str = ""
    status: str = ""
    response_code: int | None = None
    duration_ms: int = 0
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery(Model):
    """One event on its way to one receiver."""

    id: str = ""
    event_id: str = ""
    event_type: str = ""
    timestamp: datetime = UNKNOWN_TIME
    status: str = ""
    attempts: int = 0
    response_code: int | None = None
    duration_ms: int | None = None
    error: str | None = None
    last_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SubscriptionDelivery(Model):
    """How a subscription gets its events."""

    type: str = ""
    url: str | None = None
    buffer_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Subscription(Model):
    """One's own feed of events. ``dropped_events`` is answered for a single one only."""

    id: str = ""
    name: str = ""
    identity_id: str = ""
    status: str = ""
    paths: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    delivery: SubscriptionDelivery = field(default_factory=SubscriptionDelivery)
    filters: Filters = field(default_factory=Filters)
    created_at: datetime = UNKNOWN_TIME
    dropped_events: int | None = None
    ttl: str | None = None
    last_read_at: datetime | None = None
    ends_unread_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PolledEvents(Model):
    """What was waiting. It comes again until it is acknowledged."""

    events: tuple[Event, ...] = ()
    has_more: bool = False


@dataclass(frozen=True, kw_only=True)
class AcknowledgedEvents(Model):
    """How many of the acknowledged events had been waiting."""

    acknowledged: int = 0


@dataclass(frozen=True, kw_only=True)
class Replay(Model):
    """What a replay found and put on its way; ``cursor`` goes on while ``has_more``."""

    matched: int = 0
    replayed: int = 0
    dry_run: bool = False
    cursor: str | None = None
    has_more: bool = False
