"""YAML: the server's own description of the built-in kinds, and whatever clients send in it."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml

# Times stay text, as JSON has them.
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_LOADER = type(
    "_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"yaml_implicit_resolvers": _RESOLVERS}
)


def load_yaml(text: str | bytes) -> Any:
    """The one document in ``text``.

    Raises:
        yaml.YAMLError: It is none.
    """
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader


@functools.cache
def kinds() -> dict[str, Any]:
    """``kinds.yaml``."""
    loaded: dict[str, Any] = load_yaml((resources.files(__package__) / "kinds.yaml").read_bytes())
    return loaded
