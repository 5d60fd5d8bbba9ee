"""Where etcd, kube-apiserver and kube-controller-manager come from.

Asked in this order: `KUBEBUILDER_ASSETS`, as everywhere in the field; `setup-envtest`, where it is installed; the Go
toolchain, which builds them from their published modules at the versions that `*/go.mod` beside this file pin.
`python -m hack.envtest.binaries` obtains them and prints the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_NAMES = ("etcd", "kube-apiserver", "kube-controller-manager")
_PACKAGES = (
    ("etcd", "go.etcd.io/etcd/server/v3", "etcd"),
    ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
    ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"),
)


class BinariesMissingError(Exception):
    """No control plane can be had on this machine; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with the programs."""

    folder: Path

    @property
    def etcd(self) -> Path:
        """The etcd server."""
        return self.folder / "etcd"

    @property
    def apiserver(self) -> Path:
        """The API server."""
        return self.folder / "kube-apiserver"

    @property
    def controller_manager(self) -> Path | None:
        """The controller manager, None where the assets come without it."""
        path = self.folder / "kube-controller-manager"
        return path if path.exists() else None


def find() -> Binaries | None:
    """Return what is there already, without building or downloading anything."""
    for folder in (os.environ.get("KUBEBUILDER_ASSETS"), _cache()):
        if folder and (Path(folder) / "kube-apiserver").exists() and (Path(folder) / "etcd").exists():
            return Binaries(Path(folder))
    return None


def obtain() -> Binaries:
    """Return the programs, and get them first where they are not there: minutes when cold, nothing when cached.

    Raises:
        BinariesMissingError: Neither assets, nor setup-envtest, nor Go.
    """
    if found := find():
        return found
    if tool := shutil.which("setup-envtest"):
        minor = ".".join(_pinned("kubernetes", "k8s.io/kubernetes").lstrip("v").split(".")[:2])
        output = subprocess.run(
            [tool, "use", "-p", "path", f"{minor}.x"], check=True, capture_output=True, text=True
        )
        return Binaries(Path(output.stdout.strip()))
    if go := shutil.which("go"):
        return _build(go)
    raise BinariesMissingError("no control plane: set KUBEBUILDER_ASSETS, or install setup-envtest or Go")


def _cache() -> Path:
    """The folder for what this checkout pins: another pin is another folder."""
    pins = b"".join((_HERE / module / "go.sum").read_bytes() for module in ("etcd", "kubernetes"))
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "capt-envtest" / hashlib.sha256(pins).hexdigest()[:12]


def _build(go: str) -> Binaries:
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True)
    version = _pinned("kubernetes", "k8s.io/kubernetes")
    major, minor, _ = version.lstrip("v").split(".")
    stamp = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
    for module, package, name in _PACKAGES:
        if (folder / name).exists():
            continue
        print(f"building {name} ({package})", file=sys.stderr)
        unfinished = folder / f"{name}.part"
        subprocess.run(
            [
                go,
                "build",
                "-mod=readonly",
                "-buildvcs=false",
                "-ldflags",
                flags,
                "-o",
                str(unfinished),
                package,
            ],
            cwd=_HERE / module,
            env={**os.environ, "CGO_ENABLED": "0"},
            check=True,
        )
        unfinished.rename(folder / name)
    return Binaries(folder)


def _pinned(module: str, requirement: str) -> str:
    for line in (_HERE / module / "go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if len(words) >= 2 and words[0] == requirement and words[1].startswith("v"):
            return words[1]
    raise LookupError(f"{module}/go.mod does not require {requirement}")


if __name__ == "__main__":
    print(obtain().folder)
