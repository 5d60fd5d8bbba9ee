"""Models as the plain data that is written."""

from __future__ import annotations

from typing import Any

from capt.api import ApiModel


def to_manifest(model: ApiModel) -> dict[str, Any]:
    """Return `model` as JSON data under its wire names, without what is absent."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
