"""Secret, the core kind that carries credentials and connection details."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from capt.api.meta import ApiObject, ResourceInfo, is_empty


def _decode(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        msg = f"not base64: {error}"
        raise ValueError(msg) from error


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


Base64Data = Annotated[bytes, BeforeValidator(_decode), PlainSerializer(_encode, when_used="json")]
"""Bytes in memory, base64 on the wire. A `str` is taken for base64."""


class Secret(ApiObject):
    """A core/v1 Secret; its data never shows in `repr`, hence not in logs."""

    RESOURCE = ResourceInfo(group="", version="v1", kind="Secret", plural="secrets", short_names=())

    api_version: Literal["v1"] = "v1"
    kind: Literal["Secret"] = "Secret"
    type: str = "Opaque"
    """What the Secret is for; immutable after creation."""
    immutable: bool | None = None
    """True when data can no longer change."""
    data: Annotated[Mapping[str, Base64Data], Field(exclude_if=is_empty, repr=False)] = Field(
        default_factory=dict
    )
    """Contents, decoded."""
