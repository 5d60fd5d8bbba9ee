from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support import project

# as Debian's without python3-venv: the interpreter is there, and then ensurepip is not
HALF_A_PYTHON = """#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && touch "$3/bin/python" && echo "ensurepip is not available" >&2 && exit 1 ;;
*) exit 0 ;;
esac
"""


def test_a_virtual_environment_that_could_not_be_made_is_made_anew(tmp_path: Path) -> None:
    """What is left of half an environment does not stand in the way of the next attempt."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(project.ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(HALF_A_PYTHON, encoding="utf-8")
    python.chmod(0o755)
    for _ in range(2):
        done = subprocess.run(
            ["make", "demo", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "ensurepip is not available" in done.stderr
        assert not (tmp_path / ".venv").exists()
