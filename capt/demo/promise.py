"""What a rolling update promises, checked on every state that the demo sees."""

from __future__ import annotations

from collections.abc import Iterator

from capt.demo.tree import Tree


def broken_promises(tree: Tree, *, least_available: int, most_machines: int) -> Iterator[str]:
    """Say what is wrong with this state of a rollout: nothing, when the promises are kept.

    Args:
        tree: The state.
        least_available: Replicas minus maxUnavailable.
        most_machines: Replicas plus maxSurge; machines on their way out count until they are gone.

    Yields:
        A sentence for each broken promise.
    """
    if tree.available < least_available:
        yield f"only {tree.available} machines are available, {least_available} were promised"
    if len(tree.machines) > most_machines:
        yield f"{len(tree.machines)} machines exist, at most {most_machines} were promised"
