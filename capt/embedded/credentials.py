"""The server's own certificate authority and bearer token, kept in the data directory so that kubeconfigs stay valid."""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import trustme

LOOPBACK = "127.0.0.1"  # the only address that is listened on
_NAMES = ("ca.crt", "server.pem", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What clients need to trust the server and to be let in, and what the server needs to prove itself."""

    ca_pem: str
    server_pem: str
    token: str

    def server_context(self) -> ssl.SSLContext:
        """The TLS side of the server."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as folder:  # the ssl module reads private keys from files only
            path = Path(folder) / "server.pem"
            write_private(path, self.server_pem)
            context.load_cert_chain(path)
        return context


def load_credentials(folder: Path | None) -> Credentials:
    """The credentials kept in ``folder``, made on first use; without a folder fresh ones every time."""
    if folder is not None and all((folder / name).exists() for name in _NAMES):
        ca_pem, server_pem, token = ((folder / name).read_text() for name in _NAMES)
        return Credentials(ca_pem=ca_pem, server_pem=server_pem, token=token)
    authority = trustme.CA(organization_name="capt")
    certificate = authority.issue_cert(LOOPBACK, "localhost")
    made = Credentials(
        ca_pem=authority.cert_pem.bytes().decode(),
        server_pem=certificate.private_key_and_cert_chain_pem.bytes().decode(),
        token=secrets.token_urlsafe(32),
    )
    if folder is not None:
        for name, text in zip(_NAMES, (made.ca_pem, made.server_pem, made.token), strict=True):
            write_private(folder / name, text)
    return made


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
