"""The certificate of the metrics port."""

import asyncio
import ssl

import aiohttp
import pytest
import trustme
from aiohttp import web

from capt.runtime import ConfigError, Metrics
from capt.runtime.serving import BindAddress, serve
from capt.runtime.serving_certificate import POLL_SECONDS, ServingCertificate, self_signed
from capt.runtime.testing import FakeClock
from tests.support.scripted import until


def issue(folder, authority=None):
    pair = (authority or trustme.CA()).issue_cert("127.0.0.1")
    pair.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    pair.private_key_pem.write_to_path(str(folder / "tls.key"))


def certificate(folder, metrics, clock):
    return ServingCertificate(
        folder / "tls.crt",
        folder / "tls.key",
        clock=clock,
        reads=metrics.certificate_reads,
        errors=metrics.certificate_errors,
    )


async def serial(address):
    """Return what is presented to a new connection."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    host, port = address.rsplit(":", 1)
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return presented


async def test_inv_112_a_new_certificate_is_presented_a_broken_one_is_not(tmp_path):
    """New handshakes see the new pair; a pair that does not fit, or a file that is gone, leaves the old one in place."""
    metrics, clock = Metrics(), FakeClock()
    issue(tmp_path)
    watched = certificate(tmp_path, metrics, clock)

    def count(name):
        return metrics.registry.get_sample_value(f"certwatcher_read_certificate{name}_total")

    async with serve(web.Application(), BindAddress("127.0.0.1", 0), watched.context) as address:
        task = asyncio.create_task(watched.run())

        async def look():
            await clock.advance(POLL_SECONDS)
            await until(lambda: clock.pending)  # it has looked, and waits again

        first = await serial(address)
        await look()
        issue(tmp_path)
        await look()
        second = await serial(address)
        assert second != first
        trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(tmp_path / "tls.key"))
        await look()
        assert (count("_errors"), await serial(address)) == (1, second)
        (tmp_path / "tls.crt").unlink()
        await look()
        assert (count("_errors"), await serial(address)) == (2, second)
        task.cancel()
    assert count("") == 3


async def test_a_certificate_that_cannot_be_used_is_said_at_the_start(tmp_path):
    """In one line that names the files."""
    with pytest.raises(ConfigError, match=r"tls\.crt with key .*tls\.key: No such file"):
        certificate(tmp_path, Metrics(), FakeClock())
    issue(tmp_path)
    (tmp_path / "tls.key").write_text("none")
    with pytest.raises(ConfigError, match=r"tls\.key"):
        certificate(tmp_path, Metrics(), FakeClock())


async def test_without_a_certificate_there_is_one_that_nobody_signed():
    """It is good for the names that it was made for, for who trusts it, and each is another one."""
    async with serve(
        web.Application(), BindAddress("127.0.0.1", 0), self_signed("localhost", "pod-1")
    ) as address:
        presented = await serial(address)
        trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(presented))
        trusting.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        port = address.rsplit(":", 1)[1]
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"https://127.0.0.1:{port}/", ssl=trusting, server_hostname="localhost") as answer,
        ):
            assert answer.status == 404
    async with serve(web.Application(), BindAddress("127.0.0.1", 0), self_signed("localhost")) as address:
        assert await serial(address) != presented
