"""Where etcd, kube-apiserver and kube-controller-manager come from.

Asked in this order: `KUBEBUILDER_ASSETS`, as everywhere in the field; `setup-envtest`, where it is installed; the Go
toolchain, which builds them from their published modules at the versions that `*/go.mod` beside this file pin. The first
two bring no kube-controller-manager, in which the garbage collector and the deletion of namespaces live: Go builds it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_ETCD, _APISERVER, _CONTROLLER_MANAGER = "etcd", "kube-apiserver", "kube-controller-manager"
_PACKAGES: Final = {
    _ETCD: ("etcd", "go.etcd.io/etcd/server/v3"),
    _APISERVER: ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    _CONTROLLER_MANAGER: ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
}


class BinariesMissingError(Exception):
    """No control plane can be had on this machine; the message says what was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs of a control plane."""

    etcd: Path
    apiserver: Path
    controller_manager: Path


def find() -> Binaries | None:
    """Return what is there already, without building or downloading anything.

    Raises:
        BinariesMissingError: `KUBEBUILDER_ASSETS` names a folder without an API server or without etcd.
    """
    cache = _cache()
    servers = _assets() or cache
    paths = {name: servers / name for name in _PACKAGES}
    if not paths[_CONTROLLER_MANAGER].exists():
        paths[_CONTROLLER_MANAGER] = cache / _CONTROLLER_MANAGER
    if not all(path.exists() for path in paths.values()):
        return None
    return Binaries(
        etcd=paths[_ETCD],
        apiserver=paths[_APISERVER],
        controller_manager=paths[_CONTROLLER_MANAGER],
    )


def obtain() -> Binaries:
    """Return the programs, and get them first where they are not there: minutes when cold, nothing when cached.

    Raises:
        BinariesMissingError: Neither assets, nor setup-envtest, nor Go; or `KUBEBUILDER_ASSETS` names a folder without an
            API server or without etcd.
    """
    if found := find():
        return found
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    if _assets() is None and (tool := shutil.which("setup-envtest")):
        _take_from(tool, cache)
    wanted = _PACKAGES if _assets() is None else (_CONTROLLER_MANAGER,)
    _build([name for name in wanted if not (cache / name).exists()], cache)
    found = find()
    assert found is not None
    return found


def _assets() -> Path | None:
    value = os.environ.get("KUBEBUILDER_ASSETS")
    if not value:
        return None
    for name in (_ETCD, _APISERVER):
        if not (Path(value) / name).exists():
            raise BinariesMissingError(f"KUBEBUILDER_ASSETS is {value}, where no {name} is")
    return Path(value)


def _cache() -> Path:
    """The folder for what this checkout pins: another pin is another folder."""
    pins = b"".join((_HERE / module / "go.sum").read_bytes() for module in ("etcd", "kubernetes"))
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "capt-envtest" / hashlib.sha256(pins).hexdigest()[:12]


def _take_from(setup_envtest: str, cache: Path) -> None:
    """Let `setup-envtest` fetch the pinned minor version, and link to it from the cache."""
    minor = ".".join(_pinned_kubernetes().lstrip("v").split(".")[:2])
    asked = subprocess.run(
        [setup_envtest, "use", "-p", "path", f"{minor}.x"], check=False, stdout=subprocess.PIPE, text=True
    )
    if asked.returncode != 0:
        print(f"setup-envtest has no Kubernetes {minor}; Go is asked next", file=sys.stderr)
        return
    for name in (_ETCD, _APISERVER):
        (cache / name).unlink(missing_ok=True)
        (cache / name).symlink_to(Path(asked.stdout.strip()) / name)


def _build(names: Iterable[str], cache: Path) -> None:
    go = shutil.which("go")
    version = _pinned_kubernetes()
    major, minor, _ = version.lstrip("v").split(".")
    stamp = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
    for name in names:
        if go is None:
            raise BinariesMissingError(f"no {name}: set KUBEBUILDER_ASSETS, or install setup-envtest or Go")
        module, package = _PACKAGES[name]
        print(f"building {name} ({package})", file=sys.stderr)
        unfinished = cache / f"{name}.part"
        subprocess.run(
            [go, "build", "-mod=readonly", "-buildvcs=false", "-ldflags", flags, "-o", unfinished, package],
            cwd=_HERE / module,
            env={**os.environ, "CGO_ENABLED": "0"},
            check=True,
        )
        unfinished.rename(cache / name)


def _pinned_kubernetes() -> str:
    for line in (_HERE / "kubernetes" / "go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if len(words) >= 2 and words[0] == "k8s.io/kubernetes" and words[1].startswith("v"):
            return words[1]
    raise LookupError("kubernetes/go.mod does not require k8s.io/kubernetes")
