"""What Terraform said, for people.

provider-terraform reports an error as one line: a summary, then the whole of Terraform's stderr as
base64(gzip(...)) inside a shell command that a reader is asked to run. A condition, an event and a log line
should simply say what Terraform said, so the envelope is opened here. What is in it came from a provider and
is believed in nothing: not in its size, not in its encoding, not in its control characters.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Final

MESSAGE_LIMIT: Final = 4096
"""Most characters of a readable message; a condition holds 32768, an event 1024, a person fewer."""

_INFLATED_LIMIT: Final = 256 * 1024
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ENVELOPE: Final = re.compile(
    r"(?:Terraform|OpenTofu|Tofu) encountered an error\..*?"
    r'echo "(?P<payload>[A-Za-z0-9+/=\s]+)" \| base64 -d \| gunzip',
    re.DOTALL,
)
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# the frame that Terraform draws around a diagnostic
_FRAME: Final = re.compile(r"^[╷│╵] ?", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def readable(message: str, *, limit: int = MESSAGE_LIMIT) -> str:
    """Return the message of a Workspace's condition as text for people.

    An envelope is replaced by what it holds, from the first `Error:` on; the provider's words before it ("create
    failed: ...") stay. A message without an envelope, or with one that cannot be opened, is only cleaned and cut.

    Args:
        message: `Synced.message` as the provider wrote it.
        limit: Most characters of the result.
    """
    opened = _ENVELOPE.sub(_contents, message)
    return shorten(_clean(opened), limit)


def shorten(text: str, limit: int) -> str:
    """Return `text`, cut to `limit` characters with an ellipsis as the last one where it is longer."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _contents(match: re.Match[str]) -> str:
    try:
        packed = base64.b64decode("".join(match["payload"].split()), validate=True)
        stderr = zlib.decompressobj(_GZIP_WINDOW).decompress(packed, _INFLATED_LIMIT)
    except (binascii.Error, zlib.error):
        return match[0]
    text = _clean(stderr.decode(errors="replace"))
    start = text.find("Error:")
    return (text[start:] if start >= 0 else text) or match[0]


def _clean(text: str) -> str:
    text = _ANSI.sub("", text.replace("\r\n", "\n"))
    text = _FRAME.sub("", _CONTROL.sub("", text))
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return _BLANK_LINES.sub("\n\n", lines).strip()
