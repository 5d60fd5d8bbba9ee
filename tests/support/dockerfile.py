"""Reads a Dockerfile as far as this project's goes: stages, their instructions, line continuations, ARG."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [argument for name, argument in self.instructions if name == instruction]

    def environment(self) -> dict[str, str]:
        pairs = (pair.partition("=") for line in self.all("ENV") for pair in line.split())
        return {name: value for name, _, value in pairs}


def stages(path: Path) -> list[Stage]:
    """Return the stages of the Dockerfile at `path`, in order."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        instruction, argument = line.split(maxsplit=1)
        for name, value in arguments.items():
            argument = argument.replace(f"${{{name}}}", value)
        if instruction == "ARG":
            name, _, value = argument.partition("=")
            arguments[name] = value
        elif instruction == "FROM":
            base, _, alias = argument.partition(" AS ")
            found.append(Stage(base=base, name=alias))
        else:
            found[-1].instructions.append((instruction, argument))
    return found
