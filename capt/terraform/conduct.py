"""In what the providers of Workspaces differ, as a reader of the Workspace sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from capt.api import WorkspaceStatus

Generations = Literal["all", "synced", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How an engine behaves towards readers of a Workspace.

    Attributes:
        generations: which conditions carry ``observedGeneration``.
        marks_creation: whether begin and end of the first apply are noted in Crossplane's annotations, and for a while
            after the end it is not believed that nothing stands.
    """

    generations: Generations = "all"
    marks_creation: bool = False

    def aged(self, status: WorkspaceStatus) -> WorkspaceStatus:
        """Return the status with no more ages of conditions than this engine tells."""
        if self.generations == "all":
            return status
        told = {"Synced"} if self.generations == "synced" else set[str]()
        conditions = tuple(
            each if each.type in told else each.model_copy(update={"observed_generation": None})
            for each in status.conditions
        )
        return status.model_copy(update={"conditions": conditions})


OWN = Conduct()
"""This engine's own."""


def mark(now: datetime) -> str:
    """Return a time as Crossplane notes it."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds")
