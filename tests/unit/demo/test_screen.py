from __future__ import annotations

import io

import pytest
from rich.console import Console

from capt.demo.screen import screen, table
from capt.demo.tree import Row

ROWS = [
    Row(0, "deployment", "worker-deployment", "RollingOut", "3 of 3 available, 1 up to date"),
    Row(1, "set", "worker-deployment-87d5cd46", "WaitingForMachines", "0 of 1 ready, t3.large"),
    Row(
        2,
        "machine",
        "worker-deployment-87d5cd46-klz6k",
        "WaitingForWorkspace",
        "waits for " + "Terraform " * 9,
    ),
    Row(3, "workspace", "default-worker-deployment-87d5cd46-klz6k-machine-10e7447c", "Creating", ""),
    Row(2, "machine", "worker-deployment-87d5cd46-p2kf7", "Ready", "i-06f69324a8c60adf1, 10.0.6.246"),
]


def rendered(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(table(ROWS, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [50, 80, 100, 120, 200])
def test_a_terminal_of_any_width_shows_every_state(width):
    """However narrow the terminal, the state of each object stands there whole, and no line is broken."""
    _, *lines = rendered(width)
    assert len(lines) == len(ROWS)
    for line, row in zip(lines, ROWS, strict=True):
        assert row.state in line.split()
        assert len(line) <= width


def test_eighty_columns_tell_machines_apart():
    """Names that are too long keep their ends, which differ."""
    lines = rendered(80)
    for end in ("klz6k", "10e7447c", "p2kf7"):
        assert sum(end in line for line in lines) == 1


def test_a_wide_terminal_shows_all():
    """Where there is room nothing is shortened."""
    lines = rendered(200)
    assert not [line for line in lines if "…" in line]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, capsys):
    """TERM=dumb is a terminal, but not one for a live table."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with screen() as view:
        view.show(ROWS)
        view.say("that was [all]")
    said = capsys.readouterr().out
    assert "  deployment worker-deployment: RollingOut (3 of 3 available, 1 up to date)\n" in said
    assert said.endswith("that was [all]\n")


def test_sentences_are_said_as_they_are(monkeypatch, capsys):
    """Square brackets in a sentence are text on a live screen too, not markup."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with screen() as view:
        view.say("listening on [::1]:8080 [bold]")
    assert "listening on [::1]:8080 [bold]" in capsys.readouterr().out
