"""Label and field selectors: from the query's text to a predicate."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from capt.embedded.errors import StatusError, bad_request
from capt.embedded.metadata import label_value_problems, qualified_name_problems

LabelPredicate = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(?:(?P<sign>==|!=|[=<>!(),])|(?P<word>[^\s=<>!(),]+))")
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")


def label_selector(text: str) -> LabelPredicate | None:
    """The predicate of a label selector such as ``a=b,c!=d,e in (f,g),!h``; None when it selects everything.

    Raises:
        StatusError: 400 when the text is no selector.
    """
    tokens = deque(
        (found["sign"] or found["word"], found["word"] is not None) for found in _TOKEN.finditer(text)
    )
    tokens.append(("", False))  # the end
    requirements: list[LabelPredicate] = []
    expected = "!, identifier, or 'end of string'"
    while tokens[0][0] or requirements:
        if not tokens[0][1] and tokens[0][0] != "!":
            raise bad_request(f"found '{tokens[0][0]}', expected: {expected}")
        requirements.append(_requirement(tokens))
        separator, _ = tokens.popleft()
        if not separator:
            break
        if separator != ",":
            raise bad_request(f"found '{separator}', expected: ',' or 'end of string'")
        expected = "identifier after ','"
    if len(requirements) < 2:
        return next(iter(requirements), None)
    return lambda labels: all(requirement(labels) for requirement in requirements)


def _requirement(tokens: deque[tuple[str, bool]]) -> LabelPredicate:
    if absent := tokens[0][0] == "!":
        tokens.popleft()
    key = _word(tokens)
    for problem in qualified_name_problems(key):
        raise _unparsed(f'<nil>: Invalid value: "{key}": {problem}')
    if absent:
        return lambda labels: key not in labels
    if tokens[0][0] in ("", ","):
        return lambda labels: key in labels
    operator, _ = tokens.popleft()
    if operator not in _OPERATORS:
        raise _unparsed(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    values = _set(tokens) if operator in ("in", "notin") else [_value(tokens)]
    if operator in ("<", ">"):
        return _comparison(key, operator, values[0])
    for index, value in enumerate(sorted(values)):
        for problem in label_value_problems(value):
            raise _unparsed(f'values[{index}][{key}]: Invalid value: "{value}": {problem}')
    wanted, inside = frozenset(values), operator in ("in", "=", "==")
    return lambda labels: (labels.get(key) in wanted) is inside


def _word(tokens: deque[tuple[str, bool]]) -> str:
    text, is_word = tokens.popleft()
    if not is_word:
        raise _unparsed(f"found '{text}', expected: identifier")
    return text


def _value(tokens: deque[tuple[str, bool]]) -> str:
    return "" if tokens[0][0] in ("", ",") else _word(tokens)


def _set(tokens: deque[tuple[str, bool]]) -> list[str]:
    if (opening := tokens.popleft()[0]) != "(":
        raise _unparsed(f"found '{opening}' expected: '('")
    values: list[str] = []
    while True:
        if not tokens[0][1] and tokens[0][0] not in (",", ")"):
            raise _unparsed(f"found '{tokens[0][0]}', expected: ',', ')' or identifier")
        values.append(tokens.popleft()[0] if tokens[0][1] else "")
        if (separator := tokens.popleft()[0]) == ")":
            return values
        if separator != ",":
            raise _unparsed(f"found '{separator}', expected: ',' or ')'")


def _unparsed(problem: str) -> StatusError:
    return bad_request(f"unable to parse requirement: {problem}")


def _comparison(key: str, operator: str, bound: str) -> LabelPredicate:
    if not re.fullmatch(r"[-+]?\d+", bound):
        why = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise _unparsed(f'values[0]: Invalid value: "{bound}": {why}')
    limit, sign = int(bound), 1 if operator == ">" else -1
    return lambda labels: labels.get(key, "").isdigit() and (int(labels[key]) - limit) * sign > 0


def field_selector(text: str, allowed: Iterable[str], *, custom: bool) -> list[tuple[str, bool, str]]:
    """The terms of a field selector: field, whether it must be equal, value.

    Raises:
        StatusError: 400 when the text is no selector or names a field that the kind does not offer.
    """
    terms = []
    known = ("metadata.name", "metadata.namespace", *(own := tuple(allowed)))
    for term in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([^=!]+?)\s*(!=|==|=)\s*(.*)", term)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        if found[1] not in known:
            if custom or own:
                raise bad_request(f"field label not supported: {found[1]}")
            names = ", ".join(f'"{name}"' for name in known)
            raise bad_request(f'"{found[1]}" is not a known field selector: only {names}')
        terms.append((found[1], found[2] != "!=", found[3]))
    return terms
