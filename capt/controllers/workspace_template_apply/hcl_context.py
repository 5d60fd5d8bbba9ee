"""Where in a Terraform module a placeholder stands, and which values are safe there.

`${name}` is CAPT's placeholder and HCL's interpolation at once, so a module is read as Terraform's own
scanner reads it: quoted templates, heredocs, interpolations inside them, comments, and expressions outside. A
placeholder is an occurrence of `${name}` whose name is one of the apply's variables; everything else that
looks like one belongs to HCL and is left alone, as are comments, `$${`, and names that the module itself
binds with `for`.

What may be put in depends on the place. Inside a quoted template or a heredoc a value is text, unless it ends
the text or starts an interpolation. In an expression a value would be code: there only a number or a plain
word is let in. On top of these rules, which name what is wrong with a value, the filled module must have the
structure that it has with harmless values; that holds for combinations that nobody thought of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Context(StrEnum):
    """The kind of place that a placeholder stands in."""

    TEXT = "text"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """One placeholder in a module.

    Attributes:
        name: The variable's name.
        start: Offset of its `$`.
        end: Offset behind its `}`.
        context: Where it stands.
    """

    name: str
    start: int
    end: int
    context: Context


PLACEHOLDER: Final = re.compile(r"\$\{([^\s{}\"$%\\]+)\}")
"""`${name}`, without a look at what stands before it."""

_ESCAPE: Final = re.compile(r"\$\$\{|%%\{")
_INTERPOLATION: Final = re.compile(r"[$%]\{")
_HEREDOC: Final = re.compile(r"<<-?([^\W\d][\w-]*)[ \t\r]*\n")
_COMMENT: Final = re.compile(r"(?:#|//)[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_FOR: Final = re.compile(r"\bfor\s+([^\W\d][\w-]*)(?:\s*,\s*([^\W\d][\w-]*))?\s+in\b")
# stretches in which nothing can begin or end; skipping them is what makes the scanner fast enough
_DULL_EXPRESSION: Final = re.compile(r'[^#/<"${}]+')
_DULL_TEXT: Final = re.compile(r'[^\\"$%\n]+')
_PLAIN_WORD: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?|[A-Za-z_][A-Za-z0-9_-]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def placeholders(module: str, names: Collection[str]) -> tuple[Placeholder, ...]:
    """Return the placeholders for `names` in the text of a module, in the order in which they stand."""
    mentioned = {match[1] for match in PLACEHOLDER.finditer(module)} & set(names)
    if not mentioned:
        return ()
    bound = {name for match in _FOR.finditer(module) for name in match.groups() if name}
    scanner = _Scanner(module, mentioned - bound)
    scanner.run()
    return tuple(scanner.found)


def address_placeholders(address: str, names: Collection[str]) -> tuple[Placeholder, ...]:
    """Return the placeholders for `names` in a module's address, which is text throughout."""
    return tuple(
        Placeholder(name=match[1], start=match.start(), end=match.end(), context=Context.TEXT)
        for match in PLACEHOLDER.finditer(address)
        if match[1] in names and address[: match.start()][-1:] != "$"
    )


def put(module: str, places: Sequence[Placeholder], values: Mapping[str, str]) -> str:
    """Return the module with each placeholder replaced by its value."""
    parts: list[str] = []
    at = 0
    for place in places:
        parts += (module[at : place.start], values[place.name])
        at = place.end
    return "".join((*parts, module[at:]))


def keeps_structure(module: str, places: Sequence[Placeholder], values: Mapping[str, str]) -> bool:
    """Return whether, with these values, the module opens and closes where it does with harmless ones."""
    harmless = dict.fromkeys(values, "x")
    return _structure(module, places, values) == _structure(module, places, harmless)


def refusal(value: str, context: Context) -> str | None:
    """Return why `value` must not be put into a place of that kind; None when it may.

    The rules are stricter than HCL's grammar asks for in some places (a quote is harmless in a heredoc), so
    that whether a value is accepted does not hang on details of the module.
    """
    if context is Context.EXPRESSION:
        if _PLAIN_WORD.fullmatch(value):
            return None
        return "stands outside of quotes, where only a number or a plain word is let in"
    rules: tuple[tuple[bool, str], ...] = (
        ('"' in value, 'contains a double quote (")'),
        ("\\" in value, "contains a backslash"),
        ("\n" in value or "\r" in value, "contains a line break"),
        (bool(_CONTROL.search(value)), "contains a control character"),
        ("${" in value, "contains ${, which starts an interpolation"),
        ("%{" in value, "contains %{, which starts a directive"),
        (value.startswith("{"), "begins with {, which may complete an interpolation"),
        (value.endswith(("$", "%")), "ends with $ or %, which may begin an interpolation"),
    )
    return next((rule for broken, rule in rules if broken), None)


