from __future__ import annotations

import pytest

from capt.embedded.metadata import finalizer_warnings


@pytest.mark.parametrize(
    ("finalizer", "advice"),
    [
        ("example.com/mine", None),
        ("foregroundDeletion", None),
        ("mine", "prefer a domain-qualified finalizer name to avoid"),
        ("mine.example.com", "prefer a domain-qualified finalizer name including a path (/) to avoid"),
    ],
)
def test_a_finalizer_without_a_path_is_warned_of_in_the_words_of_a_real_server(finalizer, advice):
    """A name with a dot is taken for a domain that lacks its path."""
    warnings = list(finalizer_warnings({"finalizers": [finalizer]}))
    assert [f'metadata.finalizers: "{finalizer}": {advice}' in each for each in warnings] == [True] * bool(
        advice
    )
