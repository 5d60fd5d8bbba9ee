"""Starts a control plane on free loopback ports, with certificates of its own, and stops it without remains."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import aiohttp
import trustme
import yaml

from hack.envtest.binaries import Binaries, find
from hack.envtest.certificates import client_certificate
from hack.envtest.program import Program

Part = Literal["etcd", "kube-apiserver", "kube-controller-manager"]
"""What a control plane consists of."""

_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [{"level": "Metadata"}],
}


class StartError(Exception):
    """A part of the control plane did not come up; the message carries the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running control plane.

    Its parts can be made to fail, from the event loop that it was started on: :meth:`kill`, :meth:`stop`, :meth:`pause`.

    Attributes:
        url: Address of the API server.
        etcd_url: Address of etcd, whose API is plain HTTP here.
        folder: Logs, certificates and data; removed at exit.
        started_in: Seconds from the first process to `/readyz`.
    """

    url: str
    etcd_url: str
    folder: Path
    started_in: float
    _ca: trustme.CA
    _programs: Mapping[Part, Program]

    @property
    def ca_pem(self) -> bytes:
        """Certificate of the authority that signed the API server's."""
        return self._ca.cert_pem.bytes()

    def kubeconfig(self, user: str = "admin", *groups: str) -> dict[str, Any]:
        """Return a kubeconfig for a user with a client certificate; for `admin` without groups, the superuser's."""
        certificate, key = client_certificate(
            self._ca, user, groups or (("system:masters",) if user == "admin" else ())
        )
        return self._kubeconfig(
            user,
            {
                "client-certificate-data": base64.b64encode(certificate).decode(),
                "client-key-data": base64.b64encode(key).decode(),
            },
        )

    async def service_account_kubeconfig(self, namespace: str, name: str) -> dict[str, Any]:
        """Return a kubeconfig with a token of a ServiceAccount that exists, asked for as the kubelet does."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        async with self.session() as http, http.post(self.url + path, json=body) as answer:
            answer.raise_for_status()
            token = (await answer.json())["status"]["token"]
        return self._kubeconfig(name, {"token": token}, namespace)

    def session(self) -> aiohttp.ClientSession:
        """Return an HTTP session of the superuser."""
        context = ssl.create_default_context(cadata=self.ca_pem.decode())
        certificate = self._ca.issue_cert(
            "admin@localhost", common_name="admin", organization_name="system:masters"
        )
        certificate.configure_cert(context)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    async def kill(self, part: Part) -> None:
        """End a part in the middle of whatever it does (SIGKILL); returns when it is gone."""
        await self._programs[part].kill()

    async def stop(self, part: Part) -> None:
        """Ask a part to end as it does in an upgrade (SIGTERM); returns when it has, at the latest after 10 s."""
        await self._programs[part].stop()

    async def start(self, part: Part) -> None:
        """Start a part that was killed or stopped: same ports, same data. :meth:`ready` waits until it serves.

        Raises:
            RuntimeError: It runs.
        """
        if part == "kube-apiserver":
            end_last_line(self.folder / "audit.log")
        await self._programs[part].start()

    def pause(self, part: Part) -> None:
        """Stop a part's time (SIGSTOP): its connections stay, and nobody answers on them."""
        self._programs[part].pause()

    def resume(self, part: Part) -> None:
        """Let a part go on after a pause (SIGCONT)."""
        self._programs[part].resume()

    async def ready(self) -> None:
        """Wait until the API server says that it is ready, etcd included.

        Raises:
            StartError: It was not within 60 s, or it ended; the message carries the end of its log.
        """
        apiserver = self._programs["kube-apiserver"]
        try:
            async with asyncio.timeout(_START_SECONDS), self.session() as http:
                while apiserver.running:
                    with contextlib.suppress(aiohttp.ClientError):
                        async with http.get(f"{self.url}/readyz") as answer:
                            if answer.status == 200:
                                return
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            pass
        raise StartError(f"kube-apiserver is not ready\n{apiserver.last_words()}")

    async def compact(self) -> None:
        """Make etcd forget all versions but the present ones, as kube-apiserver has it do every five minutes."""
        async with aiohttp.ClientSession(self.etcd_url, raise_for_status=True) as http:
            async with http.post("/v3/kv/range", json={"key": "AA=="}) as answer:
                revision = (await answer.json())["header"]["revision"]
            async with http.post(
                "/v3/kv/compaction", json={"revision": revision, "physical": True}
            ) as answer:
                await answer.read()

    @property
    def audit_position(self) -> int:
        """How far the audit log has got, in bytes: what is to come begins there."""
        return (self.folder / "audit.log").stat().st_size

    def audit(self, since: int = 0) -> list[dict[str, Any]]:
        """Return every request so far, in the order of their arrival, as audit.k8s.io/v1 Events at level Metadata.

        One that is under way is there without its answer: what it does may be seen before it has come to its end.

        Args:
            since: A position of the log from which on they are wanted.
        """
        events = [json.loads(line) for line in whole_lines(self.folder / "audit.log", since)]
        latest = {event["auditID"]: event for event in events}
        return [latest[event["auditID"]] for event in events if event["stage"] == "RequestReceived"]

    def requests_by_user_agent(self) -> Counter[str]:
        """Count the requests of each user agent."""
        return Counter(event.get("userAgent", "") for event in self.audit())

    def _kubeconfig(
        self, user: str, credentials: dict[str, str], namespace: str = "default"
    ) -> dict[str, Any]:
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(self.ca_pem).decode()}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "envtest", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [
                {"name": "envtest", "context": {"cluster": "envtest", "user": user, "namespace": namespace}}
            ],
            "current-context": "envtest",
        }


