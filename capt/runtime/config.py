"""Where the API server is, and who we are there.

The only module that knows kubernetes-asyncio. Its loaders understand every way to authenticate (tokens, client
certificates, exec plugins, OIDC, service accounts); nothing else of it is used. Importing it costs half a
second, so that happens when a connection is first made, never to print a help text.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import gc
import importlib
import inspect
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from capt.runtime import exec_plugin, oidc
from capt.runtime.client_tls import ClientTls, Pem
from capt.runtime.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token, CA and namespace."""

_EXPIRY_LEEWAY = timedelta(seconds=60)

FileState = tuple[int, int, int] | None
"""What tells a file from the one that replaces it: inode, time of change, size; ``None`` when there is none."""

_LIBRARY = "kubernetes_asyncio.config.kube_config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An API server with credentials that are good for now.

    Attributes:
        url: scheme, host, port, and path prefix if there is one; no slash at the end.
        headers: returns the headers that authenticate a request. A token file is read again every minute.
        ssl: how to verify the server, and our client certificate; False for plain HTTP.
        certificate: fingerprint of our client certificate, empty without one. A watch does not outlive the one that it
            was opened with.
        server_hostname: the name that the server's certificate must carry, where it is not the URL's.
        proxy: URL of an HTTP proxy, or "".
        expires: when the credentials run out; ``None`` when nobody said.
        files: what they were read from (kubeconfig, token, certificates, authority), with the state of each then.
    """

    url: str
    headers: Callable[[], Awaitable[Mapping[str, str]]]
    ssl: ssl.SSLContext | bool = False
    certificate: bytes = b""
    server_hostname: str = ""
    proxy: str = ""
    expires: datetime | None = None
    files: Mapping[Path, FileState] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Host and port, as metrics show it."""
        return urlsplit(self.url).netloc

    def is_stale(self) -> bool:
        """Tell whether the credentials have run out, or will within a minute."""
        return self.expires is not None and datetime.now(UTC) >= self.expires - _EXPIRY_LEEWAY

    def is_replaced(self) -> bool:
        """Tell whether a file that the credentials came from is another one now; looks at the disk.

        A file that is gone does not count: it is being replaced, and what was read from it still holds.
        """
        return any(_state(file) not in {None, state} for file, state in self.files.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """A way to find and enter a cluster.

    Attributes:
        source: says in a few words where the configuration came from.
        namespace: the context's or the pod's namespace; "default" where none is named.
        connect: loads the credentials: runs the exec plugin, refreshes the token, reads the certificates.
            Called again when they ran out or were refused. Raises :class:`ConfigError`.
    """

    source: str
    namespace: str
    connect: Callable[[], Awaitable[Endpoint]]

    @classmethod
    def from_kubeconfig(cls, path: Path | str, context: str = "") -> ClusterConfig:
        """Use a kubeconfig file, or several joined by colons, of which the first to name a thing wins.

        Args:
            path: the file or files.
            context: name of the context; "" for the file's current one.

        Raises:
            ConfigError: every file is missing or one is unreadable, or the context is not in them.
        """
        files = [Path(part).expanduser() for part in str(path).split(os.pathsep) if part]
        # as kubectl does it: of several files some may be missing, one alone may not
        present = [file for file in files if file.exists()] or files
        kubeconfig = _merged([_read(file) for file in present])
        name, namespace = _check(kubeconfig, context, str(path))

        async def connect() -> Endpoint:
            await _import_library()
            from kubernetes_asyncio.config.kube_config import KubeConfigMerger

            merger = KubeConfigMerger(os.pathsep.join(map(str, files)))
            # an OIDC provider may replace the refresh token when it is used: lost, nobody could log in again
            loader = _loader(merger.config, name, persist=merger.save_changes)
            return await _load(loader, str(path), present)

        return cls(source=f"context {name!r} of {path}", namespace=namespace, connect=connect)

    @classmethod
    def from_dict(cls, kubeconfig: Mapping[str, Any], context: str = "") -> ClusterConfig:
        """Use the content of a kubeconfig.

        Args:
            kubeconfig: as it would stand in the file; paths in it are relative to the working directory.
            context: name of the context; "" for the current one.

        Raises:
            ConfigError: the context is not in it.
        """
        own = copy.deepcopy(dict(kubeconfig))
        name, namespace = _check(own, context, "the kubeconfig")

        async def connect() -> Endpoint:
            await _import_library()
            return await _load(_loader(own, name, persist=lambda: None), "the kubeconfig")

        return cls(source=f"context {name!r}", namespace=namespace, connect=connect)

    @classmethod
    def in_cluster(cls, service_account: Path = SERVICE_ACCOUNT) -> ClusterConfig:
        """Use the service account of the pod that we run in; its token is read again every minute.

        Args:
            service_account: where its files are.

        Raises:
            ConfigError: this is no pod, or it has no service account token.
        """
        if not os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise ConfigError("not in a cluster: KUBERNETES_SERVICE_HOST is not set")
        token = service_account / "token"
        if not token.is_file():
            raise ConfigError(f"no service account: {token} is missing")
        namespace = service_account / "namespace"

        async def connect() -> Endpoint:
            await _import_library()
            from kubernetes_asyncio.client import Configuration
            from kubernetes_asyncio.config import ConfigException
            from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

            configuration = Configuration()
            authority = service_account / "ca.crt"
            try:
                files = _states([token, authority])
                InClusterConfigLoader(str(token), str(authority)).load_and_set(configuration)
                return _endpoint(configuration, ClientTls(authority=authority), expires=None, files=files)
            except (ConfigException, OSError) as error:
                raise ConfigError(f"service account in {service_account}: {error}") from error

        return cls(
            source="the pod's service account",
            namespace=namespace.read_text().strip() if namespace.is_file() else "default",
            connect=connect,
        )

    @classmethod
    def default(cls, context: str = "") -> ClusterConfig:
        """Use what kubectl would.

        That is ``$KUBECONFIG``, else the pod's service account in a pod, else ``~/.kube/config``.

        Args:
            context: name of the context; with it, a kubeconfig is used in a pod too.

        Raises:
            ConfigError: there is none, or it is not usable.
        """
        paths = os.environ.get("KUBECONFIG", "")
        if not paths and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
            return cls.in_cluster()
        return cls.from_kubeconfig(paths or Path.home() / ".kube" / "config", context)


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"there is no kubeconfig {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read kubeconfig {file}: {_one_line(error)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"kubeconfig {file} is no YAML: {_one_line(error)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("clusters"), list | None):
        raise ConfigError(f"{file} is no kubeconfig")
    return content


def _merged(kubeconfigs: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    for kubeconfig in kubeconfigs:
        for section in ("clusters", "contexts", "users"):
            merged[section] += kubeconfig.get(section) or []
        if kubeconfig.get("current-context"):
            merged.setdefault("current-context", kubeconfig["current-context"])
    return merged


def _check(kubeconfig: Mapping[str, Any], context: str, source: str) -> tuple[str, str]:
    """Return name and namespace of the context, if all that it refers to is there."""
    name = context or kubeconfig.get("current-context")
    if not name:
        raise ConfigError(f"{source} names no current context, and none was asked for")
    found = _named(kubeconfig, "contexts", name, source).get("context") or {}
    server = _named(kubeconfig, "clusters", found.get("cluster"), source).get("cluster") or {}
    if not server.get("server"):
        raise ConfigError(f"{source} has no server for cluster {found.get('cluster')!r}")
    if not str(server["server"]).startswith(("https://", "http://")):
        raise ConfigError(
            f"{source}: server {server['server']!r} of cluster {found.get('cluster')!r} begins with neither https:// nor http://"
        )
    if found.get("user") or str(server["server"]).startswith("https"):
        _named(kubeconfig, "users", found.get("user"), source)
    return name, found.get("namespace") or "default"


def _named(kubeconfig: Mapping[str, Any], section: str, name: Any, source: str) -> Mapping[str, Any]:
    entries = [entry for entry in kubeconfig.get(section) or [] if isinstance(entry, dict)]
    for entry in entries:
        if entry.get("name") == name:
            return entry
    known = ", ".join(sorted(str(entry.get("name")) for entry in entries)) or "none"
    raise ConfigError(f"{source} has no {section[:-1]} {name!r} (it has: {known})")


async def _import_library() -> None:
    """Import the client library in a thread: it takes a quarter of a second, for which the loop would stand still."""
    if _LIBRARY in sys.modules:
        return
    # an import makes much and drops nothing: the collector would stop everything to find that out
    collects = gc.isenabled()
    gc.disable()
    try:
        await asyncio.to_thread(importlib.import_module, _LIBRARY)
        # and what was imported stays: it need not be looked through again and again, a tenth of a second each time
        gc.freeze()
    finally:
        if collects:
            gc.enable()


def _loader(kubeconfig: Any, context: str, persist: Callable[[], object]) -> Any:
    from kubernetes_asyncio.config.dateutil import parse_rfc3339
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader

    class Loader(KubeConfigLoader):
        """The library's loader, with our own ways to an ID token (:mod:`capt.runtime.oidc`), to plugins and to certificates.

        The library writes certificates that are data to files, which it leaves behind: see
        :mod:`capt.runtime.client_tls`.
        """

        host: str
        tls_server_name: str | None
        proxy: str | None
        tls = ClientTls()

        async def _load_oid_token(self) -> str:
            user: Any = self._user
            settings = user["auth-provider"]["config"].value
            token = settings.get("id-token", "")
            ends = oidc.expiry(token)
            if not token or (ends is not None and datetime.now(UTC) >= ends - _EXPIRY_LEEWAY):
                settings.update(await oidc.refresh(settings))
                persist()
            self.token = f"Bearer {settings['id-token']}"
            return self.token

        async def load_from_exec_plugin(self) -> bool:
            user: Any = self._user
            status = await exec_plugin.run(user["exec"].value)
            certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
            if not status.get("token") and not (certificate and key):
                raise ConfigError("exec: the plugin gave neither a token nor a certificate with its key")
            if status.get("token"):
                self.token = f"Bearer {status['token']}"
            if certificate and key:
                self.tls = ClientTls(certificate=certificate.encode(), key=key.encode())
            if status.get("expirationTimestamp"):
                self.exec_plugin_expiry = parse_rfc3339(status["expirationTimestamp"])
            return True

        def _load_cluster_info(self) -> None:
            cluster: Any = self._cluster
            self.host = str(cluster["server"])
            self.tls_server_name = cluster.safe_get("tls-server-name")
            self.proxy = cluster.safe_get("proxy-url")
            given = self.tls.certificate is not None
            self.tls = ClientTls(
                authority=self._pem(cluster, "certificate-authority"),
                certificate=self.tls.certificate if given else self._pem(self._user, "client-certificate"),
                key=self.tls.key if given else self._pem(self._user, "client-key"),
                verify=not cluster.safe_get("insecure-skip-tls-verify"),
            )

        def _pem(self, node: Any, name: str) -> Pem:
            if node is None:
                return None
            if data := node.safe_get(f"{name}-data"):
                return _decoded(f"{name}-data", str(data))
            file = node.safe_get(name)
            return Path(self._get_base_path(node.path), file) if file else None

    return Loader(kubeconfig, context, config_base_path=None)


def _decoded(name: str, data: str) -> bytes:
    try:
        # unchecked, a damaged authority would decode to none at all, and every public one would do
        return base64.b64decode("".join(data.split()), validate=True)
    except binascii.Error as error:
        raise ConfigError(f"{name} is no base64: {error}") from error


def _expiry(loader: Any) -> datetime | None:
    if loader.provider == "oidc":
        return oidc.expiry(loader.token)
    expires: datetime | None = getattr(loader, "exec_plugin_expiry", None)
    return expires


async def _load(loader: Any, source: str, kubeconfigs: Iterable[Path] = ()) -> Endpoint:
    from kubernetes_asyncio.client import Configuration

    configuration = Configuration()
    files = _states(kubeconfigs)  # before they are read: what changes meanwhile is read again
    try:
        await loader.load_and_set(configuration)
        files |= _states(loader.tls.files)
        return _endpoint(configuration, loader.tls, expires=_expiry(loader), files=files)
    except Exception as error:
        # the loader lets through whatever its parts raise: a plugin that is not there, a JWT that is none, ...
        raise ConfigError(f"{source}: {_one_line(error)}") from error


def _states(files: Iterable[Path]) -> dict[Path, FileState]:
    return {file: _state(file) for file in files}


def _state(file: Path) -> FileState:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _endpoint(
    configuration: Any, tls: ClientTls, *, expires: datetime | None, files: Mapping[Path, FileState]
) -> Endpoint:
    async def headers() -> Mapping[str, str]:
        token = configuration.get_api_key_with_prefix("BearerToken")
        if inspect.isawaitable(token):
            token = await token
        # a token file often ends with a line end, which no header may hold
        return {"Authorization": token.strip()} if token else {}

    secure = configuration.host.startswith("https")
    return Endpoint(
        url=configuration.host.rstrip("/"),
        headers=headers,
        # before the context is made: of a certificate that is replaced in between, the files tell
        certificate=tls.fingerprint() if secure else b"",
        ssl=tls.context() if secure else False,
        server_hostname=configuration.tls_server_name or "",
        proxy=configuration.proxy or "",
        expires=expires,
        files=files,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
