"""What `capt.runtime` offers: it is there, it is explained, and nothing private is needed to use it."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from capt import runtime
from capt.runtime.shared_informer import Informer

NAMES = sorted(runtime.__all__)


def members(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public functions of a class or a module, or the function itself."""
    if inspect.ismodule(thing):
        for name, function in vars(thing).items():
            if (
                inspect.isfunction(function)
                and function.__module__ == thing.__name__
                and not name.startswith("_")
            ):
                yield f"{thing.__name__}.{name}", function
        return
    if not inspect.isclass(thing):
        if inspect.isfunction(thing):
            yield thing.__name__, thing
        return
    if issubclass(thing, BaseException) or dataclasses.is_dataclass(thing):
        candidates = {name: member for name, member in vars(thing).items() if not name.startswith("_")}
    else:
        candidates = {name: member for name, member in vars(thing).items() if not name.startswith("_")} | {
            "__init__": vars(thing).get("__init__")
        }
    for name, member in candidates.items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function):
            yield f"{thing.__name__}.{name}", function


def classes(hint: Any) -> Iterator[type]:
    """Yield every class that a type hint names."""
    if inspect.isclass(hint) and not isinstance(hint, types.GenericAlias):
        yield hint
    for part in typing.get_args(hint):
        if isinstance(part, list):
            for each in part:
                yield from classes(each)
        else:
            yield from classes(part)
    if (origin := typing.get_origin(hint)) is not None:
        yield from classes(origin)


def test_the_list_is_sorted_and_complete() -> None:
    """Every name that is listed exists, once, and every name that is imported for others is listed."""
    assert list(runtime.__all__) == sorted(set(runtime.__all__))
    assert all(hasattr(runtime, name) for name in NAMES)
    imported = {
        name
        for name, value in vars(runtime).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert imported <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_explained(name: str) -> None:
    """Classes and their methods and fields, functions: each has a text, and each field of a record is in its class's."""
    thing = getattr(runtime, name)
    if not (inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing)):
        return  # an alias of a type; the text stands beside it
    assert vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    for label, function in members(thing):
        if not label.endswith("__init__"):
            assert inspect.getdoc(function), f"{label} says nothing"
    if dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            assert (
                field.name.startswith("_")
                or f"{field.name}:" in (thing.__doc__ or "")
                or len(dataclasses.fields(thing)) == 0
            ), f"{name}.{field.name} is not explained"


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_explained(name: str) -> None:
    """Where there is more than one, each argument is in the text of its function or class, or in the text it points to."""
    thing = getattr(runtime, name)
    for label, function in members(thing):
        own = thing if label.endswith("__init__") else function
        arguments = [each for each in inspect.signature(function).parameters if each not in {"self", "cls"}]
        text = inspect.getdoc(own) or ""
        if (
            len(arguments) < 2
            or getattr(own, "_is_protocol", False)
            or re.search(r"(see|as for) :meth:", text)
        ):
            continue
        unexplained = [each for each in arguments if not re.search(rf"\b{each}\b", text)]
        assert not unexplained, f"{label} does not say what {unexplained} are"


@pytest.mark.parametrize("name", NAMES)
def test_signatures_name_nothing_private(name: str) -> None:
    """No private class is in arguments or results, and every Protocol there can be imported from `capt.runtime`."""
    thing = getattr(runtime, name)
    public = {id(getattr(runtime, each)) for each in NAMES}
    for label, function in members(thing):
        for argument, hint in typing.get_type_hints(function, localns={"Informer": Informer}).items():
            for used in classes(hint):
                if used.__module__.startswith("capt."):
                    assert not used.__name__.startswith("_"), f"{label}({argument}) needs {used}"
                    # what is handed out is used as it is; what is asked for must be something that can be named
                    assert not getattr(used, "_is_protocol", False) or id(used) in public, (
                        f"{label}({argument}) needs {used.__module__}.{used.__name__}"
                    )
