"""What a reconciler is given and what it gives back.

The result is a sum type: ``Done`` | ``After`` | an exception. controller-runtime lets ``Requeue``,
``RequeueAfter`` and an error be combined freely, and ignores some combinations with a warning; here none of
those can be written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from capt.runtime.resource import Key


@dataclass(frozen=True, slots=True)
class Done:
    """The object is as it should be; reconcile again when something that is watched changes.

    Resets the backoff of earlier errors, as controller-runtime's empty ``Result`` does.
    """


@dataclass(frozen=True, slots=True)
class After:
    """Reconcile again after a while, or earlier when something that is watched changes.

    The delay is exact, is not subject to backoff, and resets the backoff of earlier errors, as
    controller-runtime's ``RequeueAfter`` does.

    Attributes:
        seconds: the delay; zero or less means at once.
        reason: what is waited for, for people; part of the next request's reasons. "" adds none.
    """

    seconds: float
    reason: str = ""


Result = Done | After
"""How a reconcile that did not raise ended."""


class Request(Struct, frozen=True):
    """One object to reconcile. It carries no object: what is true now is read when it is needed.

    controller-runtime's ``reconcile.Request``, with reasons.

    Attributes:
        namespace: "" for a cluster-scoped object.
        name: the object's name.
        reasons: why, merged over everything that asked since the last start (at most 8), e.g. ``{"CaptMachine
            modified", "after: rollout"}``. For logs and metrics; a level-triggered decision never depends on
            them.
    """

    namespace: str
    name: str
    reasons: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        """The object's key in the caches."""
        return Key(self.namespace, self.name)


class Reconciler(Protocol):
    """Brings one object to its desired state."""

    async def reconcile(self, request: Request) -> Result:
        """Observe, decide, act, report.

        Never runs twice at once for one key. Whatever it raises is classed by
        :func:`capt.runtime.errors.classify` and retried accordingly; no exception reaches another key.

        Args:
            request: what to reconcile.

        Raises:
            TerminalError: no retry until something that is watched changes.
        """
