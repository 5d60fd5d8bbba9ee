from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import project

TEXT = [
    path
    for path in project.files()
    if path.suffix in {"", ".cfg", ".md", ".py", ".sh", ".tf", ".toml", ".txt", ".yaml", ".yml", ".json"}
]


REGISTRIES = (
    r"\b((docker|ghcr|gcr|quay|registry\.k8s|registry\.terraform|xpkg\.upbound)\.io"
    r"|public\.ecr\.aws|pypi\.org|files\.pythonhosted\.org)\b"
)


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", r"(?<![\w.$}])/(work|root|home/[a-z]\w*|Users/\w+|opt/wheels)/"),
        ("a registry host", REGISTRIES),
        ("a private key", r"^-----BEGIN [A-Z ]*PRIVATE KEY-----$"),
        ("a conflict marker", r"^(<{7}|>{7}) "),
        ("a promise instead of code", r"#\s*(TODO|FIXME|XXX)\b"),
    ],
)
def test_tree_is_free_of(what: str, pattern: str) -> None:
    """B-K14: The project names no machine and no registry, and holds neither secrets nor loose ends."""
    found = [
        f"{path.relative_to(project.ROOT)}:{number}: {line.strip()}"
        for path in TEXT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], what


def test_every_file_is_text_in_utf8_with_one_final_newline() -> None:
    """Text files end with exactly one newline and have Unix line ends."""
    odd = [
        str(path.relative_to(project.ROOT))
        for path in TEXT
        if (content := path.read_bytes()) and (b"\r" in content or not re.search(rb"[^\n]\n\Z", content))
    ]
    assert odd == []


def test_modules_have_the_annotations_future() -> None:
    """Every module of the package with code in it defers its annotations."""
    without = [
        str(path.relative_to(project.ROOT))
        for path in sorted((project.ROOT / "capt").rglob("*.py"))
        if re.search(r"^(from|import|def|class) ", text := path.read_text(encoding="utf-8"), re.MULTILINE)
        and "from __future__ import annotations" not in text
    ]
    assert without == []


def test_scripts_are_executable() -> None:
    """What has a shebang can be started."""
    wrong = [
        str(path.relative_to(project.ROOT))
        for path in TEXT
        if path.read_bytes().startswith(b"#!") and not path.stat().st_mode & 0o100
    ]
    assert wrong == []


def test_make_targets_are_explained() -> None:
    """`make help` has a sentence for every target that is not a file."""
    makefile = (project.ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert set(phony[1].split()) == explained


def test_package_says_that_it_is_typed() -> None:
    """Type checkers read the annotations of an installed capt (PEP 561)."""
    assert (project.ROOT / "capt" / "py.typed").is_file()


def test_unit_tests_mirror_the_package() -> None:
    """A module's tests are in tests/unit/<package>/test_<module>.py, others in a folder each."""
    unit = project.ROOT / "tests" / "unit"
    others = (unit / "project", unit / "hack", unit / "support")
    strangers = {
        str(path.parent.relative_to(unit))
        for path in unit.rglob("test_*.py")
        if path.parent not in others and not _package(path.parent.relative_to(unit)).is_dir()
    }
    assert strangers == set()


def _package(folder: Path) -> Path:
    return project.ROOT / "capt" / folder
