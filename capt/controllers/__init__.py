"""The verbs of CAPT: one package per kind, and how they are put into a manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from capt.runtime.controller import Controller
    from capt.runtime.manager import Manager

__all__ = ["add_to"]

_OBSERVE_THEIR_CLUSTER = frozenset({"captcluster", "captcontrolplane"})
"""Controllers that look at the pause of their Cluster themselves, and tell it in a condition."""


def add_to(
    manager: Manager, *, enabled: frozenset[str], cross_namespace: bool = False, watch_filter: str = ""
) -> None:
    """Add controllers to a manager.

    Args:
        manager: What runs them; not yet started.
        enabled: Names of the controllers to add: `captcluster`, `captcontrolplane`, `captmachine`,
            `captmachinedeployment`, `captmachineset`, `workspacetemplate`, `workspacetemplateapply`.
        cross_namespace: True lets objects refer to those of other namespaces without the target's consent.
        watch_filter: Mind only objects whose label `cluster.x-k8s.io/watch-filter`, or that of an object which
            controls them, has this value; "" for all objects.

    Raises:
        ValueError: A name is none of a controller.
    """
    # here, so that a module of rules (a planner, names) can be imported without the machinery that runs it
    from capt.controllers import (
        cluster,
        control_plane,
        machine,
        machine_deployment,
        machine_set,
        state_metrics,
        workspace_template,
        workspace_template_apply,
    )
    from capt.controllers.cluster_gate import gated
    from capt.controllers.kinds import CLUSTER, CLUSTER_V1BETA1, OWNERS
    from capt.controllers.watch_filter import WatchFilter

    makers: dict[str, Callable[[], Controller]] = {
        "captcluster": lambda: cluster.controller(manager),
        "captcontrolplane": lambda: control_plane.controller(manager),
        "captmachine": lambda: machine.controller(manager, cross_namespace=cross_namespace),
        "captmachinedeployment": lambda: machine_deployment.controller(manager),
        "captmachineset": lambda: machine_set.controller(manager),
        "workspacetemplate": lambda: workspace_template.controller(manager),
        "workspacetemplateapply": lambda: workspace_template_apply.controller(
            manager, cross_namespace=cross_namespace
        ),
    }
    if unknown := enabled - makers.keys():
        raise ValueError(f"no such controller: {', '.join(sorted(unknown))}")
    manager.informers.prefer(CLUSTER, over=CLUSTER_V1BETA1)
    made = [make() for name, make in makers.items() if name in enabled]
    made = [
        controller
        if controller.name in _OBSERVE_THEIR_CLUSTER
        else gated(controller, manager.client, manager.informers)
        for controller in made
    ]
    if watch_filter:
        selection = WatchFilter(manager.informers, OWNERS, watch_filter)
        made = [selection.on(controller) for controller in made]
    for controller in made:
        manager.add(controller)
    state_metrics.add_to(manager, [controller.kind for controller in made])