def _structure(
    module: str, places: Sequence[Placeholder], values: Mapping[str, str]
) -> list[tuple[str, int]]:
    """Return what opens and closes in the filled module, and where that is in the unfilled one."""
    scanner = _Scanner(put(module, places, values), frozenset())
    scanner.run()
    trace: list[tuple[str, int]] = []
    ahead = list(reversed(places))
    shift = 0  # how much longer the module is than its filled form, up to here
    for what, offset in scanner.trace:
        while ahead and offset + shift >= ahead[-1].start + len(values[ahead[-1].name]):
            place = ahead.pop()
            shift += place.end - place.start - len(values[place.name])
        inside = ahead and offset + shift >= ahead[-1].start
        trace.append((what, -1 if inside else offset + shift))
    return trace


@dataclass(slots=True)
class _Frame:
    """One level of nesting: an expression with its open braces, a quoted template, or a heredoc with its marker."""

    scan: Callable[[_Frame, int], int]
    braces: int = 0
    marker: str = ""


class _Scanner:
    def __init__(self, text: str, names: Collection[str]) -> None:
        self.found: list[Placeholder] = []
        self.trace: list[tuple[str, int]] = []
        self._text = text
        self._names = names
        self._stack = [_Frame(self._expression)]

    def run(self) -> None:
        at = 0
        while at < len(self._text):
            frame = self._stack[-1]
            at = frame.scan(frame, at)

    def _expression(self, frame: _Frame, at: int) -> int:
        text = self._text
        if dull := _DULL_EXPRESSION.match(text, at):
            return dull.end()
        if comment := _COMMENT.match(text, at):
            self.trace.append(("comment", at))
            return comment.end()
        if heredoc := _HEREDOC.match(text, at):
            self._open("heredoc", at, _Frame(self._heredoc, marker=heredoc[1]))
            return heredoc.end()
        if end := self._placeholder(at, Context.EXPRESSION):
            return end
        match text[at]:
            case '"':
                self._open("quote", at, _Frame(self._quoted))
            case "{":
                frame.braces += 1
                self.trace.append(("{", at))
            case "}" if frame.braces == 0 and len(self._stack) > 1:
                self._close(at)
            case "}":
                frame.braces = max(frame.braces - 1, 0)
                self.trace.append(("}", at))
            case _:
                pass
        return at + 1

    def _quoted(self, _frame: _Frame, at: int) -> int:
        match self._text[at]:
            case "\\":
                self.trace.append(("escape", at))
                return at + 2
            # HCL has no line break in a quoted template: the text is broken, and the next line starts afresh
            case '"' | "\n":
                self._close(at)
                return at + 1
            case _:
                return self._template(at)

    def _heredoc(self, frame: _Frame, at: int) -> int:
        if self._text[at - 1] == "\n":
            end = self._text.find("\n", at)
            line = self._text[at:] if end < 0 else self._text[at:end]
            if line.strip() == frame.marker:
                self._close(at)
                return at + len(line)
        return self._template(at)

    def _template(self, at: int) -> int:
        if dull := _DULL_TEXT.match(self._text, at):
            return dull.end()
        if escape := _ESCAPE.match(self._text, at):
            self.trace.append(("escape", at))
            return escape.end()
        if end := self._placeholder(at, Context.TEXT):
            return end
        if interpolation := _INTERPOLATION.match(self._text, at):
            self._open("interpolation", at, _Frame(self._expression))
            return interpolation.end()
        return at + 1

    def _placeholder(self, at: int, context: Context) -> int | None:
        match = PLACEHOLDER.match(self._text, at)
        if match is None or match[1] not in self._names:
            return None
        self.found.append(Placeholder(name=match[1], start=at, end=match.end(), context=context))
        return match.end()

    def _open(self, what: str, at: int, frame: _Frame) -> None:
        self.trace.append((what, at))
        self._stack.append(frame)

    def _close(self, at: int) -> None:
        self.trace.append(("close", at))
        self._stack.pop()
