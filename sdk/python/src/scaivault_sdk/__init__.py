"""The Python SDK of ScaiVault.

.. code-block:: python

    from scaivault_sdk import ScaiVaultClient

    client = ScaiVaultClient("https://vault.example", token="skt_…")
    secret = client.secrets.read("integrations/salesforce/oauth")
    secret.data["client_secret"]
"""

from . import errors, models
from ._modes import AsyncEvents, AsyncPages, AsyncStream, Events, Pages, Pending, Stream
from ._retry import Retry
from ._version import __version__
from .cache import CachedSecret, SecretCache
from .client import AsyncScaiVaultClient, ScaiVaultClient, SyncScaiVaultClient
from .errors import ScaiVaultError
from .leased import LeasedCredential
from .models import Event, Secret, SecretInfo
from .webhooks import WebhookVerifier, verify_webhook

__all__ = [
    "AsyncEvents",
    "AsyncPages",
    "AsyncScaiVaultClient",
    "AsyncStream",
    "CachedSecret",
    "Event",
    "Events",
    "LeasedCredential",
    "Pages",
    "Pending",
    "Retry",
    "ScaiVaultClient",
    "ScaiVaultError",
    "Secret",
    "SecretCache",
    "SecretInfo",
    "Stream",
    "SyncScaiVaultClient",
    "WebhookVerifier",
    "__version__",
    "errors",
    "models",
    "verify_webhook",
]
