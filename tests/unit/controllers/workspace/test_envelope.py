"""Terraform's words come out of the provider's envelope, and nothing else does."""

from __future__ import annotations

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.controllers.workspace import readable
from tests.support.chain import envelope

STDERR = """\x1b[31m╷\x1b[0m
\x1b[31m│\x1b[0m \x1b[0m\x1b[1m\x1b[31mError: \x1b[0m\x1b[0m\x1b[1mNo value for required variable\x1b[0m
\x1b[31m│\x1b[0m
\x1b[31m│\x1b[0m   on main.tf line 1:
\x1b[31m│\x1b[0m    1: variable "size" { type = string }
\x1b[31m╵\x1b[0m
"""


def test_words() -> None:
    """The envelope is replaced by Terraform's error, without colours and frames; the provider's words stay."""
    assert readable(envelope(STDERR)) == (
        "create failed: cannot apply Terraform configuration: Error: No value for required variable\n\n"
        '  on main.tf line 1:\n   1: variable "size" { type = string }'
    )


def test_warnings_before_the_error_are_left_out() -> None:
    """What Terraform prints before the first error is not the error."""
    assert (
        readable(envelope("Warning: old provider\n\nError: no credentials", prefix=""))
        == "Error: no credentials"
    )


@pytest.mark.parametrize(
    "message",
    [
        "connect failed: cannot get ProviderConfig: not found",
        'Terraform encountered an error. To see the full error run: echo "%%%" | base64 -d | gunzip',
        'Terraform encountered an error. To see the full error run: echo "AAAA" | base64 -d | gunzip',
        'Terraform encountered an error. To see the full error run: echo "AAA" | base64 -d | gunzip',
    ],
)
def test_without_a_good_envelope(message: str) -> None:
    """A message without an envelope, or with a broken one, is shown as it is."""
    assert readable(message) == message


def test_empty_envelope() -> None:
    """An envelope that holds nothing stays: the summary in it may be all there is."""
    message = envelope("", prefix="")
    assert readable(message) == message


def test_bomb() -> None:
    """A payload that inflates to gigabytes costs a bounded amount of memory and gives a bounded text."""
    packed = base64.b64encode(gzip.compress(b"Error: " + b"a" * 50_000_000)).decode()
    message = (
        f'Terraform encountered an error. To see the full error run: echo "{packed}" | base64 -d | gunzip'
    )
    assert len(readable(message)) == 4096


@given(st.text())
def test_any_text(text: str) -> None:
    """Whatever a provider writes, the result is bounded, printable and stable."""
    once = readable(text, limit=200)
    assert len(once) <= 200
    assert "\x1b" not in once
    assert readable(once, limit=200) == once


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=1, max_size=500))
def test_round_trip(words: str) -> None:
    """Words that go into an envelope come out of it."""
    assert readable(envelope(f"Error: {words}", prefix="")) == f"Error: {words}"
