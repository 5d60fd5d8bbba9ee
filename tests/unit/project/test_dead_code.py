"""Nothing stands in the package that nothing uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support import project


def defined(tree: ast.Module) -> Iterator[str]:
    """The constants, functions and classes of a module."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass


def used(tree: ast.Module) -> Iterator[str]:
    """The names that a module reads, by whatever way; what a package offers in `__all__` is used by others."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name
            case ast.Constant(value=str(name)) if name.isidentifier():
                yield name
            case _:
                pass


def test_every_constant_and_function_is_used() -> None:
    """B-W22, B-P39: each module-level name of the package is read by the package, a script, or offered to users."""
    folders = ("capt", "hack")
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((project.ROOT / folder).rglob("*.py"))
    }
    reads = {name for tree in trees.values() for name in used(tree)}
    dead = [
        f"{path.relative_to(project.ROOT)}: {name}"
        for path, tree in trees.items()
        for name in defined(tree)
        # what users of the runtime test with
        if name not in reads and not name.startswith("__") and path.stem != "testing"
    ]
    assert dead == []
