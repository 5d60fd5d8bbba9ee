from __future__ import annotations

import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from capt import __version__
from tests.support import project

SOURCES = ["pyproject.toml", "README.md", "LICENSE", "capt", "manifests"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel, and in `src` what it was built from."""

    def build(folder: Path) -> None:
        project.copy_sources(SOURCES, folder / "src")
        project.shell(
            "python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir .. .",
            cwd=folder / "src",
            env=project.without_network(),
        )

    return project.once(tmp_path_factory, "wheel", build)


@pytest.fixture
def wheel(built: Path) -> zipfile.Path:
    (file,) = built.glob("*.whl")
    return zipfile.Path(file)


def test_wheel_carries_what_capt_needs_at_run_time(built: Path, wheel: zipfile.Path) -> None:
    """CRDs, the Workspace CRD and the samples are in the wheel: an installed capt needs no checkout."""
    for folder in ("crds", "workspace", "samples"):
        shipped = {path.name: path.read_bytes() for path in (wheel / "capt" / "manifests" / folder).iterdir()}
        own = {path.name: path.read_bytes() for path in (built / "src" / "manifests" / folder).iterdir()}
        assert shipped == own


def test_wheel_carries_every_module_and_its_types(built: Path, wheel: zipfile.Path) -> None:
    """The package is whole, and marked as typed."""
    sources = built / "src"
    modules = {str(path.relative_to(sources)) for path in (sources / "capt").rglob("*.py")}
    shipped = set(wheel.root.namelist())
    assert modules | {"capt/py.typed"} <= shipped


def test_wheel_carries_nothing_else(wheel: zipfile.Path) -> None:
    """Neither tests nor caches reach users."""
    tops = {name.partition("/")[0] for name in wheel.root.namelist()}
    assert tops == {"capt", f"capt-{__version__}.dist-info"}
    assert not [name for name in wheel.root.namelist() if "__pycache__" in name]


def test_wheel_says_what_it_is(wheel: zipfile.Path) -> None:
    """Version, licence, Python and the README are in the wheel's metadata."""
    text = (wheel / f"capt-{__version__}.dist-info" / "METADATA").read_text(encoding="utf-8")
    metadata = HeaderParser().parsestr(text)
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload().strip() == (project.ROOT / "README.md").read_text(encoding="utf-8").strip()
