"""Terraform's types, and the one that several have in common.

A collection in Terraform has elements of one type. Where a constraint leaves that type open (`list(any)`), Terraform
looks for one that all elements can be converted to without loss, and refuses the value when there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """One type: its name, and what it is made of.

    Attributes:
        name: keyword of Terraform's type language.
        element: of a list, set or map.
        items: of a tuple.
        attributes: of an object.
        optional: attributes of an object that may be absent.
    """

    name: str
    element: Type | None = None
    items: tuple[Type, ...] = ()
    attributes: Mapping[str, Type] = field(default_factory=dict)
    # it says what may be given, and is no part of what a value is
    optional: frozenset[str] = field(default=frozenset(), compare=False)


ANY: Final = Type(name="any")
"""A type that is left open, and that of null."""

_STRUCTURES: Final = frozenset({"list", "set", "map", "tuple", "object"})


def unified(types: Sequence[Type]) -> Type | None:
    """Return the type that values of all these types can have, by Terraform's rules; None when there is none.

    Numbers and bools become strings next to a string, though not each other; tuples of different lengths become lists
    and objects with different attributes maps, if what they hold has a type in common.
    """
    kinds = {each.name for each in types}
    known = [each for each in types if each.name != "any"]
    if not known:
        return ANY
    if not kinds & _STRUCTURES:
        names = kinds - {"any"}
        if "string" in names or len(names) == 1:
            return next(each for each in known if each.name == "string" or len(names) == 1)
        return None
    if len(kinds) > 1:
        # null has no structure of its own, and Terraform gives it none here
        return None
    match known[0].name:
        case "tuple":
            return _tuple(known)
        case "object":
            return _object(known)
        case name:
            element = unified([each.element or ANY for each in known])
            return None if element is None else Type(name=name, element=element)


def _tuple(types: Sequence[Type]) -> Type | None:
    if len({len(each.items) for each in types}) == 1:
        items = [unified(column) for column in zip(*(each.items for each in types), strict=True)]
        found = tuple(item for item in items if item is not None)
        if len(found) == len(items):
            return Type(name="tuple", items=found)
    element = unified([item for each in types for item in each.items])
    return None if element is None else Type(name="list", element=element)


def _object(types: Sequence[Type]) -> Type | None:
    names = types[0].attributes.keys()
    if all(each.attributes.keys() == names for each in types):
        attributes = {name: unified([each.attributes[name] for each in types]) for name in names}
        found = {name: each for name, each in attributes.items() if each is not None}
        if len(found) == len(attributes):
            return Type(name="object", attributes=found)
    element = unified([item for each in types for item in each.attributes.values()])
    return None if element is None else Type(name="map", element=element)
