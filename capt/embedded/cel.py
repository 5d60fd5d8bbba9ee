"""CEL rules (``x-kubernetes-validations``) behind one small adapter; the only module that knows the library.

The library returns run-time errors as values of type ERROR instead of raising them, and cannot pass an optional variable, so
``optionalOldSelf`` is bound inside the expression from a list of at most one element.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_ESCAPES = {".": "__dot__", "-": "__dash__", "/": "__slash__", "__": "__underscores__"}
_OLD_SELF = re.compile(r"\boldSelf\b")
_OPTIONAL_OLD_SELF = (
    "cel.bind(oldSelf, oldSelves.size() == 0 ? optional.none() : optional.of(oldSelves[0]), {})"
)


class CelError(Exception):
    """A rule does not compile or cannot be evaluated; the text says why."""


@functools.cache
def escape_identifier(name: str) -> str:
    """A property's name as rules write it (``self.__namespace__``, ``self.a__dash__b``)."""
    if name in _RESERVED:
        return f"__{name}__"
    return re.sub(r"__|[./-]", lambda match: _ESCAPES[match[0]], name)


def _is(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return parse(text) is not None
        except ValueError:
            return False

    return check


def _absolute_url(text: str) -> str | None:
    parts = urlsplit(text)
    return text if parts.scheme or text.startswith("/") else None


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _extension() -> Any:
    """The functions that Kubernetes adds to the language, as far as they need no types of their own."""
    kind = cel.Type
    members: list[tuple[str, Any, list[Any], Callable[..., Any]]] = [
        ("find", kind.STRING, [kind.STRING, kind.STRING], lambda s, p: _first(p, s)),
        ("findAll", kind.List(kind.STRING), [kind.STRING, kind.STRING], lambda s, p: re.findall(f"({p})", s)),
        ("isSorted", kind.BOOL, [kind.List(kind.DYN)], lambda items: items == sorted(items)),
        ("sum", kind.DYN, [kind.List(kind.DYN)], sum),
        ("min", kind.DYN, [kind.List(kind.DYN)], min),
        ("max", kind.DYN, [kind.List(kind.DYN)], max),
    ]
    plain: list[tuple[str, Any, list[Any], Callable[..., Any]]] = [
        ("isURL", kind.BOOL, [kind.STRING], _is(_absolute_url)),
        ("isIP", kind.BOOL, [kind.STRING], _is(ipaddress.ip_address)),
        ("isCIDR", kind.BOOL, [kind.STRING], _is(lambda text: ipaddress.ip_network(text, strict=False))),
        ("sets.contains", kind.BOOL, [kind.List(kind.DYN)] * 2, lambda a, b: all(x in a for x in b)),
        ("sets.intersects", kind.BOOL, [kind.List(kind.DYN)] * 2, lambda a, b: any(x in a for x in b)),
        (
            "sets.equivalent",
            kind.BOOL,
            [kind.List(kind.DYN)] * 2,
            lambda a, b: all(x in a for x in b) and all(x in b for x in a),
        ),
    ]
    declarations = [
        cel.FunctionDecl(
            name,
            [
                cel.Overload(
                    id=f"k8s_{name.replace('.', '_')}",
                    return_type=returns,
                    parameters=parameters,
                    is_member=is_member,
                    impl=function,
                )
            ],
        )
        for is_member, table in ((True, members), (False, plain))
        for name, returns, parameters, function in table
    ]
    return cel.CelExtension("kubernetes", declarations)


@functools.cache
def _environment() -> Any:
    dynamic = cel.Type.DYN
    return cel.NewEnv(
        variables={"self": dynamic, "oldSelf": dynamic, "oldSelves": cel.Type.List(dynamic)},
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_bindings.ExtBindings(),
            _extension(),
        ],
    )


def _compile(expression: str) -> Any:
    try:
        return _environment().compile(expression)
    except RuntimeError as error:
        raise CelError(f"compilation failed: {str(error).removeprefix('INVALID_ARGUMENT: ')}") from error


def _evaluate(program: Any, variables: Mapping[str, Any]) -> Any:
    try:
        value = program.eval(data=variables)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise CelError(str(error)) from error
    if value.type() == cel.Type.ERROR:
        text = str(value.value())
        if found := re.search(r'Key not found in map : "?(.*?)"?$', text):
            raise CelError(f"no such key: {found[1]}")
        raise CelError(text.partition(": ")[2].replace("divide by zero", "division by zero") or text)
    return value.plain_value()


class Rule:
    """One rule of a schema node. Compiling it happens when it is made; ``error`` says why it failed, if it did."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.rule: str = source.get("rule", "").strip()
        self.message: str = source.get("message", "").strip()
        self.reason: str = source.get("reason", "") or "FieldValueInvalid"
        self.field_path: str = source.get("fieldPath", "")
        self.optional_old_self = bool(source.get("optionalOldSelf"))
        self.is_transition = bool(_OLD_SELF.search(self.rule))
        self.error = ""
        self._program: Any = None
        self._message_program: Any = None
        try:
            wrapped = _OPTIONAL_OLD_SELF.format(self.rule) if self.optional_old_self else self.rule
            self._program = _compile(wrapped)
            if expression := source.get("messageExpression", ""):
                self._message_program = _compile(expression)
        except CelError as error:
            self.error = str(error)

    def holds(self, value: Any, old: list[Any]) -> bool:
        """Whether the rule is true of ``value``; ``old`` holds the value before, or nothing.

        Raises:
            CelError: It cannot be evaluated.
        """
        result: Any = _evaluate(self._program, self._variables(value, old))
        return result is True

    def failure(self, value: Any, old: list[Any]) -> str:
        """The sentence for a rule that does not hold."""
        if self._message_program is not None:
            try:
                text = str(_evaluate(self._message_program, self._variables(value, old))).strip()
            except CelError:
                text = ""
            if text and "\n" not in text:
                return text
        return self.message or f"failed rule: {self.rule}"

    def error_text(self, error: CelError) -> str:
        """The sentence for a rule that could not be evaluated."""
        return f"{error} evaluating rule: {self.message or self.rule}"

    def _variables(self, value: Any, old: list[Any]) -> dict[str, Any]:
        variables = {"self": value, "oldSelves": old}
        if old:
            variables["oldSelf"] = old[0]
        return variables
