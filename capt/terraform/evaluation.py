"""Values of a module's expressions, without Terraform: pure functions.

Literals, variables, templates, lists and objects of these have the values that Terraform would give them. Everything
else depends on infrastructure that does not exist; it gets a value that looks like one, from the output's name and a
hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from capt.hcl.syntax import loads


class _Unknown(Exception):  # noqa: N818 - no error: the expression depends on infrastructure
    """The expression is not a function of variables and literals."""


def output(name: str, expression: Any, variables: Mapping[str, Any], uid: str) -> Any:
    """Return the value of the output ``name``: the expression's, or one that suits the name."""
    try:
        return _evaluate(expression, variables, None)
    except _Unknown:
        pass
    if isinstance(expression, str) and expression.startswith('"') and not _is_named(name):
        # a template keeps its literal parts, with hashes in the holes
        return _evaluate(expression, variables, uid)
    return _invented(name, json.dumps(expression, sort_keys=True), uid)


def value(expression: Any, variables: Mapping[str, Any], uid: str) -> Any:
    """Return the value of an expression, with hashes where infrastructure would decide."""
    return _evaluate(expression, variables, uid)


def argument(text: str, declared_type: str) -> Any:
    """Return the value of ``-var name=text`` for a variable of that type: text itself, or a literal."""
    if declared_type in {"", "string", "any"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def variable_file(content: str, syntax: str) -> Mapping[str, Any]:
    """Return the values of a variable file."""
    if syntax == "JSON":
        parsed: dict[str, Any] = json.loads(content)
        return parsed
    return {name: _evaluate(expression, {}, "") for name, expression in loads(content).items()}


_REFERENCE: Final = re.compile(r"var\.([A-Za-z_][\w-]*)((?:\.[A-Za-z_][\w-]*|\[(?:\"[^\"]*\"|\d+)\])*)")
_STEP: Final = re.compile(r"\.([A-Za-z_][\w-]*)|\[\"([^\"]*)\"\]|\[(\d+)\]")
_HOLE: Final = re.compile(r"\$\$\{|\$\{((?:[^{}\"]|\"[^\"]*\"|\{[^{}]*\})*)\}")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def _evaluate(expression: Any, variables: Mapping[str, Any], uid: str | None) -> Any:
    """Evaluate what the parser gave; with ``uid``, what is unknown becomes a hash, else it raises."""
    if isinstance(expression, list):
        return [_evaluate(item, variables, uid) for item in expression]
    if isinstance(expression, dict):
        return {
            _key(name, variables, uid): _evaluate(item, variables, uid)
            for name, item in expression.items()
            if name != "__is_block__"
        }
    if not isinstance(expression, str):
        return expression
    if expression.startswith('"') and expression.endswith('"'):
        return _template(expression[1:-1], variables, uid)
    if expression.startswith("${") and expression.endswith("}"):
        return _reference(expression[2:-1].strip(), variables, uid)
    return expression


def _template(text: str, variables: Mapping[str, Any], uid: str | None) -> Any:
    only = _HOLE.fullmatch(text)
    if only and only[1] is not None:
        return _reference(only[1].strip(), variables, uid)

    parts: list[str] = []
    end = 0
    for hole in _HOLE.finditer(text):
        parts.append(_unescape(text[end : hole.start()]))
        parts.append("${" if hole[1] is None else _text(_reference(hole[1].strip(), variables, uid)))
        end = hole.end()
    parts.append(_unescape(text[end:]))
    return "".join(parts)


def _reference(expression: str, variables: Mapping[str, Any], uid: str | None) -> Any:
    found = _REFERENCE.fullmatch(expression)
    if found and found[1] in variables:
        return _walk(variables[found[1]], found[2], expression, uid)
    return _hashed(expression, uid)


def _walk(current: Any, path: str, expression: str, uid: str | None) -> Any:
    for step in _STEP.finditer(path):
        try:
            current = current[int(step[3])] if step[3] else current[step[1] or step[2]]
        except (LookupError, TypeError):
            return _hashed(expression, uid)
    return current


def _hashed(expression: str, uid: str | None) -> str:
    if uid is None:
        raise _Unknown
    return _hex(uid, expression)[:17]


def _key(name: str, variables: Mapping[str, Any], uid: str | None) -> str:
    if name.startswith("${(") and name.endswith(")}"):
        return _text(_reference(name[3:-2].strip(), variables, uid))
    return _text(_evaluate(name, variables, uid))


def _text(held: Any) -> str:
    return held if isinstance(held, str) else json.dumps(held)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), text)


def _is_named(name: str) -> bool:
    return name == "instance_id" or name.endswith(("_ip", "_arn", "_ids"))


def _invented(name: str, expression: str, uid: str) -> Any:
    digest = _hex(uid, name, expression)
    if name == "instance_id":
        return f"i-{_hex(uid)[:17]}"
    if name.endswith("_ip"):
        return "10." + ".".join(str(int(digest[at : at + 2], 16)) for at in (0, 2, 4))
    if name.endswith("_arn"):
        return f"arn:aws:simulated:us-west-2:000000000000:{name.removesuffix('_arn')}/{digest[:17]}"
    if name.endswith("_ids"):
        return [f"{name.removesuffix('_ids')}-{digest[at : at + 8]}" for at in (0, 8, 16)]
    return f"{name}-{digest[:8]}"


def _hex(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
