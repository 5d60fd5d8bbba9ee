"""Which applies use a template: an index, and the ways through it in both directions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from capt.controllers.kinds import APPLY
from capt.runtime import Key, Object
from capt.runtime.informer import Informers

TEMPLATE_INDEX: Final = "template"
"""On applies: the template that they use, as `namespace/name`."""


def declare(informers: Informers) -> None:
    """Declare the index; before any cache of applies starts."""
    informers.index(APPLY, TEMPLATE_INDEX, _template)


def template_of(apply: Object) -> Iterable[Key]:
    """Return the template that an apply uses."""
    reference = (apply.decode().get("spec") or {}).get("templateRef") or {}
    name = reference.get("name")
    return (Key(reference.get("namespace") or apply.namespace, name),) if name else ()


def users_of(informers: Informers, template: Object) -> Iterable[Key]:
    """Return the applies that use a template."""
    return [apply.key for apply in informers.store(APPLY).by_index(TEMPLATE_INDEX, str(template.key))]


def _template(apply: Object) -> Iterable[str]:
    return map(str, template_of(apply))
