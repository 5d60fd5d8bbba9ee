"""Logs: one JSON object per line, for ours and others', without secrets."""

import contextlib
import json
import logging
from pathlib import Path

import pytest
import structlog

from capt.runtime import configure_logging, get_logger
from capt.runtime.logging import redact


@pytest.fixture(autouse=True)
def restore():
    """Leave the process's logging as it was."""
    config = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capfdbinary):
    return [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]


@pytest.fixture
def stderr(capfdbinary, monkeypatch):
    """Standard error as it is outside of pytest: with a buffer below."""
    with open(2, "w", closefd=False) as stream:
        monkeypatch.setattr("sys.stderr", stream)
        yield capfdbinary


def test_json_lines(stderr):
    """Level, time in UTC, text and fields; reconcile context included."""
    configure_logging("json", "info")
    with structlog.contextvars.bound_contextvars(controller="c", reasons=["x"]):
        get_logger("part", lease="l").info("hello", count=3)
    (line,) = lines(stderr)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "hello",
        "level": "info",
        "logger": "part",
        "lease": "l",
        "count": 3,
        "controller": "c",
        "reasons": ["x"],
    }


def test_the_level_holds(stderr):
    """What is below it is not written."""
    configure_logging("json", "warning")
    get_logger().info("no")
    get_logger().warning("yes")
    assert [line["event"] for line in lines(stderr)] == ["yes"]


def test_an_unknown_level_is_refused():
    """One line names it."""
    with pytest.raises(ValueError, match="unknown log level 'loud'"):
        configure_logging("json", "loud")


def test_records_of_others_look_the_same(stderr):
    """A library that uses the standard library's logging is in the same format; its chatter is left out."""
    configure_logging("json", "info")
    logging.getLogger("aiohttp.server").error("it broke: %s", "x", extra={})
    logging.getLogger("aiohttp.access").info("GET /")
    (line,) = lines(stderr)
    assert (line["event"], line["level"], line["logger"]) == ("it broke: x", "error", "aiohttp.server")


def test_tracebacks_are_one_field(stderr):
    """A traceback does not break the line format."""
    configure_logging("json", "info")
    try:
        {}["missing"]
    except KeyError:
        get_logger().exception("failed")
    (line,) = lines(stderr)
    assert "KeyError" in line["exception"]


def test_console_is_for_people(stderr):
    """Text, not JSON; without colours where it is no terminal."""
    configure_logging("console", "info")
    get_logger().info("hello", count=3)
    text = stderr.readouterr().err.decode()
    assert "hello" in text
    assert "count=3" in text
    assert "\x1b" not in text


def test_what_cannot_be_json_is_text(stderr):
    """No value makes a line fail."""
    configure_logging("json", "info")
    get_logger().info("odd", thing=object())
    (line,) = lines(stderr)
    assert line["thing"].startswith("<object")


def test_text_that_is_no_unicode_is_shown_escaped(stderr):
    """Bytes of a header or of a file's name that were no UTF-8 make no line fail."""
    configure_logging("json", "info")
    get_logger().info("odd", file="a\udc80", inner={"\udc81": [1]})
    (line,) = lines(stderr)
    assert (line["file"], line["inner"]) == ("a\udc80", {"\udc81": [1]})


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_that_cannot_be_written_ends_nothing(monkeypatch, form):
    """A full disk, or a reader that has gone, costs the line and nothing else."""
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        configure_logging(form, "info")
        get_logger().info("lost")
        with contextlib.suppress(OSError):
            full.close()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("token", "abc", "***"),
        ("bearer_token", "abc", "***"),
        ("PASSWORD", "abc", "***"),
        ("client_secret", {"a": 1}, "***"),
        ("kubeconfig", "apiVersion: v1", "***"),
        ("secret_name", "my-secret", "my-secret"),
        ("name", "my-secret", "my-secret"),
        ("spec", {"db": {"password": "p", "user": "u"}}, {"db": {"password": "***", "user": "u"}}),
        ("items", [{"token": "t"}], [{"token": "***"}]),
        ("event", "sent Authorization: Bearer eyJhbGciOi.x.y to", "sent Authorization: Bearer *** to"),
        ("reasons", ["Secret modified"], ["Secret modified"]),
    ],
)
def test_secrets_are_redacted(name, value, shown):
    """What is named like a secret is not shown, at any depth; the name of a secret is."""
    assert redact(None, "info", {name: value}) == {name: shown}
