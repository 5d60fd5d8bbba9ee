"""Where the real control plane's programs are looked for, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.envtest.__main__ import main
from hack.envtest.binaries import BinariesMissingError, find, obtain

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of it, whose commands are in the folder `bin`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: _executable(tmp_path / "bin" / name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path


def _executable(path: Path) -> str | None:
    return str(path) if path.exists() else None


def command(machine: Path, name: str, script: str) -> None:
    """Install a command that also writes down what it was asked."""
    path = machine / "bin" / name
    path.write_text(f'#!/bin/sh\necho "$@" >> {machine}/{name}.asked\n{script}\n')
    path.chmod(0o755)


def asked(machine: Path, name: str) -> list[str]:
    """Return what a command was asked, a line for each time."""
    path = machine / f"{name}.asked"
    return path.read_text().splitlines() if path.exists() else []


def install_go(machine: Path) -> None:
    command(machine, "go", 'while [ "$1" != -o ]; do shift; done; : > "$2"')


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_assets_are_used_where_they_are_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS comes first, and nothing is run."""
    install_go(machine)
    command(machine, "setup-envtest", "exit 1")
    assets = folder(machine / "assets", *NAMES)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    found = obtain()
    assert [found.etcd, found.apiserver, found.controller_manager] == [assets / name for name in NAMES]
    assert asked(machine, "go") == asked(machine, "setup-envtest") == []


def test_assets_without_a_controller_manager_are_completed(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assets as setup-envtest makes them lack the garbage collector: Go builds that one program."""
    install_go(machine)
    assets = folder(machine / "assets", "etcd", "kube-apiserver")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert find() is None
    found = obtain()
    assert found.apiserver == assets / "kube-apiserver"
    assert found.controller_manager.is_relative_to(machine / "cache")
    assert len(asked(machine, "go")) == 1
    assert find() == found


def test_assets_that_are_none_are_said(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without an API server is a mistake to be told of, not to be passed over."""
    install_go(machine)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder(machine / "assets", "etcd")))
    with pytest.raises(BinariesMissingError, match="no kube-apiserver"):
        obtain()
    assert main(["obtain"]) == 1
    assert str(machine / "assets") in capsys.readouterr().err


def test_setup_envtest_is_asked_for_the_pinned_version(machine: Path) -> None:
    """Where it is installed it brings etcd and the API server, which are found again without it."""
    store = folder(machine / "store", "etcd", "kube-apiserver")
    command(machine, "setup-envtest", f"printf {store}")
    install_go(machine)
    found = obtain()
    assert asked(machine, "setup-envtest") == ["use -p path 1.36.x"]
    assert found.etcd.resolve() == store / "etcd"
    assert [line.rpartition("/")[2] for line in asked(machine, "go")] == ["kube-controller-manager"]
    assert find() == obtain() == found
    assert len(asked(machine, "setup-envtest")) == 1


def test_go_builds_what_setup_envtest_cannot_fetch(machine: Path) -> None:
    """Without its downloads setup-envtest fails, and Go builds everything."""
    command(machine, "setup-envtest", "exit 2")
    install_go(machine)
    assert obtain().etcd.exists()
    assert len(asked(machine, "go")) == 3


def test_go_builds_once(machine: Path) -> None:
    """The three programs are built from their pinned modules; the second time they are there."""
    install_go(machine)
    built = obtain()
    assert all(path.exists() for path in (built.etcd, built.apiserver, built.controller_manager))
    lines = asked(machine, "go")
    assert len(lines) == 3
    assert all("-mod=readonly" in line for line in lines)
    assert "gitVersion=v1.36.3" in lines[1]
    assert obtain() == find() == built
    assert len(asked(machine, "go")) == 3


def test_without_anything_it_says_what_would_help(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No assets, no setup-envtest, no Go: one line that names all three, and exit code 1."""
    assert find() is None
    assert main(["obtain"]) == 1
    message = capsys.readouterr().err
    assert all(word in message for word in ("KUBEBUILDER_ASSETS", "setup-envtest", "Go"))
