"""Takes out of a transcript what two servers cannot have in common: uids, times, versions, tokens, drawn names.

Each is replaced by a mark that keeps what it says: which uid is which, whether a write made a new version of an object,
that a token was given.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
_AGE = re.compile(r"\d+s|\d+m(\d+s)?|\d+ms")
_NUMBERS = (  # versions in sentences
    re.compile(r"(?<=ResourceVersion in the precondition \()\d+"),
    re.compile(r"(?<=ResourceVersion in record \()\d+"),
    re.compile(r"(?<=old resource version: )\d+ \(\d+\)"),
    re.compile(r"(?<=large resource version: )\d+, current: \d+"),
)
_MINUTES = 60.0


def normalise(transcript: Any) -> Any:
    """Return the transcript with marks in place of what is this server's own."""
    versions: dict[str, set[int]] = {}
    drawn: list[str] = []
    for content in _objects(transcript):
        meta = content["metadata"]
        if isinstance(meta.get("uid"), str) and str(meta.get("resourceVersion", "")).isdigit():
            versions.setdefault(meta["uid"], set()).add(int(meta["resourceVersion"]))
        base, name = meta.get("generateName"), meta.get("name", "")
        if base and name.startswith(base) and len(name) == len(base) + 5 and name not in drawn:
            drawn.append(name)
    ranks = {uid: {v: i + 1 for i, v in enumerate(sorted(known))} for uid, known in versions.items()}
    return _Marks(ranks, drawn).apply(transcript)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("metadata"), dict):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)


class _Marks:
    def __init__(self, ranks: dict[str, dict[int, int]], drawn: list[str]) -> None:
        self._ranks = ranks
        self._drawn = drawn
        self._uids: dict[str, str] = {}

    def apply(self, value: Any, name: str = "", uid: str = "") -> Any:
        if isinstance(value, dict):
            value = _order_of_causes(value) if value.get("kind") == "Status" else value
            uid = value["uid"] if name == "metadata" and isinstance(value.get("uid"), str) else uid
            return {
                self._text(key): self.apply(value[key], key, uid)
                for key in sorted(value)
                if key != "managedFields"
            }
        if isinstance(value, list | tuple):
            marked = [self.apply(item, name, uid) for item in value]
            if name == "causes":  # the real server checks metadata twice, and then lists its causes twice
                marked = [cause for index, cause in enumerate(marked) if cause not in marked[:index]]
            return marked
        if not isinstance(value, str):
            return value
        if name == "resourceVersion" and value.isdigit() and value != "0":
            rank = self._ranks.get(uid, {}).get(int(value))
            return f"<version {rank}>" if rank else "<version>"
        if name == "continue" and value:
            return "<token>"
        if name == "cells" and _AGE.fullmatch(value):
            return "<age>"
        return self._text(value)

    def _text(self, text: str) -> str:
        text = _UID.sub(lambda found: self._uids.setdefault(found[0], f"<uid {len(self._uids) + 1}>"), text)
        text = _TIME.sub(_mark_time, text)
        for number in _NUMBERS:
            text = number.sub("<version>", text)
        for index, name in enumerate(self._drawn):
            text = text.replace(name, f"<drawn name {index + 1}>")
        return text


def _order_of_causes(status: dict[str, Any]) -> dict[str, Any]:
    """Several causes come in the random order of Go's maps, and the message repeats them."""
    listed = (status.get("details") or {}).get("causes") or []
    causes = [cause for index, cause in enumerate(listed) if cause not in listed[:index]]
    if len(causes) < 2:
        return status
    causes = sorted(causes, key=lambda cause: (cause["field"], cause["reason"], cause["message"]))
    details = status["details"] | {"causes": causes}
    return {name: value for name, value in status.items() if name != "message"} | {"details": details}


def _mark_time(found: re.Match[str]) -> str:
    time = dt.datetime.fromisoformat(f"{found[1]}+00:00")
    if abs((dt.datetime.now(dt.UTC) - time).total_seconds()) > 60 * _MINUTES:
        return found[0]  # one that the script itself wrote
    return "<time with fractions>" if found[2] else "<time>"


def differences(real: Any, embedded: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield where the two differ, as path and words."""
    if isinstance(real, dict) and isinstance(embedded, dict):
        for key in sorted(real.keys() | embedded.keys()):
            where = f"{path}.{key}"
            if key not in embedded:
                yield where, f"only the real server says {real[key]!r:.300}"
            elif key not in real:
                yield where, f"only the embedded server says {embedded[key]!r:.300}"
            else:
                yield from differences(real[key], embedded[key], where)
    elif isinstance(real, list) and isinstance(embedded, list) and len(real) == len(embedded):
        for index, (one, other) in enumerate(zip(real, embedded, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif real != embedded or type(real) is not type(embedded):
        yield path, f"\n      real     {real!r:.700}\n      embedded {embedded!r:.700}"
