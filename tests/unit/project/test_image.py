from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from capt import __version__
from tests.support import dockerfile, project

BUILD, FINAL = dockerfile.stages(project.ROOT / "Dockerfile")
PREFIX = "/opt/capt"


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build stage's RUN steps make of the files that its COPY steps bring."""

    def build(folder: Path) -> None:
        sources = folder / "src"
        copied = [name for line in BUILD.all("COPY") for name in line.split()[:-1]]
        project.copy_sources(copied, sources)
        before = _tree(sources)
        for step in BUILD.all("RUN"):
            project.shell(
                step.replace(PREFIX, str(folder / "prefix")),
                cwd=sources,
                env=project.without_network() | BUILD.environment(),
            )
        assert _tree(sources) == before

    return project.once(tmp_path_factory, "image", build) / "prefix"


def run_entrypoint(prefix: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image's entry point as the final stage's ENV has it, dependencies from the running environment."""
    environment = {
        name: value.replace(PREFIX, str(prefix)).replace("$PATH", os.environ["PATH"])
        for name, value in FINAL.environment().items()
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    return subprocess.run(
        ["/usr/bin/env", *json.loads(FINAL.all("ENTRYPOINT")[0]), *arguments],
        cwd=prefix.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_manager_runs_from_the_prefix_and_writes_nothing_into_it(prefix: Path) -> None:
    """The Dockerfile's steps, run in a fresh prefix, give a manager that works there and leaves no trace."""
    before = _tree(prefix)
    helped = run_entrypoint(prefix, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "--leader-elect" in helped.stdout

    lost = run_entrypoint(prefix, "--kubeconfig", "/nowhere/kubeconfig")
    assert lost.returncode == 1
    assert lost.stderr.startswith("capt: ")
    assert lost.stderr.count("\n") == 1, "one clear line"

    assert _tree(prefix) == before


def test_manager_comes_from_the_prefix(prefix: Path) -> None:
    """The code that runs is the installed wheel's, with the manifests that it carries."""
    python = prefix / "bin" / "python"
    code = "import capt.assets; print(capt.__file__); print(capt.assets.manifests())"
    done = subprocess.run([python, "-c", code], cwd=prefix, capture_output=True, text=True, check=True)
    assert all(line.startswith(str(prefix)) for line in done.stdout.splitlines()), done.stdout


def test_everything_is_compiled(prefix: Path) -> None:
    """Neither capt nor the standard library is compiled at start: bytecode is there, whatever its sources' age."""
    environment = {"PYTHONPYCACHEPREFIX": str(prefix / "bytecode"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [prefix / "bin" / "python", "-v", "-c", "import asyncio, ssl, json, argparse, capt.manager"],
        cwd=prefix,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    compiled_now = [
        line
        for line in done.stderr.splitlines()
        if line.startswith("# code object from ") and str(prefix / "bytecode") not in line
    ]
    assert compiled_now == []


def test_prefix_holds_no_installer(prefix: Path) -> None:
    """The environment that is copied into the image has neither pip nor setuptools."""
    installed = {path.name.partition("-")[0] for path in prefix.glob("lib/python*/site-packages/*")}
    assert installed.isdisjoint({"pip", "setuptools", "wheel", "hatchling"})


def test_final_stage_removes_the_installer(tmp_path: Path) -> None:
    """The final stage's RUN steps leave a Python without pip."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "base"], check=True, capture_output=True)
    environment = project.without_network() | {"PATH": f"{tmp_path}/base/bin:{os.environ['PATH']}"}
    for step in FINAL.all("RUN"):
        project.shell(step, cwd=tmp_path, env=environment)
    python = tmp_path / "base" / "bin" / "python"
    assert subprocess.run([python, "-m", "pip"], capture_output=True, check=False).returncode != 0


def test_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    """Kubernetes can check runAsNonRoot only for a number."""
    assert FINAL.all("USER") == ["65532:65532"]


def test_both_stages_have_the_same_base() -> None:
    """The environment links to its Python: it works only on the very image that it was made on."""
    assert BUILD.base == FINAL.base
    assert BUILD.base.startswith("python:")
    assert BUILD.base.endswith("-slim")


def test_base_is_a_supported_version() -> None:
    """The image's Python is one that the project says it supports."""
    metadata = tomllib.loads((project.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = BUILD.base.removeprefix("python:").removesuffix("-slim")
    assert f"Programming Language :: Python :: {version}" in metadata["project"]["classifiers"]


def test_image_is_labelled_with_the_version() -> None:
    """The version stands in one place, and everything else agrees with it."""
    assert f'org.opencontainers.image.version="{__version__}"' in FINAL.all("LABEL")[0]


def test_context_lets_through_what_is_copied() -> None:
    """Every path that the Dockerfile copies, and nothing else, passes .dockerignore."""
    ignored = (project.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {name for line in BUILD.all("COPY") for name in line.split()[:-1]}
    assert "*" in ignored
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def _tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
