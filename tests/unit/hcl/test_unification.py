"""The type that several types have in common."""

from __future__ import annotations

import pytest

from capt.hcl.unification import ANY, Type, unified

STRING, NUMBER, BOOL = (Type(name=name) for name in ("string", "number", "bool"))


def tuple_of(*items: Type) -> Type:
    return Type(name="tuple", items=items)


def object_of(**attributes: Type) -> Type:
    return Type(name="object", attributes=attributes)


@pytest.mark.parametrize(
    ("types", "common"),
    [
        ((), ANY),
        ((ANY, ANY), ANY),
        ((NUMBER, ANY), NUMBER),
        ((NUMBER, STRING, BOOL), STRING),
        ((NUMBER, BOOL), None),
        ((NUMBER, tuple_of(NUMBER)), None),
        ((ANY, tuple_of(NUMBER)), None),
        ((tuple_of(NUMBER), object_of()), None),
        ((tuple_of(NUMBER, BOOL), tuple_of(STRING, BOOL)), tuple_of(STRING, BOOL)),
        ((tuple_of(NUMBER), tuple_of(NUMBER, STRING)), Type(name="list", element=STRING)),
        ((tuple_of(NUMBER), tuple_of(BOOL, STRING)), Type(name="list", element=STRING)),
        ((tuple_of(NUMBER), tuple_of(BOOL)), None),
        ((object_of(a=NUMBER), object_of(a=STRING)), object_of(a=STRING)),
        ((object_of(a=NUMBER), object_of(b=STRING)), Type(name="map", element=STRING)),
        ((object_of(a=NUMBER), object_of(b=tuple_of())), None),
        (
            (Type(name="list", element=NUMBER), Type(name="list", element=STRING)),
            Type(name="list", element=STRING),
        ),
    ],
)
def test_unified(types: tuple[Type, ...], common: Type | None) -> None:
    """Primitives meet in string, tuples in a tuple or a list, objects in an object or a map; nothing else meets."""
    assert unified(types) == common
