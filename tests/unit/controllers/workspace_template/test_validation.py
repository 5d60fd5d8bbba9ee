"""What makes a template unusable."""

from __future__ import annotations

import pytest

from capt.api import WorkspaceTemplate
from capt.controllers.workspace import WORKSPACE_GROUP_ANNOTATION
from capt.controllers.workspace_template.validation import problems
from tests.support.chain import template


@pytest.mark.parametrize(
    "good",
    [
        template(),
        template('{"output": {}}', inlineFormat="JSON"),
        template("git::https://example.org/m.git", source="Remote"),
        template(env=[{"name": "A", "value": ""}]),
        template(metadata={"annotations": {WORKSPACE_GROUP_ANNOTATION: "tf.m.upbound.io"}}),
    ],
)
def test_good(good: WorkspaceTemplate) -> None:
    """A good template has no problems."""
    assert problems(good) == ()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (template(" \n"), "module must not be blank"),
        (template("{", inlineFormat="JSON"), "module must be JSON where inlineFormat is JSON"),
        (template("[]", inlineFormat="JSON"), "module must be a JSON object"),
        (
            template(vars=[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]),
            "vars: 'a' is given more than once",
        ),
        (
            template(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
            "env: 'A' is given more than once",
        ),
        (template(env=[{"name": "A"}]), "env: 'A' needs one of value, configMapKeyRef and secretKeyRef"),
        (
            template(metadata={"annotations": {WORKSPACE_GROUP_ANNOTATION: "x"}}),
            "'x' is none of tf.upbound.io",
        ),
    ],
)
def test_bad(bad: WorkspaceTemplate, words: str) -> None:
    """Each problem names the field and the rule."""
    (problem,) = problems(bad)
    assert words in problem


def test_several() -> None:
    """All problems are told at once."""
    assert len(problems(template(" ", env=[{"name": "A"}]))) == 2
