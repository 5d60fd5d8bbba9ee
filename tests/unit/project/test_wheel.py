from __future__ import annotations

import re
import subprocess
import sys
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
        shipped = files(wheel / "capt" / "manifests" / folder)
        own = files(built / "src" / "manifests" / folder)
        assert shipped == own


def files(folder: zipfile.Path | Path, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in folder.iterdir():
        if path.is_dir():
            found |= files(path, f"{prefix}{path.name}/")
        else:
            found[f"{prefix}{path.name}"] = path.read_bytes()
    return found


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
    """B-K16: Version, licence, Python and the README are in the wheel's metadata."""
    text = (wheel / f"capt-{__version__}.dist-info" / "METADATA").read_text(encoding="utf-8")
    metadata = HeaderParser().parsestr(text)
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload().strip() == (project.ROOT / "README.md").read_text(encoding="utf-8").strip()


def test_the_installed_wheel_is_enough_for_the_demo(built: Path, tmp_path: Path) -> None:
    """Installed into an empty environment, without network and far from the checkout, the wheel plays the demo."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (wheel_file,) = built.glob("*.whl")
    (site,) = environment.glob("lib/python*/site-packages")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel_file)
    subprocess.run([sys.executable, *install], check=True, env=project.without_network())
    # its dependencies are those of the environment that runs the tests, capt itself is the wheel's
    (site / "dependencies.pth").write_text(
        "".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")), encoding="utf-8"
    )
    python = environment / "bin" / "python"
    clean = {"HOME": str(tmp_path), "PATH": str(environment / "bin"), "TMPDIR": str(tmp_path)}
    where = subprocess.run(
        [python, "-c", "import capt; print(capt.__file__)"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    # without a terraform on this PATH the simulated engine plays
    done = subprocess.run(
        [python, "-m", "capt.demo"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a simulation" in done.stdout
    assert "left: 0 captmachinedeployments" in done.stdout
    assert [line for line in readme_transcript() if comparable(line) not in comparable(done.stdout)] == []


def readme_transcript() -> list[str]:
    """The sentences of the run that the README shows, without the table."""
    (shown,) = re.findall(
        r"^```text\n(starting.*?)^```$",
        (project.ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return [line for line in shown.splitlines() if "  " not in line]


def comparable(text: str) -> str:
    """The text without what differs from run to run."""
    for changing in (r"\bi-[0-9a-f]{17}\b", r"(?<=done in )\d+", r"(?<=reconciled by ).*"):
        text = re.sub(changing, "*", text)
    return text
