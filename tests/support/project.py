"""The project's own tree, and what is built from it once for all test processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OWN = (".ci", "capt", "docs", "hack", "manifests", "tests")
_CACHES = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


def files() -> Iterator[Path]:
    """Yield every file of the project: not what tools leave behind, not the virtual environment."""
    yield from sorted(path for path in ROOT.iterdir() if path.is_file() and path.name != ".coverage")
    for folder in _OWN:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and _CACHES.isdisjoint(path.parts):
                yield path


def yaml_documents(text: str) -> Iterator[Any]:
    """Yield the documents of a YAML text; a hundred times in all tests, and libyaml is ten times as fast as Python."""
    yield from yaml.load_all(text, _LOADER)


def without_network() -> dict[str, str]:
    """Return an environment in which pip looks at no index and `python` is the one that runs the tests."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
    }


def copy_sources(names: list[str], target: Path) -> None:
    """Copy files and folders of the project to `target`, without caches."""
    for name in names:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*_CACHES))
        else:
            shutil.copy2(source, copy)


def shell(command: str, *, cwd: Path, env: dict[str, str]) -> None:
    """Run a shell command; a failure shows what it printed."""
    done = subprocess.run(
        ["sh", "-euc", command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder that `build` filled; it runs in one test process only, the others wait for it."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            done.touch()
    return folder
