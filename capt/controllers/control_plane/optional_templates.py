"""What a control plane may have besides: Fargate profiles, the account's role for EC2 Spot. None of it holds it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capt.api import CAPTControlPlane
from capt.controllers.control_plane.applies import Applies
from capt.controllers.control_plane.findings import REFUSALS
from capt.controllers.control_plane.plan import fargate_wish, spot_role_wish
from capt.controllers.control_plane.status import Line
from capt.controllers.control_plane.variables import Variables


async def bring_optional(
    applies: Applies, control_plane: CAPTControlPlane, inputs: Variables, outputs: Mapping[str, Any] | None
) -> Line | None:
    """Make or change what is optional, and return what came of it; None when nothing is asked for.

    Args:
        applies: Makes and changes WorkspaceTemplateApplies.
        control_plane: The control plane.
        inputs: Its Terraform variables.
        outputs: Its Terraform outputs; None while it is not ready, and nothing can stand on it.

    Raises:
        ApiError: A read or a write failed, other than by a refusal.
    """
    wishes = {
        "role for EC2 Spot": spot_role_wish(control_plane),
        "Fargate profiles": fargate_wish(control_plane, inputs, outputs or {}),
    }
    wanted = {what: wish for what, wish in wishes.items() if wish is not None}
    if not wanted:
        return None
    problems: list[str] = []
    for what, wish in wanted.items():
        if outputs is None and not wish.shared:
            problems.append(f"{what}: made when the control plane is ready")
            continue
        try:
            problem = await applies.bring(wish, control_plane)
        except REFUSALS as error:
            problem = error.message
        if problem:
            problems.append(f"{what}: {problem}")
    if problems:
        return Line(status="False", reason="OptionalTemplateNotReady", message="; ".join(problems))
    return Line(status="True", reason="Applied", message="all optional templates have been applied")
