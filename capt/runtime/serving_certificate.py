"""The certificate of a port: read from files and read again when they change, or made on the spot."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from prometheus_client import Counter

from capt.runtime.clock import Clock
from capt.runtime.errors import ConfigError
from capt.runtime.logging import get_logger

POLL_SECONDS: Final = 10.0
"""How often the files are looked at. controller-runtime's number."""

_SELF_SIGNED_DAYS: Final = 365

_State = tuple[tuple[int, int, int], ...]

_log = get_logger("serving")


class ServingCertificate:
    """A certificate and its key in two files, which somebody (cert-manager, a mounted Secret) may replace.

    A new pair is tried before it is used: one that is broken, or half written, leaves the old one in place.

    Args:
        certificate: file with the chain, PEM.
        key: file with the key, PEM.
        clock: waits between two looks.
        reads: counts reads.
        errors: counts reads of what could not be used.

    Attributes:
        context: for the server; what it presents changes with the files, from the next handshake on.

    Raises:
        ConfigError: the pair cannot be used.
    """

    def __init__(
        self, certificate: Path, key: Path, *, clock: Clock, reads: Counter, errors: Counter
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._reads = reads
        self._errors = errors
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._state: _State | None = None
        self._load()

    async def run(self) -> None:
        """Look after the files until cancelled."""
        while True:
            await self._clock.sleep(POLL_SECONDS)
            try:
                await asyncio.to_thread(self._load)
            except ConfigError as error:
                _log.error("going on with the old certificate", error=str(error))

    def _load(self) -> None:
        try:
            state = tuple(_state(file) for file in (self._certificate, self._key))
            if state == self._state:
                return
            self._state = state
            self._reads.inc()
            # a pair that does not fit would leave the live context with half of it
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except OSError as error:  # ssl's errors are OSErrors too
            self._errors.inc()
            reason = error.strerror or str(error)
            raise ConfigError(f"certificate {self._certificate} with key {self._key}: {reason}") from error


def self_signed(*names: str) -> ssl.SSLContext:
    """Return a server's context with a certificate that nobody signed, made now, good for a year.

    It encrypts, and proves nothing: a scraper has to skip verification. Give a certificate where that matters.

    Args:
        names: DNS names to put in.
    """
    # a quarter of a second, which only those who ask for this pay
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory(prefix="capt-serving-") as folder:
        pair = Path(folder) / "pair.pem"  # only this user may enter the folder
        pair.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(pair)
    return context


def _state(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
