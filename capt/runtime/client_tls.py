"""TLS as a client: whom to trust, and who we are, from files or from memory.

Certificates that come as data stay in memory, but for the instant in which Python, which takes a client certificate
from a file only, reads ours from a private directory. kubernetes-asyncio's loader would leave them on the disk until the
process ends, together with an open file each, and more with every renewal.
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

Pem = Path | bytes | None
"""PEM in a file or in memory, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """What a TLS connection to a server is made with.

    Attributes:
        authority: certificates of those that may vouch for the server; those that the system trusts by default.
        certificate: our own, with those between it and its authority.
        key: its private key; where it is missing, it is in ``certificate``.
        verify: verify the server at all.
    """

    authority: Pem = None
    certificate: Pem = None
    key: Pem = None
    verify: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return tuple(each for each in (self.authority, self.certificate, self.key) if isinstance(each, Path))

    def fingerprint(self) -> bytes:
        """Return what tells our certificate from the one that replaces it; empty without one. Looks at the disk.

        Raises:
            OSError: its file cannot be read.
        """
        if self.certificate is None:
            return b""
        pem = self.certificate.read_bytes() if isinstance(self.certificate, Path) else self.certificate
        return hashlib.sha256(pem).digest()

    def context(self) -> ssl.SSLContext:
        """Return a TLS context; looks at the disk.

        Raises:
            OSError: a file cannot be read, or holds no PEM.
            ValueError: what is in memory is no PEM.
        """
        for file in self.files:
            file.stat()  # the TLS library would not say which file is missing
        if isinstance(self.authority, bytes):
            # text between certificates is allowed, and may be in any language
            context = ssl.create_default_context(cadata=self.authority.decode("ascii", "backslashreplace"))
        else:
            context = ssl.create_default_context(cafile=self.authority)
        # Python 3.13 refuses CAs without key identifiers, which kubectl and every other client accept
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.certificate is not None:
            with tempfile.TemporaryDirectory() as folder:
                context.load_cert_chain(
                    _in_file(self.certificate, Path(folder, "certificate")),
                    None if self.key is None else _in_file(self.key, Path(folder, "key")),
                )
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _in_file(pem: Path | bytes, place: Path) -> Path:
    if isinstance(pem, Path):
        return pem
    place.touch(mode=0o600)
    place.write_bytes(pem)
    return place
