"""HCL text to the dicts and lists of python-hcl2, from any thread."""

from __future__ import annotations

import threading
from typing import Any, Final

# python-hcl2 notes where it is in default arguments of its methods, which all calls share: two at once leave them wrong for
# good, and then var.x is read as text, and `sensitive = true` as something else than true
_ONE_AT_A_TIME: Final = threading.Lock()


def loads(text: str) -> dict[str, Any]:
    """Return what a file says.

    Raises:
        lark.exceptions.LarkError: it is no HCL.
        RecursionError: it is nested too deeply.
    """
    # large, and a manager whose templates are all remote never needs it
    import hcl2

    with _ONE_AT_A_TIME:
        content: dict[str, Any] = hcl2.loads(text if text.endswith("\n") else f"{text}\n")
    return content
