"""Revisions: short names for contents."""

from __future__ import annotations

import hashlib
import json

_LENGTH = 16


def revision(content: object) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the JSON of `content`; the order of keys does not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
