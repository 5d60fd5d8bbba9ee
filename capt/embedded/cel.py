"""CEL rules (``x-kubernetes-validations``) behind one small adapter; the only module that knows the library.

The library returns run-time errors as values of type ERROR instead of raising them, and cannot pass an optional variable, so
``optionalOldSelf`` is bound inside the expression from a list of at most one element.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from capt.embedded.formats import fits

_RESERVED = re.compile(
    "true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while"
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
    if _RESERVED.fullmatch(name):
        return f"__{name}__"
    return re.sub(r"__|[./-]", lambda match: _ESCAPES[match[0]], name)


def _contains(items: list[Any], wanted: list[Any]) -> bool:
    return all(item in items for item in wanted)


def _extension() -> Any:
    """The functions that Kubernetes adds to the language, as far as they need no types of their own."""
    text, truth, anything, values = cel.Type.STRING, cel.Type.BOOL, cel.Type.DYN, cel.Type.List(cel.Type.DYN)
    texts, two = cel.Type.List(text), [values, values]
    functions: list[tuple[str, bool, Any, list[Any], Callable[..., Any]]] = [
        # name, whether it is written as a method, type of the result, of the arguments, implementation
        ("find", True, text, [text, text], lambda s, p: next((m[0] for m in re.finditer(p, s)), "")),
        ("findAll", True, texts, [text, text], lambda s, p: re.findall(f"({p})", s)),
        ("isSorted", True, truth, [values], lambda items: items == sorted(items)),
        ("sum", True, anything, [values], sum),
        ("min", True, anything, [values], min),
        ("max", True, anything, [values], max),
        ("isURL", False, truth, [text], lambda s: s.startswith("/") or fits("uri", s)),
        ("isIP", False, truth, [text], lambda s: fits("ipv4", s) or fits("ipv6", s)),
        ("isCIDR", False, truth, [text], lambda s: fits("cidr", s)),
        ("sets.contains", False, truth, two, _contains),
        ("sets.intersects", False, truth, two, lambda a, b: any(item in a for item in b)),
        ("sets.equivalent", False, truth, two, lambda a, b: _contains(a, b) and _contains(b, a)),
    ]
    declarations = []
    for name, member, returns, parameters, function in functions:
        overload = cel.Overload(
            f"k8s_{name.replace('.', '_')}", returns, parameters, is_member=member, impl=function
        )
        declarations.append(cel.FunctionDecl(name, [overload]))
    return cel.CelExtension("kubernetes", declarations)


@functools.cache
def _environment() -> Any:
    dynamic = cel.Type.DYN
    variables = {"self": dynamic, "oldSelf": dynamic, "oldSelves": cel.Type.List(dynamic)}
    library = [
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_math.ExtMath(),
        ext_bindings.ExtBindings(),
    ]
    return cel.NewEnv(variables=variables, extensions=[*library, _extension()])


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
