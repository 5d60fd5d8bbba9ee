"""`python -m capt.manager`: from flags to a Manager with controllers. Composition only.

Everything heavy is imported after the flags are parsed, so that `--help` and a bad flag answer at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from capt import __version__
from capt.errors import StartError

if TYPE_CHECKING:
    from capt.embedded_home import EmbeddedHome
    from capt.runtime import ClusterConfig, Manager

CONTROLLERS = (
    "captcluster",
    "captcontrolplane",
    "captmachine",
    "captmachinedeployment",
    "captmachineset",
    "workspacetemplate",
    "workspacetemplateapply",
)
"""What `--enable-controller` takes one by one."""

GROUPS = {
    "infrastructure": frozenset(CONTROLLERS) - {"captcontrolplane"},
    "control-plane": frozenset({"captcontrolplane"}),
}
"""What `--enable-controller` takes as a name for several: the Go original's names."""

Engine = Literal["external", "terraform", "simulated"]

_REACH_SECONDS = 5.0
_LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_NAMESPACE = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?"
_NAME = r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags, checked. Defaults stand in :func:`parse`."""

    kubeconfig: Path | None
    context: str
    namespace: str
    watch_filter: str
    controllers: frozenset[str]
    engine: Engine | None
    embedded: bool
    data_dir: Path | None
    ephemeral: bool
    leader_elect: bool
    leader_election_id: str
    leader_election_namespace: str
    metrics_bind_address: str
    metrics_secure: bool
    metrics_cert_path: str
    metrics_cert_name: str
    metrics_cert_key: str
    health_probe_bind_address: str
    debug_bind_address: str
    allow_cross_namespace_templates: bool
    log_format: Literal["json", "console"]
    log_level: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the manager until SIGTERM or SIGINT.

    Returns:
        The process's exit code: 0 after an orderly stop, 1 when the manager could not start or a part of it
        failed, 2 for flags that make no sense.
    """
    try:
        return _main(parse(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # before the signal handlers were there
        return 128 + signal.SIGINT


def _main(options: Options) -> int:
    from capt.runtime import ConfigError, configure_logging

    configure_logging(format=options.log_format, level=options.log_level)
    try:
        asyncio.run(_run(options))
    except (StartError, ConfigError) as error:
        return _fail(str(error))
    except ExceptionGroup as group:
        return _fail("; ".join(_leaves(group)))
    return 0


def parse(argv: Sequence[str]) -> Options:
    """Turn flags into options; a bad flag ends the process with one line and exit code 2."""
    parser = _Parser(
        prog="python -m capt.manager",
        description="Cluster API Provider Terraform: controllers that turn machines into Terraform workspaces.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Without --embedded and --kubeconfig: $KUBECONFIG, then in-cluster configuration, then ~/.kube/config.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"capt {__version__}")

    server = parser.add_argument_group("API server")
    server.add_argument(
        "--kubeconfig", type=_path, metavar="FILE", help="kubeconfig of the API server to work against"
    )
    server.add_argument(
        "--context", default="", help="context in the kubeconfig (default: its current-context)"
    )
    server.add_argument("--namespace", default="", help="watch this namespace only (default: all)")
    server.add_argument(
        "--watch-filter",
        default="",
        metavar="VALUE",
        help="mind only objects whose label cluster.x-k8s.io/watch-filter, or that of an object which controls "
        "them, has this value (default: all objects)",
    )

    embedded = parser.add_argument_group("without a cluster")
    embedded.add_argument(
        "--embedded", action="store_true", help="start an API server in this process and work against it"
    )
    embedded.add_argument(
        "--data-dir",
        type=_path,
        metavar="DIR",
        help="where the embedded API server and the built-in engine keep objects and Terraform state "
        "(default: $XDG_STATE_HOME/capt, that is ~/.local/state/capt)",
    )
    embedded.add_argument(
        "--ephemeral",
        action="store_true",
        help="with --embedded: a temporary data directory, removed at exit unless Terraform state in it holds resources",
    )

    control = parser.add_argument_group("controllers")
    control.add_argument(
        "--enable-controller",
        action="append",
        metavar="NAME",
        choices=(*GROUPS, *CONTROLLERS),
        help=f"enable a controller or a group, repeatable (default: all; one of {', '.join((*GROUPS, *CONTROLLERS))})",
    )
    control.add_argument(
        "--workspace-engine",
        choices=("external", "terraform", "simulated"),
        help="who reconciles Workspaces: somebody else's provider, the built-in engine with the terraform or tofu "
        "command, or a simulation that creates nothing (default: external; with --embedded: terraform where the "
        "command is found, else simulated)",
    )
    control.add_argument(
        "--allow-cross-namespace-templates",
        action="store_true",
        help="let a WorkspaceTemplateApply use a template of another namespace without that template's consent",
    )

    election = parser.add_argument_group("leader election")
    election.add_argument(
        "--leader-elect",
        nargs="?",
        const="true",
        default="false",
        metavar="BOOL",
        help="work only while holding a Lease, so that several replicas can run",
    )
    election.add_argument(
        "--leader-election-id",
        default="capt-leader",
        metavar="NAME",
        help="name of the Lease (default: %(default)s)",
    )
    election.add_argument(
        "--leader-election-namespace",
        default="",
        metavar="NS",
        help="namespace of the Lease (default: the pod's, the kubeconfig context's, or default)",
    )

    serving = parser.add_argument_group("serving")
    serving.add_argument(
        "--metrics-bind-address",
        metavar="ADDR",
        help="where /metrics is served, 0 for nowhere (default: :8080; with --embedded: a free port on loopback)",
    )
    serving.add_argument(
        "--metrics-secure",
        nargs="?",
        const="true",
        default="false",
        metavar="BOOL",
        help="serve /metrics over HTTPS, and only to who has a token and a role that allows to read it",
    )
    serving.add_argument(
        "--metrics-cert-path",
        default="",
        metavar="DIR",
        help="folder with the certificate for --metrics-secure, read again when it changes (default: a self-signed one)",
    )
    serving.add_argument(
        "--metrics-cert-name",
        default="tls.crt",
        metavar="FILE",
        help="certificate in that folder (default: %(default)s)",
    )
    serving.add_argument(
        "--metrics-cert-key",
        default="tls.key",
        metavar="FILE",
        help="key in that folder (default: %(default)s)",
    )
    serving.add_argument(
        "--debug-bind-address",
        default="0",
        metavar="ADDR",
        help="where /debug shows caches, queues, reconciles and tasks, on loopback only (default: nowhere)",
    )
    serving.add_argument(
        "--health-probe-bind-address",
        metavar="ADDR",
        help="where /healthz and /readyz are served, 0 for nowhere "
        "(default: :8081; with --embedded: a free port on loopback)",
    )

    logs = parser.add_argument_group("logs")
    logs.add_argument(
        "--log-format", choices=("json", "console"), help="default: console on a terminal, else json"
    )
    logs.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="default: %(default)s",
    )
    return _checked(parser, parser.parse_args(argv))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"capt: {message} (--help lists the flags)\n")


def _checked(parser: _Parser, flags: argparse.Namespace) -> Options:
    if flags.embedded and (flags.kubeconfig or flags.context):
        parser.error("--embedded starts its own API server: it does not go with --kubeconfig or --context")
    if flags.ephemeral and not flags.embedded:
        parser.error("--ephemeral goes with --embedded only")
    if flags.ephemeral and flags.data_dir:
        parser.error("--ephemeral uses a temporary directory: it does not go with --data-dir")
    for flag in ("leader_elect", "metrics_secure"):
        if (value := getattr(flags, flag)) not in ("true", "false"):
            parser.error(f"--{flag.replace('_', '-')}: {value!r} is neither true nor false")
    if flags.metrics_cert_path and flags.metrics_secure != "true":
        parser.error("--metrics-cert-path goes with --metrics-secure only")
    for flag, form, what in (
        ("watch_filter", _LABEL_VALUE, "value of a label"),
        ("namespace", _NAMESPACE, "name of a namespace"),
        ("leader_election_namespace", _NAMESPACE, "name of a namespace"),
        ("leader_election_id", _NAME, "name of a Lease"),
    ):
        if not re.fullmatch(form, value := getattr(flags, flag)):
            parser.error(f"--{flag.replace('_', '-')}: {value!r} is no {what}")
    for flag in ("metrics_bind_address", "health_probe_bind_address", "debug_bind_address"):
        if (address := getattr(flags, flag)) is not None and not _is_bind_address(address):
            parser.error(f"--{flag.replace('_', '-')}: {address!r} is not HOST:PORT, :PORT or 0")
    if flags.debug_bind_address not in ("0", "") and not _is_loopback(flags.debug_bind_address):
        parser.error(
            f"--debug-bind-address: {flags.debug_bind_address!r} is not on loopback, as 127.0.0.1:PORT is"
        )
    chosen = flags.enable_controller or [*GROUPS]
    return Options(
        kubeconfig=flags.kubeconfig,
        context=flags.context,
        namespace=flags.namespace,
        watch_filter=flags.watch_filter,
        controllers=frozenset().union(*(GROUPS.get(name, {name}) for name in chosen)),
        engine=flags.workspace_engine,
        embedded=flags.embedded,
        data_dir=flags.data_dir,
        ephemeral=flags.ephemeral,
        leader_elect=flags.leader_elect == "true",
        leader_election_id=flags.leader_election_id,
        leader_election_namespace=flags.leader_election_namespace,
        metrics_bind_address=_address(
            flags.metrics_bind_address, "127.0.0.1:0" if flags.embedded else ":8080"
        ),
        metrics_secure=flags.metrics_secure == "true",
        metrics_cert_path=flags.metrics_cert_path,
        metrics_cert_name=flags.metrics_cert_name,
        metrics_cert_key=flags.metrics_cert_key,
        debug_bind_address=flags.debug_bind_address,
        health_probe_bind_address=_address(
            flags.health_probe_bind_address, "127.0.0.1:0" if flags.embedded else ":8081"
        ),
        allow_cross_namespace_templates=flags.allow_cross_namespace_templates,
        log_format=flags.log_format or ("console" if sys.stderr.isatty() else "json"),
        log_level=flags.log_level,
    )


def _path(given: str) -> Path | None:
    # empty, as a template leaves it where a value is missing, is not the working directory
    return Path(given) if given else None


def _address(given: str | None, default: str) -> str:
    # "" is an answer: serve nowhere
    return default if given is None else given


def _is_bind_address(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    return address in ("0", "") or (
        bool(colon) and port.isdecimal() and int(port) < 65536 and " " not in host
    )


def _is_loopback(address: str) -> bool:
    # as capt.runtime.debug has it; that is too heavy to import before the flags are known to be right
    import ipaddress

    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        if not options.embedded:
            config = _cluster(options)
            await _reach(config)
            engine = options.engine or "external"
            await compose(
                config, options, engine=engine, data_dir=options.data_dir or default_data_dir()
            ).run(stop)
            return
        try:
            from capt.embedded_home import embedded_home
        except ModuleNotFoundError as error:
            raise StartError(f"--embedded needs {error.name}: pip install 'capt[embedded]'") from error

        data_dir = None if options.ephemeral else options.data_dir or default_data_dir()
        async with embedded_home(data_dir) as home:
            engine = options.engine or _installed_engine()
            manager = compose(home.config, options, engine=engine, data_dir=home.data_dir)
            _greet(home, engine)
            await manager.run(stop)


def compose(config: ClusterConfig, options: Options, *, engine: Engine, data_dir: Path) -> Manager:
    """Return a manager with the controllers and the engine that the options ask for, ready to run."""
    from capt import controllers
    from capt.runtime import Manager, ManagerOptions

    manager = Manager(
        config,
        ManagerOptions(
            metrics_bind_address=options.metrics_bind_address,
            metrics_secure=options.metrics_secure,
            metrics_cert_path=options.metrics_cert_path,
            metrics_cert_name=options.metrics_cert_name,
            metrics_cert_key=options.metrics_cert_key,
            health_probe_bind_address=options.health_probe_bind_address,
            debug_bind_address=options.debug_bind_address,
            leader_elect=options.leader_elect,
            leader_election_id=options.leader_election_id,
            leader_election_namespace=options.leader_election_namespace,
            namespace=options.namespace,
        ),
    )
    controllers.add_to(
        manager,
        enabled=options.controllers,
        cross_namespace=options.allow_cross_namespace_templates,
        watch_filter=options.watch_filter,
    )
    if engine != "external":
        from capt import terraform

        try:
            terraform.add_to(manager, engine=engine, data_dir=data_dir)
        except terraform.CliNotFoundError as error:
            raise StartError(f"--workspace-engine {engine}: {error}") from error
        except OSError as error:
            raise StartError(
                f"--data-dir {data_dir}: {error.filename or data_dir}: {error.strerror}"
            ) from error
    return manager


def default_data_dir() -> Path:
    """Return the folder for state of this user: `$XDG_STATE_HOME/capt`, by default `~/.local/state/capt`."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "capt"


def _cluster(options: Options) -> ClusterConfig:
    from capt.runtime import ClusterConfig

    if options.kubeconfig:
        return ClusterConfig.from_kubeconfig(options.kubeconfig, options.context)
    return ClusterConfig.default(options.context)


async def _reach(config: ClusterConfig) -> None:
    """Ask for what only known users may ask, so that a wrong address or credential is one line, not a retry loop."""
    from capt.runtime import ApiError, ConnectionFailed, HttpTransport, RequestTimeout, raise_for_status

    try:
        async with HttpTransport(config) as transport:
            raise_for_status(await transport.request("GET", "/api", timeout=_REACH_SECONDS))
    except (ConnectionFailed, RequestTimeout) as error:
        raise StartError(f"cannot reach the API server of {config.source}: {error}") from error
    except ApiError as error:
        raise StartError(
            f"the API server of {config.source} answered {error.status} {error.message}"
        ) from error


def _installed_engine() -> Engine:
    from capt.terraform import find_cli

    return "terraform" if find_cli() else "simulated"


def _greet(home: EmbeddedHome, engine: Engine) -> None:
    import shlex

    from capt.assets import manifests
    from capt.embedded_home import say

    # to be pasted into a shell: a folder's name may hold spaces
    kubectl = f"kubectl --kubeconfig {shlex.quote(str(home.kubeconfig))}"
    say(
        f"capt {__version__} with an API server at {home.url}",
        f"engine:     {engine}",
        f"data:       {home.data_dir}",
        f"kubeconfig: {home.kubeconfig}",
        f"try:        {kubectl} apply -f {shlex.quote(str(manifests() / 'samples'))}",
        f"            {kubectl} get cluster-api,workspaces -w",
    )


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or SIGINT; end the process at the second."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        elif isinstance(error, OSError) and error.strerror:
            yield error.strerror  # a number in brackets helps nobody
        else:
            yield str(error) or type(error).__name__


def _fail(message: str) -> int:
    print(f"capt: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
