"""docs/requirements.md: every demand has a row, and every row something that shows it, or a reason why not."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

import pytest

from tests.support import project

PAGE = (project.ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
SEEDS, CONTRACT, DEFECTS = re.split(
    r"^## (?:The contract of Cluster API|Defects of the Go original)$", PAGE, flags=re.MULTILINE
)
FIRST_OF_SEED = {"000": 1, "001": 75, "002": 135, "003": 207, "004": 320}
LAST = 382
# families of defects, and how many each has
FAMILIES = {"W": 22, "C": 28, "P": 40, "M": 33, "T": 5, "K": 24}


@dataclass(frozen=True, slots=True)
class Row:
    numbers: tuple[str, ...]
    demand: str
    shown: str

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", self.shown)

    @property
    def reason(self) -> str:
        """What stands in the place of a test."""
        return re.sub(r"`tests/[^`]*`", "", self.shown).strip(" ;")


def rows(text: str) -> list[Row]:
    found = re.findall(r"^\| ([A-Z0-9-]+(?:, [A-Z0-9-]+)*) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    return [Row(tuple(numbers.split(", ")), demand, shown) for numbers, demand, shown in found]


def numbers(text: str) -> list[str]:
    return [number for row in rows(text) for number in row.numbers]


@functools.cache
def docstrings(path: str) -> dict[str, str]:
    """What the tests of a file say, those in classes included."""
    file = project.ROOT / path
    found: dict[str, str] = {}

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}::")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + node.name] = ast.get_docstring(node) or ""

    collect(ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else [], "")
    return found


def docstring(test: str) -> str | None:
    """What a test says; None when there is no such test."""
    path, _, name = test.partition("::")
    return docstrings(path).get(name)


def test_every_demand_of_the_seeds_has_its_row() -> None:
    """No number is missing, none is there twice, and each stands under its seed."""
    assert numbers(SEEDS) == [str(number) for number in range(1, LAST + 1)]
    for text in re.split(r"^## Seed ", SEEDS, flags=re.MULTILINE)[1:]:
        assert numbers(text)[0] == str(FIRST_OF_SEED[text[:3]])


def test_every_rule_of_the_contract_has_its_row() -> None:
    """A, B and C whole; of D to F, a row says which others it stands for."""
    found = numbers(CONTRACT)
    assert len(set(found)) == len(found)
    for letter, count in (("A", 16), ("B", 9), ("C", 16)):
        assert [each for each in found if each[0] == letter] == [f"{letter}{n}" for n in range(1, count + 1)]


def test_every_defect_has_its_row() -> None:
    """Each is either kept away by a test, or not applicable for a reason, or open."""
    found = numbers(DEFECTS)
    assert sorted(found) == sorted(
        f"B-{family}{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)
    )


@pytest.mark.parametrize("text", [SEEDS, CONTRACT, DEFECTS], ids=["seeds", "contract", "defects"])
def test_every_row_is_shown_by_something(text: str) -> None:
    """A row names tests that exist, or a command, or a reason."""
    for row in rows(text):
        assert [test for test in row.tests if docstring(test) is None] == []
        assert row.tests or len(row.reason.removeprefix("**open**").strip(": ")) > 10, row


def test_what_is_not_met_says_so() -> None:
    """A demand without a test is open, decided otherwise, or shown by a command."""
    for row in rows(SEEDS):
        assert row.tests or re.match(r"\*\*(open|decided otherwise)\*\*: |`make ", row.shown), row


@pytest.mark.parametrize("text", [CONTRACT, DEFECTS], ids=["contract", "defects"])
def test_numbers_are_cited_where_they_are_tested(text: str) -> None:
    """The test of a rule or a defect names it, so that nobody who does not know why it is there changes it."""
    for row in rows(text):
        for test in row.tests:
            assert any(re.search(rf"{number}\b", docstring(test) or "") for number in row.numbers), (
                row,
                test,
            )
