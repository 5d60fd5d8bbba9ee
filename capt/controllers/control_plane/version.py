"""Kubernetes versions, as Cluster API writes them and as EKS takes them."""

from __future__ import annotations

import re
from typing import Final

_VERSION: Final = re.compile(r"v?(?P<minor>[0-9]+\.[0-9]+)(\.[0-9]+)?([-+][0-9A-Za-z.+-]+)?")


def minor_version(version: str) -> str | None:
    """Return major and minor of a version: `1.31` for `v1.31.2`; None for what is no version.

    Cluster API speaks of `v1.31.2`; EKS chooses the patch itself and takes `1.31` only.
    """
    match = _VERSION.fullmatch(version.strip())
    return match["minor"] if match else None
