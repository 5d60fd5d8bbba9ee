from __future__ import annotations

import pytest

from capt.controllers.control_plane.version import minor_version


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("v1.31.2", "1.31"),
        ("1.31", "1.31"),
        ("1.33.2", "1.33"),
        ("v1.30", "1.30"),
        ("v1.31.2-eks-7f9249a", "1.31"),
        ("v1.31.2+build.1", "1.31"),
        (" 1.31 ", "1.31"),
        ("latest", None),
        ("1", None),
        ("", None),
        ("1.31.x", None),
    ],
)
def test_eks_gets_major_and_minor(version: str, minor: str | None) -> None:
    """B-P03: Cluster API's v1.31.2 is EKS's 1.31; what is no version is none."""
    assert minor_version(version) == minor
