"""Where placeholders stand, and what may stand there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.controllers.workspace_template_apply.hcl_context import (
    Context,
    keeps_structure,
    placeholders,
    refusal,
)

TEXT, EXPRESSION = Context.TEXT, Context.EXPRESSION


@pytest.mark.parametrize(
    ("module", "contexts"),
    [
        ('a = "${x}"', [TEXT]),
        ("a = ${x}", [EXPRESSION]),
        ('a = "${upper("${x}")}"', [TEXT]),
        ('a = "${ {b = ${x}} }"', [EXPRESSION]),
        ('a = "\\"${x}"', [TEXT]),
        ('a = "b"\nc = ${x}', [EXPRESSION]),
        ("a = <<EOT\n${x}\nEOT\nb = ${x}", [TEXT, EXPRESSION]),
        ('a = <<-EOT\n  "${x}\n  EOT\nb = "${x}"', [TEXT, TEXT]),
        ("%{ if true }${x}", [EXPRESSION]),
        ('{"locals": {"a": "${x}"}}', [TEXT]),
        ('a = "broken\nb = ${x}', [EXPRESSION]),
    ],
)
def test_places(module: str, contexts: list[Context]) -> None:
    """A placeholder is text within quotes and heredocs, and an expression elsewhere."""
    assert [place.context for place in placeholders(module, {"x"})] == contexts


@pytest.mark.parametrize(
    "module",
    [
        'a = "$${x}"',
        'a = "${y}"',
        'a = "${var.x}"',
        'a = "${ x }"',
        "# ${x}",
        "// ${x}",
        "/* ${x}\n${x} */",
        'a = [for x in var.list : "${x}"]',
        'a = { for k, x in var.map : k => "${k}=${x}" }',
        'a = "%{ for x in var.list }${x}%{ endfor }"',
    ],
)
def test_what_belongs_to_hcl(module: str) -> None:
    """Escapes, comments, unknown names, spaces and names that the module binds itself are HCL's."""
    assert placeholders(module, {"x"}) == ()


@pytest.mark.parametrize(
    ("value", "context", "accepted"),
    [
        ("t3.medium", TEXT, True),
        ("arn:aws:iam::1:role/x+y@z", TEXT, True),
        ("日本", TEXT, True),
        ("", TEXT, True),
        ("50%", TEXT, False),
        ("a$", TEXT, False),
        ('a"b', TEXT, False),
        ("a\\b", TEXT, False),
        ("a\nb", TEXT, False),
        ("a\rb", TEXT, False),
        ("a\u2028b", TEXT, False),
        ("${file(1)}", TEXT, False),
        ("a%{if true}", TEXT, False),
        ("{if true}", TEXT, False),
        ("3", EXPRESSION, True),
        ("-3.5", EXPRESSION, True),
        ("true", EXPRESSION, True),
        ("my_name-1", EXPRESSION, True),
        ("", EXPRESSION, False),
        ("var.secret", EXPRESSION, False),
        ("file(1)", EXPRESSION, False),
        ("1 + 1", EXPRESSION, False),
        ("*/", EXPRESSION, False),
    ],
)
def test_values(value: str, context: Context, accepted: bool) -> None:
    """Text may be anything that neither ends nor interpolates it; an expression may be a number or a word."""
    assert (refusal(value, context) is None) is accepted


@given(st.text(alphabet='"\\${}%#/*<EOT\n xX=', max_size=60))
def test_any_module(module: str) -> None:
    """Any text can be read, and each placeholder found is one."""
    for place in placeholders(module, {"x"}):
        assert module[place.start : place.end] == "${x}"


@given(st.text(alphabet='"\\${}%\n <ab', max_size=12))
def test_accepted_text_is_inert(value: str) -> None:
    """A value that is accepted in quotes opens and closes nothing."""
    module = 'a = "b${x}c" # d\ne = {}'
    if refusal(value, TEXT) is None:
        assert keeps_structure(module, placeholders(module, {"x"}), {"x": value})


@pytest.mark.parametrize(
    ("module", "values", "kept"),
    [
        ('a = "${x}" ${y} # "', {"x": "long value", "y": "2"}, True),
        ("a = <<E\n${x}\n# {\nE\n", {"x": "e"}, True),
        ("a = <<E\n${x}\n# {\nE\n", {"x": "E"}, False),
        ('a = "%${x}{b}"', {"x": ""}, False),
        ('a = "${x}${y}"', {"x": "", "y": ""}, True),
        ('a = "${x}" b = "${y}"', {"x": '" b = "', "y": "z"}, False),
    ],
)
def test_structure(module: str, values: dict[str, str], kept: bool) -> None:
    """Whether values change what opens and closes is seen by place, so nothing can make up for it elsewhere."""
    assert keeps_structure(module, placeholders(module, values), values) is kept
