"""Where the manifests lie: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path


def manifests() -> Path:
    """Return the folder with ``crds/``, ``workspace/`` and ``samples/``.

    Raises:
        FileNotFoundError: The installation is incomplete; the message names the folders that were tried.
    """
    package = Path(__file__).parent
    tried = (package / "manifests", package.parent / "manifests")
    for folder in tried:
        if (folder / "crds").is_dir():
            return folder
    raise FileNotFoundError(f"no manifests at {' or '.join(map(str, tried))}: reinstall capt")
