"""What Terraform put out about a control plane, from the status and from the connection Secret.

Outputs that are not sensitive stand in the status of the WorkspaceTemplateApply, all of them in the connection
Secret. A Secret's text is never shown: not in a log, not in a condition, not in `repr`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from capt.api import Secret

ENDPOINT: Final = "cluster_endpoint"
CERTIFICATE_AUTHORITY: Final = "cluster_certificate_authority_data"
TOKEN: Final = "token"  # noqa: S105 - the name of an output
KUBECONFIG: Final = "kubeconfig"
CLUSTER_NAME: Final = "cluster_name"

_PEM: Final = b"-----BEGIN CERTIFICATE-----"
# once by EKS, once by Kubernetes' own `data`; a Secret that was filled by hand may have one of each
_ENCODINGS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Terraform outputs that are texts.

    Attributes:
        texts: By name.
        has_secret: Whether the connection Secret is there.
    """

    texts: Mapping[str, str] = field(repr=False)
    has_secret: bool

    def get(self, name: str) -> str:
        """Return an output without surrounding white space; empty when there is none."""
        return self.texts.get(name, "").strip()


def read_outputs(shown: Mapping[str, Any], secret: Secret | None) -> Outputs:
    """Return the outputs of a Workspace.

    Args:
        shown: Those in the status.
        secret: The connection Secret, if it is there; what it has wins, for it has the sensitive ones too.
    """
    texts = {name: value for name, value in shown.items() if isinstance(value, str)}
    for name, content in (secret.data if secret is not None else {}).items():
        try:
            texts[name] = content.decode()
        except UnicodeDecodeError:
            continue
    return Outputs(texts=texts, has_secret=secret is not None)


def certificate_authority(outputs: Outputs) -> str:
    """Return the certificate authority as PEM; empty when there is none.

    EKS puts it out as base64, and so does its Terraform module, in a Secret whose data is base64 as well.
    """
    content = outputs.get(CERTIFICATE_AUTHORITY).encode()
    for _ in range(_ENCODINGS):
        if content.lstrip().startswith(_PEM):
            break
        try:
            content = base64.b64decode(b"".join(content.split()), validate=True)
        except (binascii.Error, ValueError):
            return ""
    if not content.lstrip().startswith(_PEM):
        return ""
    return content.decode(errors="replace").strip() + "\n"


def as_texts(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Return outputs for a map of strings; what is no string becomes JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in outputs.items()
    }
