"""Who is to look again when a WorkspaceTemplateApply changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from capt.controllers.kinds import APPLY
from capt.runtime.controller import Watch, watch_mapped
from capt.runtime.informer import Informers
from capt.runtime.object import Object
from capt.runtime.resource import Key, Kind

_WANTED_APPLIES: Final = "wanted-applies"
"""Index of those who have applies, by the names that these have or would have, as "namespace/name"."""


def watch_wanted_applies(
    informers: Informers, kind: Kind[Any], wanted: Callable[[Object], Iterable[str]]
) -> Watch:
    """Return the watch that reconciles an object of ``kind`` when an apply changes that it has, or would have.

    By name and not by owner: when the apply of somebody else stands where one's own belongs, its end is what one
    waits for.

    Args:
        informers: Where the index is declared; before the cache of ``kind`` starts.
        kind: Who has applies.
        wanted: Returns the names of the applies of such an object, in its own namespace.
    """

    def wanted_keys(owner: Object) -> Iterable[str]:
        return [str(Key(owner.namespace, name)) for name in wanted(owner)]

    def waiting(apply: Object) -> Iterable[Key]:
        return [owner.key for owner in informers.store(kind).by_index(_WANTED_APPLIES, str(apply.key))]

    informers.index(kind, _WANTED_APPLIES, wanted_keys)
    return watch_mapped(APPLY, waiting, reason=APPLY.resource.kind)
