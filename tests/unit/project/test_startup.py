from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "kubernetes_asyncio", "msgspec", "prometheus_client", "pydantic", "structlog", "yaml")


@pytest.mark.parametrize("flag", ["--help", "--version", "--no-such-flag"])
def test_flags_are_answered_before_anything_heavy_is_imported(flag: str) -> None:
    """Help, version and a bad flag cost the start of Python, not of its libraries."""
    code = (
        "import contextlib, io, sys\n"
        "import capt.manager\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        f"        capt.manager.main([{flag!r}])\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--enable-controller", "karpenter"], "karpenter"),
        (["--metrics-bind-address", "8080"], "--metrics-bind-address"),
        (["--metrics-secure=perhaps"], "--metrics-secure"),
        (["--metrics-cert-path", "/certs"], "--metrics-secure"),
        (["--debug-bind-address", ":6060"], "loopback"),
        (["--ephemeral"], "--ephemeral"),
        (["--embedded", "--kubeconfig", "file"], "--kubeconfig"),
    ],
)
def test_a_bad_flag_is_one_line_that_names_it(arguments: list[str], names: str) -> None:
    """A bad flag ends the process with exit code 2 and one line."""
    done = subprocess.run(
        [sys.executable, "-m", "capt.manager", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert names in done.stderr


@pytest.mark.parametrize(
    ("module", "flags"), [("capt.demo", []), ("capt.manager", ["--embedded", "--ephemeral"])]
)
def test_an_installation_without_what_the_embedded_server_needs_says_so(
    module: str, flags: list[str]
) -> None:
    """Without the extra `embedded` the demo and the flag end with one line that says what to install."""
    code = (
        "import runpy, sys\n"
        "sys.modules['trustme'] = None\n"
        f"sys.argv[1:] = {flags!r}\n"
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("needs trustme: pip install 'capt[embedded]'")


def test_a_greeting_that_nobody_reads_ends_nothing() -> None:
    """Whoever closed the pipe behind standard output, `| head` for instance, has not stopped the manager."""
    reader, writer = os.pipe()
    os.close(reader)
    code = "from capt.embedded_home import say; say('hello', 'again'); print('more')"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
