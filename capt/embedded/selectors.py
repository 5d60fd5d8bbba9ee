"""Label and field selectors: from the query's text to a predicate."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from capt.embedded.errors import StatusError, bad_request, go_quote
from capt.embedded.formats import parse_integer
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
    if problems := list(qualified_name_problems(key)):
        raise _unparsed(f"<nil>: Invalid value: {go_quote(key)}: {'; '.join(problems)}")
    if absent:
        return lambda labels: key not in labels
    if tokens[0][0] in ("", ","):
        return lambda labels: key in labels
    operator, _ = tokens.popleft()
    if operator not in _OPERATORS:
        raise _unparsed(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    values = _set(tokens) if operator in ("in", "notin") else [_value(tokens)]
    if operator in ("<", ">") and _integer(values[0]) is None:
        problem = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise _unparsed(f"values[0]: Invalid value: {go_quote(values[0])}: {problem}")
    for index, value in enumerate(sorted(values)):
        for problem in label_value_problems(value):
            raise _unparsed(f"values[{index}][{key}]: Invalid value: {go_quote(value)}: {problem}")
    if operator in ("<", ">"):
        return _comparison(key, operator, int(values[0]))
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


def _comparison(key: str, operator: str, bound: int) -> LabelPredicate:
    def holds(labels: Mapping[str, str]) -> bool:
        value = _integer(labels.get(key, ""))
        return value is not None and (value > bound if operator == ">" else value < bound)

    return holds


def _integer(text: str) -> int | None:
    try:
        return parse_integer(text)
    except ValueError:
        return None


def field_selector(text: str, allowed: Iterable[str], *, custom: bool) -> list[tuple[str, bool, str]]:
    """The terms of a field selector: field, whether it must be equal, value.

    Raises:
        StatusError: 400 when the text is no selector or names a field that the kind does not offer.
    """
    terms = []
    known = ("metadata.name", "metadata.namespace", *(own := tuple(allowed)))
    for term in re.findall(r"(?:\\.|[^,\\]|\\$)+", text):
        found = re.fullmatch(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        value = _unescaped(found[3])
        if found[1] not in known:
            if custom or own:
                raise bad_request(f"field label not supported: {found[1]}")
            names = ", ".join(f'"{name}"' for name in known)
            raise bad_request(f'"{found[1]}" is not a known field selector: only {names}')
        terms.append((found[1], found[2] != "!=", value))
    return terms


def _unescaped(value: str) -> str:
    plain = re.match(r"(?:[^\\=]|\\[\\,=])*", value)
    if rest := value[plain.end() if plain else 0 :]:
        problem = (
            f"unescaped character in value: {ord('=')}"
            if rest[0] == "="
            else f"invalid escape sequence: {rest[:2]}"
        )
        raise bad_request(f"invalid field selector: {problem}")
    return re.sub(r"\\(.)", r"\1", value)
