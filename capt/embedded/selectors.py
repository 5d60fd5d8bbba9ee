"""Label and field selectors: from the query's text to a predicate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from capt.embedded.errors import StatusError, bad_request
from capt.embedded.metadata import label_value_problems, qualified_name_problems

LabelPredicate = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(?:(?P<sign>==|!=|[=<>!(),])|(?P<word>[^\s=<>!(),]+))")
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")


class _Parser:
    """Reads the tokens of a label selector, with the API's own words for what it does not expect."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, bool]] = []  # text, and whether it is a word
        position = 0
        while found := _TOKEN.match(text, position):
            self._tokens.append((found["sign"] or found["word"], found["word"] is not None))
            position = found.end()
        self._tokens.append(("", False))  # the end
        self._next = 0

    def requirements(self) -> Iterator[LabelPredicate]:
        """Every requirement."""
        while (ahead := self._tokens[self._next])[0]:
            if not ahead[1] and ahead[0] != "!":
                raise bad_request(f"found '{ahead[0]}', expected: !, identifier, or 'end of string'")
            yield self._requirement()
            separator, _ = self._take()
            if not separator:
                return
            if separator != ",":
                raise bad_request(f"found '{separator}', expected: ',' or 'end of string'")
            ahead = self._tokens[self._next]
            if not ahead[1] and ahead[0] != "!":
                raise bad_request(f"found '{ahead[0]}', expected: identifier after ','")

    def _take(self) -> tuple[str, bool]:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _requirement(self) -> LabelPredicate:
        key, is_word = self._take()
        if absent := key == "!":
            key, is_word = self._take()
        if not is_word:
            raise _unparsed(f"found '{key}', expected: identifier")
        for problem in qualified_name_problems(key):
            raise _unparsed(f'<nil>: Invalid value: "{key}": {problem}')
        if absent:
            return lambda labels: key not in labels
        if self._tokens[self._next][0] in ("", ","):
            return lambda labels: key in labels
        operator, _ = self._take()
        if operator not in _OPERATORS:
            raise _unparsed(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._set() if operator in ("in", "notin") else [self._value()]
        if operator in ("<", ">"):
            return _comparison(key, operator, values[0])
        for index, value in enumerate(sorted(values)):
            for problem in label_value_problems(value):
                raise _unparsed(f'values[{index}][{key}]: Invalid value: "{value}": {problem}')
        wanted = frozenset(values)
        if operator in ("in", "=", "=="):
            return lambda labels: labels.get(key) in wanted
        return lambda labels: labels.get(key) not in wanted

    def _value(self) -> str:
        if self._tokens[self._next][0] in ("", ","):
            return ""
        value, is_word = self._take()
        if not is_word:
            raise _unparsed(f"found '{value}', expected: identifier")
        return value

    def _set(self) -> list[str]:
        opening, _ = self._take()
        if opening != "(":
            raise _unparsed(f"found '{opening}' expected: '('")
        values: list[str] = []
        while True:
            ahead, is_word = self._tokens[self._next]
            if is_word:
                values.append(self._take()[0])
            elif ahead in (",", ")"):
                values.append("")
            else:
                raise _unparsed(f"found '{ahead}', expected: ',', ')' or identifier")
            separator, _ = self._take()
            if separator == ")":
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


def label_selector(text: str) -> LabelPredicate | None:
    """The predicate of a label selector such as ``a=b,c!=d,e in (f,g),!h``; None when it selects everything.

    Raises:
        StatusError: 400 when the text is no selector.
    """
    requirements = list(_Parser(text).requirements())
    if len(requirements) < 2:
        return next(iter(requirements), None)
    return lambda labels: all(requirement(labels) for requirement in requirements)


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
