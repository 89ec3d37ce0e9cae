"""Secret policies: recipes for values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._time import UNKNOWN_TIME
from ._base import Model
from .secrets import SecretData


@dataclass(frozen=True, kw_only=True)
class SecretPolicy(Model):
    """A recipe for values. ``fields`` are as the API writes them."""

    id: str = ""
    name: str = ""
    description: str | None = None
    policy_type: str = "custom"
    fields: tuple[Mapping[str, Any], ...] = ()
    keys: tuple[str, ...] = ()
    entropy_bits: Mapping[str, Any] = field(default_factory=dict)
    is_active: bool = True
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime = UNKNOWN_TIME


@dataclass(frozen=True, kw_only=True)
class SecretPolicyPreview(Model):
    """A sample of what a recipe makes: for looking at, not for use. It is in no ``repr``."""

    secret_policy_id: str | None = None
    notice: str = ""
    data: SecretData = field(default_factory=SecretData, repr=False)
    entropy_bits: Mapping[str, Any] = field(default_factory=dict)
