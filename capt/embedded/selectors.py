"""Label and field selectors: from the query's text to a predicate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from capt.embedded.errors import bad_request
from capt.embedded.metadata import label_value_problems, qualified_name_problems

LabelPredicate = Callable[[Mapping[str, str]], bool]

_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<absent_key>[^\s,=!()]+)"
    r"|(?P<set_key>[^\s,=!()]+)\s+(?P<set_op>in|notin)\s*\((?P<set>[^()]*)\)"
    r"|(?P<key>[^\s,=!()<>]+)\s*(?:(?P<op>==|=|!=|<|>)\s*(?P<value>[^\s,=!()]*))?)\s*(?:,|$)"
)


def label_selector(text: str) -> LabelPredicate | None:
    """The predicate of a label selector such as ``a=b,c!=d,e in (f,g),!h``; None when it selects everything.

    Raises:
        StatusError: 400 when the text is no selector.
    """
    if not text.strip():
        return None
    requirements: list[LabelPredicate] = []
    position = 0
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if not found or found.end() == position:
            raise bad_request(f'unable to parse requirement: found "{text[position:]}", expected: identifier')
        requirements.append(_requirement(found))
        position = found.end()
    return requirements[0] if len(requirements) == 1 else lambda labels: all(r(labels) for r in requirements)


def _requirement(found: re.Match[str]) -> LabelPredicate:
    key = found["absent_key"] or found["set_key"] or found["key"]
    for problem in qualified_name_problems(key):
        raise bad_request(f'unable to parse requirement: <nil>: Invalid value: "{key}": {problem}')
    if found["absent"]:
        return lambda labels: key not in labels
    operator = found["set_op"] or found["op"]
    if operator is None:
        return lambda labels: key in labels
    if operator in ("<", ">"):
        bound, sign = int(found["value"]), 1 if operator == ">" else -1
        return lambda labels: labels.get(key, "").isdigit() and (int(labels[key]) - bound) * sign > 0
    values = _values(found["set"]) if found["set_op"] else frozenset((found["value"],))
    for value in values:
        for problem in label_value_problems(value):
            raise bad_request(f'unable to parse requirement: values: Invalid value: "{value}": {problem}')
    if operator in ("in", "=", "=="):
        return lambda labels: labels.get(key) in values
    return lambda labels: labels.get(key) not in values


def _values(text: str) -> frozenset[str]:
    return frozenset(value.strip() for value in text.split(","))


def field_selector(text: str, allowed: Iterable[str], *, custom: bool) -> list[tuple[str, bool, str]]:
    """The terms of a field selector: field, whether it must be equal, value.

    Raises:
        StatusError: 400 when the text is no selector or names a field that the kind does not offer.
    """
    terms = []
    known = ("metadata.name", "metadata.namespace", *allowed)
    for term in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([^=!]+?)\s*(!=|==|=)\s*(.*)", term)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        if found[1] not in known:
            if custom:
                raise bad_request(f"field label not supported: {found[1]}")
            names = ", ".join(f'"{name}"' for name in known)
            raise bad_request(f'"{found[1]}" is not a known field selector: only {names}')
        terms.append((found[1], found[2] != "!=", found[3]))
    return terms
