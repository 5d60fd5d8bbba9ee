from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from capt import manager
from capt.embedded_home import embedded_home
from capt.errors import StartError
from capt.manager import Options, main, parse


def test_an_empty_value_is_none_at_all() -> None:
    """A flag left empty, as templates leave it where a value is missing, is the default and not the working directory."""
    given = parse(["--kubeconfig=", "--data-dir=", "--namespace=", "--context=", "--watch-filter="])
    assert given == parse([])
    assert (given.kubeconfig, given.data_dir) == (None, None)


@pytest.mark.parametrize(
    "flag",
    [
        "--namespace=My_Team",
        "--namespace=a.b",
        "--leader-election-namespace=-",
        f"--leader-election-namespace={'n' * 64}",
        "--leader-election-id=Capt_Leader",
        "--leader-election-id=",
        "--leader-election-id=a..b",
    ],
)
def test_a_name_that_no_object_can_have_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that the API server would refuse at every try are one line at the start."""
    with pytest.raises(SystemExit) as ended:
        parse([flag])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    name, _, value = flag.partition("=")
    assert line.startswith(f"capt: {name}: {value!r} is no name of a ")


def test_names_that_objects_have_are_taken() -> None:
    """A namespace is a label, a Lease's name may have dots."""
    given = parse(["--namespace=team-1", "--leader-election-id=capt.example.com"])
    assert (given.namespace, given.leader_election_id) == ("team-1", "capt.example.com")


async def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    """Where a file lies in the place of the data directory, one line says that."""
    (tmp_path / "file").touch()
    for data_dir in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StartError, match=f"^--data-dir {data_dir}: Not a directory$"):
            async with embedded_home(data_dir):
                pass


def test_a_ctrl_c_while_python_still_loads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the signal handlers are there Ctrl-C ends the process as it ends any, without a traceback."""

    def interrupted(_argv: Sequence[str]) -> Options:
        raise KeyboardInterrupt

    monkeypatch.setattr(manager, "parse", interrupted)
    assert main([]) == 130
