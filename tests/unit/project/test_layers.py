from __future__ import annotations

import subprocess
import sys

from tests.support import project


def test_who_may_import_whom() -> None:
    """The import contracts in pyproject.toml hold: layers, a runtime that knows no kinds, a server on its own."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
