"""The Workspace API as CAPT uses it: flavours, marks of ownership, differences, readiness, error texts."""

from __future__ import annotations

from capt.controllers.workspace.drift import spec_difference
from capt.controllers.workspace.envelope import readable, shorten
from capt.controllers.workspace.flavours import (
    FLAVOURS,
    GO_ORIGINAL,
    WORKSPACE_GROUP_ANNOTATION,
    Flavour,
    choose,
)
from capt.controllers.workspace.marks import (
    EXTERNAL_NAME_ANNOTATION,
    RETAINED_ANNOTATION,
    Ownership,
    key_text,
    owner_labels,
    owner_of,
    ownership,
)
from capt.controllers.workspace.outputs import OutputReader, OutputTooLargeError, output_of, output_text
from capt.controllers.workspace.readiness import (
    SETTLE,
    STATUS_BEFORE_ANNOTATION,
    WRITTEN_AT_ANNOTATION,
    Readiness,
    State,
    assess,
    spec_written,
    status_digest,
)
from capt.controllers.workspace.revision import revision

__all__ = [
    "EXTERNAL_NAME_ANNOTATION",
    "FLAVOURS",
    "GO_ORIGINAL",
    "RETAINED_ANNOTATION",
    "SETTLE",
    "STATUS_BEFORE_ANNOTATION",
    "WORKSPACE_GROUP_ANNOTATION",
    "WRITTEN_AT_ANNOTATION",
    "Flavour",
    "OutputReader",
    "OutputTooLargeError",
    "Ownership",
    "Readiness",
    "State",
    "assess",
    "choose",
    "key_text",
    "output_of",
    "output_text",
    "owner_labels",
    "owner_of",
    "ownership",
    "readable",
    "revision",
    "shorten",
    "spec_difference",
    "spec_written",
    "status_digest",
]
