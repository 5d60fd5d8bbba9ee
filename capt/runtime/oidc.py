"""A new ID token for an old refresh token: the ``oidc`` auth provider of a kubeconfig.

kubernetes-asyncio refreshes too, but does not verify the provider to which it sends the refresh token and the client's
secret unless the kubeconfig brings an authority, fails if it does, and cannot read every token (base64url).
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from capt.runtime.errors import ConfigError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0)


async def refresh(settings: Mapping[str, str]) -> dict[str, str]:
    """Ask the provider for a new ID token.

    Args:
        settings: ``config`` of the auth provider: ``idp-issuer-url``, ``client-id``, ``refresh-token``, perhaps
            ``client-secret``, ``idp-certificate-authority`` or ``idp-certificate-authority-data``.

    Returns:
        The settings that are new: ``id-token``, and ``refresh-token`` where the provider replaced it.

    Raises:
        ConfigError: a setting is missing, or the provider refused or cannot be reached.
    """
    missing = [name for name in ("idp-issuer-url", "client-id", "refresh-token") if not settings.get(name)]
    if missing:
        raise ConfigError(f"oidc: no valid id-token, and none can be had without {', '.join(missing)}")
    issuer = settings["idp-issuer-url"].rstrip("/")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": settings["refresh-token"],
        "client_id": settings["client-id"],
        **({"client_secret": settings["client-secret"]} if settings.get("client-secret") else {}),
    }
    try:
        connector = aiohttp.TCPConnector(ssl=_tls(settings))
        async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as http:
            async with http.get(f"{issuer}/.well-known/openid-configuration") as answer:
                endpoint = (await _content(answer, issuer))["token_endpoint"]
            async with http.post(endpoint, data=form) as answer:
                tokens = await _content(answer, issuer)
        new = {"id-token": tokens["id_token"]}
    except KeyError as error:
        raise ConfigError(f"oidc: the answer of {issuer} has no {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ConfigError(f"oidc: {issuer}: {str(error) or type(error).__name__}") from error
    return new | ({"refresh-token": tokens["refresh_token"]} if tokens.get("refresh_token") else {})


def expiry(token: str) -> datetime | None:
    """Return when a JWT ends; ``None`` when it does not say, or is none."""
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None


def _tls(settings: Mapping[str, str]) -> ssl.SSLContext:
    data = settings.get("idp-certificate-authority-data")
    file = settings.get("idp-certificate-authority")
    if data:
        return ssl.create_default_context(cadata=base64.b64decode(data).decode())
    return ssl.create_default_context(cafile=str(Path(file)) if file else None)


async def _content(answer: aiohttp.ClientResponse, issuer: str) -> Mapping[str, Any]:
    body = await answer.read()
    if answer.status >= 400:
        # OAuth's own words, never the body: it may repeat what was sent
        reason = msgspec.json.decode(body).get("error", "") if body.startswith(b"{") else ""
        raise ConfigError(f"oidc: {issuer} answered {answer.status} {reason}".rstrip())
    content: Mapping[str, Any] = msgspec.json.decode(body)
    return content
