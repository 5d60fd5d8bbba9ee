"""The endpoints that Prometheus and the kubelet ask."""

import aiohttp
import pytest

from capt.runtime import Metrics
from capt.runtime.serving import BindAddress, health_app, metrics_app, parse_bind_address, serve

LOCAL = BindAddress("127.0.0.1", 0)


async def get(address, path):
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, await answer.text(), answer.headers


class TestBindAddress:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            (":8080", BindAddress("", 8080)),
            ("127.0.0.1:0", LOCAL),
            ("localhost:80", BindAddress("localhost", 80)),
            ("[::1]:8080", BindAddress("::1", 8080)),
            ("0", None),
            ("", None),
        ],
    )
    def test_the_forms_of_controller_runtime(self, text, address):
        """host:port, :port, and 0 or nothing for off."""
        assert parse_bind_address(text) == address
        if address is not None:
            assert str(address) == text

    @pytest.mark.parametrize("text", ["8080", "host", ":http", ":70000", "::1:8080", ":-1"])
    def test_anything_else_is_refused_in_one_line(self, text):
        """The error shows what was given and what is wanted."""
        with pytest.raises(ValueError, match="is no bind address; give host:port"):
            parse_bind_address(text)

    async def test_an_address_in_use_is_named(self):
        """The error says which address, since a manager has two."""
        async with serve(metrics_app(Metrics()), LOCAL) as address:
            taken = parse_bind_address(address)
            with pytest.raises(OSError, match=f"cannot listen on {address}: Address already in use$"):
                async with serve(metrics_app(Metrics()), taken):
                    pass


async def test_metrics():
    """Prometheus gets the text format, with its content type."""
    metrics = Metrics()
    metrics.controller("c", workers=3)
    async with serve(metrics_app(metrics), LOCAL) as address:
        status, text, headers = await get(address, "/metrics")
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'controller_runtime_max_concurrent_reconciles{controller="c"} 3.0' in text
        assert (await get(address, "/"))[0] == 404


class TestHealth:
    """inv 108: the endpoints answer as Kubernetes' own do."""

    @pytest.fixture
    def problems(self):
        return {"ping": "", "caches": ""}

    @pytest.fixture
    async def ask(self, problems):
        checks = {name: lambda name=name: problems[name] for name in problems}
        async with serve(health_app({"/readyz": checks, "/healthz": {"ping": lambda: ""}}), LOCAL) as address:

            async def ask(path):
                status, text, _ = await get(address, path)
                return status, text

            yield ask

    async def test_inv_108_well(self, ask):
        """ok, or the list of checks when asked for."""
        assert await ask("/readyz") == (200, "ok")
        assert await ask("/readyz?verbose") == (200, "[+]ping ok\n[+]caches ok\nreadyz check passed\n")
        assert await ask("/healthz") == (200, "ok")

    async def test_inv_108_a_failing_check_is_500_and_verbose(self, ask, problems):
        """The list says which check failed, and why."""
        problems["caches"] = "things.test.dev: not served"
        text = "[+]ping ok\n[-]caches failed: things.test.dev: not served\nreadyz check failed\n"
        assert await ask("/readyz") == (500, text)

    async def test_inv_108_a_check_can_be_excluded(self, ask, problems):
        """An excluded check is not run; an unknown one is mentioned and ignored."""
        problems["caches"] = "bad"
        assert await ask("/readyz?exclude=caches") == (200, "ok")
        status, text = await ask("/readyz?exclude=caches&exclude=nope&verbose")
        assert status == 200
        assert "[+]caches excluded: ok\n" in text
        assert 'warn: some health checks cannot be excluded: no matches for "nope"\n' in text

    async def test_inv_108_each_check_has_a_path(self, ask, problems):
        """A check alone; unknown ones are not found."""
        problems["caches"] = "bad"
        assert await ask("/readyz/ping") == (200, "ok")
        assert await ask("/readyz/caches") == (500, "internal server error: bad\n")
        assert (await ask("/readyz/nope"))[0] == 404
