"""What a controller is: a reconciler, the kinds that it watches, and how it is run.

This module only declares; :mod:`capt.runtime.reconcile_loop` runs a declaration, and the manager decides
when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from capt.runtime.backoff import Backoff
from capt.runtime.informer import Informers
from capt.runtime.object import Object
from capt.runtime.predicates import Predicate
from capt.runtime.resource import Key, Kind
from capt.runtime.result import Reconciler
from capt.runtime.rights import Right, may
from capt.runtime.scope import Transform
from capt.runtime.watch_handle import Handler, WatchHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One kind whose changes cause reconciles, and of which objects.

    Build it with :func:`watch_self`, :func:`watch_owned` or :func:`watch_mapped`, and narrow it with
    ``dataclasses.replace(watch, metadata_only=True)``.

    Attributes:
        kind: what is watched.
        keys: maps a watched object to the keys to reconcile. Called with the old and with the new object of
            an event, so that an object which moved from one owner to another reaches both.
        reason: why the key is reconciled, short and from a fixed set: it becomes a metric label. The event's
            type is added to it ("CaptMachine modified").
        predicate: drops events before they are mapped; ``None`` lets all through.
        namespaces: the only ones to watch; empty for the manager's.
        labels: label selector of the watch, "" for everything.
        fields: field selector of the watch, "" for everything: see :class:`capt.runtime.scope.Scope`.
        metadata_only: hold no more than the metadata of the objects.
        transform: makes what is cached of each object; :func:`capt.runtime.scope.project` makes one.
        optional: a missing kind is polled for, and may come and go while the controller runs; it never holds
            readiness back. A missing required kind is waited for: the controller does not start, the manager
            is not ready, and both log and ``/readyz?verbose`` name it.
    """

    kind: Kind[Any]
    keys: Callable[[Object], Iterable[Key]]
    reason: str
    predicate: Predicate | None = None
    namespaces: tuple[str, ...] = ()
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False
    transform: Transform | None = None
    optional: bool = False

    async def open(self, informers: Informers, handler: Handler) -> list[WatchHandle]:
        """Begin to watch, and return a handle per namespace. The manager does it; nobody else needs to.

        Args:
            informers: the caches.
            handler: hears of every object, then of every change.
        """
        return [
            await informers.watch(
                self.kind,
                handler,
                namespace=namespace,
                labels=self.labels,
                fields=self.fields,
                metadata_only=self.metadata_only,
                transform=self.transform,
                optional=self.optional,
            )
            for namespace in self.namespaces or (None,)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A declaration that the manager can run.

    What controller-runtime's builder and ``controller.Options`` say. An exception in a reconcile never ends the process
    (``RecoverPanic``), and a cache that does not sync is waited for without end, named in ``/readyz`` (there is no
    ``CacheSyncTimeout``, which stops the manager).

    Attributes:
        name: unique within a manager; the ``controller`` label of metrics and logs.
        reconciler: brings one object to its desired state.
        watches: exactly one of them from :func:`watch_self`: the kind that is reconciled.
        workers: most reconciles at once, never two of one key. controller-runtime's default is 1; an idle worker here is
            a suspended coroutine, so 10.
        backoff: between retries of one key after an error; by default controller-runtime's, 5 ms doubling up to 1000 s.
        min_interval: least seconds between the starts of two reconciles of one key. The first starts at
            once, those that a storm of child events asks for are coalesced. 0 for none.
        timeout: most seconds one reconcile may take before it is cancelled and retried as a transient error;
            ``None`` for no bound, as in controller-runtime.
        leader: run only while this process leads; with False on every replica.
        rights: what it does at the API server beyond listing and watching what it watches; the roles in `manifests` are
            generated from it.

    Raises:
        ValueError: the declaration makes no sense.
    """

    name: str
    reconciler: Reconciler
    watches: tuple[Watch, ...]
    workers: int = 10
    backoff: Backoff = field(default_factory=Backoff)
    min_interval: float = 0.0
    timeout: float | None = None
    leader: bool = True
    rights: tuple[Right, ...] = ()

    def __post_init__(self) -> None:
        own = sum(watch.keys is own_key for watch in self.watches)
        problems = [
            ("needs a name", not self.name),
            (f"needs exactly one watch_self, has {own}", own != 1),
            ("needs at least one worker", self.workers < 1),
            ("cannot have a negative min_interval", self.min_interval < 0),
            ("needs a timeout above zero, or None", self.timeout is not None and self.timeout <= 0),
        ]
        for problem, found in problems:
            if found:
                message = f"controller {self.name!r} {problem}"
                raise ValueError(message)

    @property
    def kind(self) -> Kind[Any]:
        """The kind that is reconciled."""
        return next(watch.kind for watch in self.watches if watch.keys is own_key)

    @property
    def all_rights(self) -> tuple[Right, ...]:
        """What it declares, and `list` and `watch` for each of its watches."""
        return (*(may(watch.kind, "list", "watch") for watch in self.watches), *self.rights)


def own_key(obj: Object) -> tuple[Key]:
    """Map an object to itself."""
    return (obj.key,)


def watch_self(kind: Kind[Any], *, predicate: Predicate | None = None) -> Watch:
    """Reconcile each object of ``kind`` when it changes: the builder's ``For``.

    Args:
        kind: what is reconciled.
        predicate: drops events that do not matter; ``None`` lets all through.
    """
    return Watch(kind=kind, keys=own_key, reason=kind.resource.kind, predicate=predicate)


def watch_owned(kind: Kind[Any], owner: Kind[Any], *, optional: bool = False) -> Watch:
    """Reconcile the *controller* owner, of kind ``owner``, of each object of ``kind`` that changes: the builder's ``Owns``.

    The version in the owner reference is ignored, since the same owner may be written with any served
    version.

    Args:
        kind: what is watched.
        owner: what is reconciled.
        optional: the kind may be missing; see :class:`Watch`.
    """
    resource = owner.resource

    def owner_key(obj: Object) -> tuple[Key, ...]:
        reference = obj.controller
        if reference is None or reference.kind != resource.kind:
            return ()
        group = reference.api_version.rpartition("/")[0]
        if group != resource.group:
            return ()
        return (Key(obj.namespace if resource.namespaced else "", reference.name),)

    return Watch(kind=kind, keys=owner_key, reason=kind.resource.kind, optional=optional)


def watch_mapped(
    kind: Kind[Any],
    keys: Callable[[Object], Iterable[Key]],
    *,
    reason: str,
    optional: bool = False,
    labels: str = "",
    predicate: Predicate | None = None,
) -> Watch:
    """Reconcile what ``keys`` makes of each object of ``kind`` that changes.

    The builder's ``Watches`` with ``EnqueueRequestsFromMapFunc``.

    Args:
        kind: what is watched.
        keys: maps an object to what is to be reconciled. It runs inside the loop step that changed the cache: it must be
            quick, and may look things up in stores and their indexes, which never wait.
        reason: why, short and from a fixed set: it becomes a metric label.
        optional: the kind may be missing; see :class:`Watch`.
        labels: label selector of the watch, "" for everything.
        predicate: drops events that do not matter; ``None`` lets all through.
    """
    return Watch(kind=kind, keys=keys, reason=reason, optional=optional, labels=labels, predicate=predicate)
