from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import project

PROJECT = tomllib.loads((project.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (project.ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    )
}


def requirements() -> list[Requirement]:
    """What the image, `make demo` and `make test` install."""
    lines = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["embedded"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    return [Requirement(line) for line in lines]


def test_every_requirement_is_pinned_within_its_range() -> None:
    """constraints.txt gives each requirement of pyproject.toml one exact version that satisfies it."""
    wrong = [
        f"{requirement}: {PINS.get(canonicalize_name(requirement.name))}"
        for requirement in requirements()
        if not requirement.specifier.contains(PINS.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == []


def test_what_requirements_require_is_pinned_too() -> None:
    """Nothing that an installation brings in is left to the day on which it is made."""
    missing = {name for name in closure(requirements()) if name not in PINS}
    assert missing == set()


def test_an_upper_bound_guards_every_requirement_of_users() -> None:
    """A new major version of a library is taken when it has been tested, not when it appears."""
    open_ended = [
        line
        for line in PROJECT["project"]["dependencies"]
        if not any(specifier.operator in ("<", "==", "~=") for specifier in Requirement(line).specifier)
    ]
    assert open_ended == []


def closure(roots: list[Requirement]) -> set[str]:
    found: set[str] = set()
    pending = list(roots)
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        pending.extend(required_by(name, requirement.extras))
    return found


def required_by(name: str, extras: set[str]) -> Iterator[Requirement]:
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        environments: list[dict[str, str]] = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield requirement