def whole_lines(log: Path, since: int) -> list[bytes]:
    """Return the lines of a log that begin at a position or later and have come to their end.

    A file grows page by page while a line is written to it, so its size at any moment, and with it the position,
    may lie within a line.
    """
    with log.open("rb") as lines:
        if since:
            lines.seek(since - 1)
            lines.readline()
        return [line for line in lines.read().splitlines(keepends=True) if line.endswith(b"\n")]


def end_last_line(log: Path) -> None:
    """Cut off the half of a line that a program left which was killed while it wrote: the next would go on there."""
    with log.open("rb+") as lines:
        lines.truncate(lines.read().rfind(b"\n") + 1)


@contextlib.asynccontextmanager
async def control_plane(binaries: Binaries | None = None, *extra_flags: str) -> AsyncIterator[ControlPlane]:
    """Run etcd, kube-apiserver and kube-controller-manager until the block ends.

    Of the controller manager only the garbage collector and the deletion of namespaces run: what a cluster
    without nodes needs.

    Args:
        binaries: The programs; default: what :func:`hack.envtest.find` finds.
        extra_flags: Further flags of kube-apiserver.

    Raises:
        StartError: A program ended early or was not ready within 60 s.
    """
    binaries = binaries or find()
    if binaries is None:
        raise StartError("no control plane here: `make envtest` obtains one")
    with (
        tempfile.TemporaryDirectory(prefix="capt-envtest-") as name,
        _free_ports(3) as (client, peer, secure),
    ):
        folder = Path(name)
        ca = trustme.CA()
        _write_credentials(folder, ca)
        programs: dict[Part, Program] = {
            "etcd": Program(binaries.etcd, *_etcd_flags(folder, client, peer), folder=folder),
            "kube-apiserver": Program(
                binaries.apiserver, *_apiserver_flags(folder, client, secure), *extra_flags, folder=folder
            ),
            "kube-controller-manager": Program(
                binaries.controller_manager, *_controller_manager_flags(folder), folder=folder
            ),
        }
        plane = ControlPlane(
            url=f"https://127.0.0.1:{secure}",
            etcd_url=f"http://127.0.0.1:{client}",
            folder=folder,
            started_in=0.0,
            _ca=ca,
            _programs=programs,
        )
        (folder / "admin.yaml").write_text(yaml.safe_dump(plane.kubeconfig()))
        began = time.monotonic()
        async with contextlib.AsyncExitStack() as running:
            await running.enter_async_context(programs["etcd"].run())
            await running.enter_async_context(programs["kube-apiserver"].run())
            await plane.ready()
            plane = replace(plane, started_in=time.monotonic() - began)
            await running.enter_async_context(programs["kube-controller-manager"].run())
            yield plane


def _etcd_flags(folder: Path, client: int, peer: int) -> tuple[str, ...]:
    return (
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        "--socket-reuse-port",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
    )


def _apiserver_flags(folder: Path, etcd: int, secure: int) -> tuple[str, ...]:
    return (
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={secure}",
        "--permit-port-sharing",
        f"--tls-cert-file={folder / 'server.crt'}",
        f"--tls-private-key-file={folder / 'server.key'}",
        f"--client-ca-file={folder / 'ca.crt'}",
        f"--service-account-key-file={folder / 'server.key'}",
        f"--service-account-signing-key-file={folder / 'server.key'}",
        "--service-account-issuer=https://envtest.local",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={folder / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        # one file, however long the tests take
        "--audit-log-maxsize=10000",
        # a busy test machine is no reason to make clients wait
        "--enable-priority-and-fairness=false",
    )


def _controller_manager_flags(folder: Path) -> tuple[str, ...]:
    return (
        f"--kubeconfig={folder / 'admin.yaml'}",
        "--controllers=garbage-collector-controller,namespace-controller",
        "--leader-elect=false",
        "--secure-port=0",
    )


def _write_credentials(folder: Path, ca: trustme.CA) -> None:
    ca.cert_pem.write_to_path(str(folder / "ca.crt"))
    # the control plane's own clients ask for "kubernetes.default.svc" and addresses; ours for 127.0.0.1
    server = ca.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc", key_type=trustme.KeyType.RSA)
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    for number, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(str(folder / "server.crt"), append=number > 0)
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Hold free ports that only programs which share ports can listen on, so that nobody takes one while they start."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", 0))
        yield tuple(sock.getsockname()[1] for sock in sockets)
