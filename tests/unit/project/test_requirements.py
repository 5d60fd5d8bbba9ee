from __future__ import annotations

import ast
import re

from tests.support import project

PAGE = (project.ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
REFERENCES = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def functions(path: str) -> dict[str, str]:
    """The tests of a file with what they say."""
    tree = ast.parse((project.ROOT / path).read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_is_named_exists() -> None:
    """Whoever follows a row to its test finds it."""
    assert REFERENCES
    assert [f"{path}::{name}" for path, name in REFERENCES if name not in functions(path)] == []


def test_every_row_is_shown_by_something() -> None:
    """No row is without a test, and no number is given twice."""
    rows = re.findall(r"^\| ((?:\d+|B-W\d+)) \|(.*)$", PAGE, re.MULTILINE)
    assert [number for number, row in rows if "`tests/" not in row] == []
    numbers = [number for number, _ in rows]
    assert len(numbers) == len(set(numbers))


def test_defects_are_cited_where_they_are_tested() -> None:
    """The test of a defect names it, so that it is not changed by somebody who does not know why it is there."""
    rows = re.findall(r"^\| (B-W\d+) \|.*`(tests/[\w/]+\.py)::(\w+)` \|$", PAGE, re.MULTILINE)
    assert rows
    assert [number for number, path, name in rows if number not in functions(path)[name]] == []
