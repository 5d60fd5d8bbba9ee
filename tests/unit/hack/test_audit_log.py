"""The audit log of a control plane: read while it is written, and gone on with after its writer was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.envtest.control_plane import end_last_line, whole_lines

LOG = b'{"first": 1}\n{"second": 2}\n{"third'
SECOND = LOG.index(b'{"second')


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(LOG)
    return path


@pytest.mark.parametrize("since", range(len(LOG) + 1))
def test_only_lines_that_begin_after_a_position_and_have_ended_are_read(log: Path, since: int) -> None:
    """A position within a line, as the size of a growing file may be, means the next line."""
    lines = [b'{"first": 1}\n', b'{"second": 2}\n']
    assert whole_lines(log, since) == lines[0 if since == 0 else 1 if since <= SECOND else 2 :]


def test_what_is_written_after_a_kill_begins_a_line(log: Path) -> None:
    """The half of a line that the killed program left is cut off; a log that ends well stays as it is."""
    end_last_line(log)
    end_last_line(log)
    with log.open("ab") as again:
        again.write(b'{"fourth": 4}\n')
    assert whole_lines(log, 0) == [b'{"first": 1}\n', b'{"second": 2}\n', b'{"fourth": 4}\n']
