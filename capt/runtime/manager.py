"""Starts everything in order, stops it in the reverse order, and fails as a whole.

The parts are nested, so that the order is the structure of the code and nothing outlives what it needs::

    serving            metrics and probes answer from the first moment to the last
      event recorder   written out after everything that records has ended
        caches         warm on standbys too: a new leader starts from memory
          non-leader   controllers and runnables that run on every replica
            leader     those that run on one; with leader election, once per term

A stop lets reconciles that are running finish, for at most ``graceful_shutdown`` seconds. A part that fails
stops the others in the same orderly way, and its error comes out of :meth:`Manager.run`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from capt.runtime.client import Client
from capt.runtime.clock import Clock, SystemClock, Timer, timeout
from capt.runtime.config import ClusterConfig
from capt.runtime.controller import Controller, Watch
from capt.runtime.debug import debug_app, parse_loopback_address
from capt.runtime.delegated_auth import RIGHTS as AUTH_RIGHTS
from capt.runtime.delegated_auth import DelegatedAuth, guarded
from capt.runtime.event import Event
from capt.runtime.fence import FencedTransport, refuse_late_write
from capt.runtime.informer import Informers
from capt.runtime.leader_election import LeaderElector, LeaseOptions, new_identity
from capt.runtime.logging import get_logger
from capt.runtime.metrics import Metrics
from capt.runtime.race import unless
from capt.runtime.reconcile_loop import ReconcileLoop, one_line
from capt.runtime.recorder import RIGHTS as EVENT_RIGHTS
from capt.runtime.recorder import EventSink, Recorder
from capt.runtime.rights import Right
from capt.runtime.serving import health_app, metrics_app, parse_bind_address, serve
from capt.runtime.serving_certificate import ServingCertificate, self_signed
from capt.runtime.transport import HttpTransport, Transport
from capt.runtime.watch_handle import WatchHandle

_FLUSH_SECONDS = 1.0
_LAG_SECONDS = 0.5
_FIRST_REPORT_SECONDS = 1.0
_REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerOptions:
    """How a manager runs; the defaults are controller-runtime's, but for the probes, which are off there.

    Attributes:
        metrics_bind_address: where ``/metrics`` is served: ``:8080``, ``127.0.0.1:0``; ``0`` or "" for nowhere.
        metrics_secure: serve ``/metrics`` over HTTPS, and only to those whose token the API server knows and whose roles
            allow them to read it.
        metrics_cert_path: folder with the certificate for that, read again when it changes; "" for a self-signed one.
        metrics_cert_name: its file in that folder.
        metrics_cert_key: the file of its key.
        health_probe_bind_address: where ``/healthz`` and ``/readyz`` are served, likewise.
        debug_bind_address: where ``/debug`` is served, on loopback only; ``0`` or "" for nowhere.
        leader_elect: run leader controllers only while holding a lease.
        leader_election_id: name of the Lease.
        leader_election_namespace: of the Lease; "" for the pod's or the context's namespace.
        lease_duration: seconds that rivals wait for a silent leader.
        renew_deadline: seconds after which a leader that cannot renew stops.
        retry_period: seconds between renewals.
        namespace: the only namespace to watch; "" for all.
        graceful_shutdown: seconds that running reconciles may take to finish after a stop; 0 cancels them at once,
            a negative number waits for ever.
        identity: of this process in the Lease and in events; "" for ``<hostname>_<uuid>``.
    """

    metrics_bind_address: str = ":8080"
    metrics_secure: bool = False
    metrics_cert_path: str = ""
    metrics_cert_name: str = "tls.crt"
    metrics_cert_key: str = "tls.key"
    health_probe_bind_address: str = ":8081"
    debug_bind_address: str = "0"
    leader_elect: bool = False
    leader_election_id: str = "capt-leader"
    leader_election_namespace: str = ""
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    namespace: str = ""
    graceful_shutdown: float = 30.0
    identity: str = ""


@dataclass(frozen=True, slots=True)
class _Runnable:
    name: str
    run: Callable[[], Awaitable[None]]
    leader: bool


class Manager:
    """Owns caches, client, metrics, servers, and runs controllers.

    Starts and stops in controller-runtime's order. Unlike that, a lost lease ends the leader's work and not the process:
    it campaigns again. It does not catch signals: set the event given to :meth:`run` from a handler of yours.

    Args:
        config: the cluster; may be ``None`` where a transport is given.
        options: how to run; :class:`ManagerOptions` with its defaults when there are none.
        clock: where time comes from; the system's by default.
        transport: used in the place of one made from ``config``, and not closed; tests inject faults with it.

    Attributes:
        client: reads from the caches, writes to the API server.
        informers: the caches.
        clock: where time comes from.
        metrics: the registry for metrics of one's own, and the runtime's.

    Raises:
        ValueError: an option makes no sense.
    """

    def __init__(
        self,
        config: ClusterConfig | None,
        options: ManagerOptions | None = None,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
    ) -> None:
        if config is None and transport is None:
            raise ValueError("a manager needs a cluster configuration or a transport")
        self._options = options = options or ManagerOptions()
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self._own_transport: HttpTransport | None = None
        if transport is None:
            assert config is not None
            transport = self._own_transport = HttpTransport(
                config, on_request=self.metrics.rest_request, before_send=refuse_late_write
            )
        self._servers = {
            "metrics": parse_bind_address(options.metrics_bind_address),
            "probes": parse_bind_address(options.health_probe_bind_address),
            "debug": parse_loopback_address(options.debug_bind_address),
        }
        self._certificate: ServingCertificate | None = None
        if options.metrics_secure and options.metrics_cert_path:
            folder = Path(options.metrics_cert_path)
            self._certificate = ServingCertificate(
                folder / options.metrics_cert_name,
                folder / options.metrics_cert_key,
                clock=self.clock,
                reads=self.metrics.certificate_reads,
                errors=self.metrics.certificate_errors,
            )
        self._auth = DelegatedAuth(transport, self.clock)
        self._loops: dict[str, ReconcileLoop] = {}
        identity = options.identity or new_identity()
        self._elector: LeaderElector | None = None
        # what a leader's controllers send passes a fence that closes when its time is over
        self._transport: Transport = FencedTransport(transport) if options.leader_elect else transport
        if options.leader_elect:
            lease = LeaseOptions(
                namespace=options.leader_election_namespace or (config.namespace if config else "default"),
                name=options.leader_election_id,
                identity=identity,
                lease_duration=options.lease_duration,
                renew_deadline=options.renew_deadline,
                retry_period=options.retry_period,
            )
            self._elector = LeaderElector(
                self._own_transport.reserved() if self._own_transport else transport,
                lease,
                clock=self.clock,
                metrics=self.metrics.leader(lease.name),
            )
        self.informers = Informers(
            transport, clock=self.clock, metrics=self.metrics, namespace=options.namespace
        )
        self.client = Client(self._transport, self.informers, clock=self.clock)
        self._events = EventSink(transport, clock=self.clock, instance=identity)
        self._controllers: list[Controller] = []
        self._runnables: list[_Runnable] = []
        self._addresses: dict[str, str] = {}
        self._handles: list[tuple[WatchHandle, bool]] = []  # with: is it required?
        self._started = False
        self._watching = asyncio.Event()
        self._leading = asyncio.Event()
        self._stopping = asyncio.Event()
        self._grace: Timer | None = None
        self._running: dict[asyncio.Task[Any], str] = {}
        self._failures: list[Exception] = []
        self._log = get_logger()

    def client_as(self, user_agent: str) -> Client:
        """Return a client that shares caches and connections, and tells the API server ``user_agent`` as its name."""
        return self.client.with_user_agent(user_agent)

    def recorder(self, component: str, *, user_agent: str = "") -> Recorder:
        """Return a recorder of events in the name of ``component``.

        Args:
            component: who tells them.
            user_agent: what audit logs show for these events; "" for the manager's own.
        """
        return Recorder(self._events, component, count=self.metrics.event, user_agent=user_agent)

    def add(self, controller: Controller) -> None:
        """Run a controller.

        Raises:
            ValueError: another has its name.
            RuntimeError: the manager has started.
        """
        self._check_name(controller.name)
        self._controllers.append(controller)

    def add_runnable(self, name: str, run: Callable[[], Awaitable[None]], *, leader: bool = True) -> None:
        """Run anything else beside the controllers.

        Args:
            name: for logs and errors, unique.
            run: runs until cancelled, which a stop does; once per term, when it needs leadership.
            leader: run only while this process leads.

        Raises:
            ValueError: another has the name.
            RuntimeError: the manager has started.
        """
        self._check_name(name)
        self._runnables.append(_Runnable(name, run, leader))

    @property
    def rights(self) -> tuple[Right, ...]:
        """What controllers and event recorder need at the API server; leader election needs its own beside them."""
        own = (*EVENT_RIGHTS, *(AUTH_RIGHTS if self._options.metrics_secure else ()))
        return (*own, *(right for each in self._controllers for right in each.all_rights))

    @property
    def addresses(self) -> Mapping[str, str]:
        """``host:port`` of the servers that are up: ``metrics``, ``probes``, ``debug``."""
        return MappingProxyType(self._addresses)

    @property
    def ready(self) -> bool:
        """Whether all required caches are in sync, as ``/readyz`` tells; a standby is ready too."""
        return not self._unready()

    async def wait_ready(self) -> None:
        """Return when all required caches are in sync."""
        await self._watching.wait()
        for handle, required in self._handles:
            if required:
                await handle.wait_synced()

    @property
    def leading(self) -> bool:
        """Whether the leader's controllers run here; without leader election, whether they run."""
        return self._leading.is_set() and (self._elector is None or self._elector.leading)

    async def wait_leading(self) -> None:
        """Return when the leader's controllers run here."""
        await self._leading.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Run everything until ``stop`` is set or a part fails; when it returns, nothing of it runs any more.

        Raises:
            ExceptionGroup: parts that failed, or that did not end in time; each with a note that names it.
            RuntimeError: it has been run before.
        """
        if self._started:
            raise RuntimeError("this manager has been started already")
        self._started = True
        try:
            await self._run(stop)
        except ExceptionGroup as group:
            self._failures.extend(_leaves(group))
        except Exception as error:  # noqa: BLE001 - joins those that parts failed with, below
            self._failures.append(error)
        finally:
            if self._grace is not None:
                self._grace.cancel()
            if self._own_transport is not None:
                await self._own_transport.close()
        if self._failures:
            reasons = "; ".join(" ".join([one_line(error), *_notes(error)]) for error in self._failures)
            raise ExceptionGroup(f"the manager stopped: {reasons}", self._failures)

    async def _run(self, stop: asyncio.Event) -> None:
        async with self._serving(), asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._follow(stop), name="stop"),
                tasks.create_task(self._measure_lag(), name="event loop lag"),
                tasks.create_task(self._guard("event recorder", self._events.run), name="event recorder"),
            ]
            if self._certificate is not None:
                background.append(tasks.create_task(self._certificate.run(), name="certificate"))
            async with self.informers, AsyncExitStack() as watches:
                await self._watch_all(watches)
                background.append(tasks.create_task(self._report_readiness(), name="readiness"))
                # no reconcile before every cache is full, or known to wait for a kind that is not served
                await unless(self._stopping, self._settled())
                await self._run_others()
            await self._events.flush(_FLUSH_SECONDS)
            for task in background:
                task.cancel()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        guards = (guarded(self._auth),) if self._options.metrics_secure else ()
        apps = {
            "metrics": metrics_app(self.metrics, *guards),
            "probes": health_app({"/healthz": {"ping": lambda: ""}, "/readyz": {"caches": self._unready}}),
            "debug": debug_app(self.informers, lambda: self._loops),
        }
        async with AsyncExitStack() as servers:
            for name, address in self._servers.items():
                if address is not None:
                    tls = await self._metrics_tls() if name == "metrics" else None
                    self._addresses[name] = await servers.enter_async_context(serve(apps[name], address, tls))
                    self._log.info("serving", what=name, address=self._addresses[name])
            yield
        self._addresses.clear()

    async def _metrics_tls(self) -> ssl.SSLContext | None:
        if not self._options.metrics_secure:
            return None
        if self._certificate is not None:
            return self._certificate.context
        return await asyncio.to_thread(self_signed, "localhost", socket.gethostname())

    async def _watch_all(self, watches: AsyncExitStack) -> None:
        """Hold a handle on everything that controllers watch, so that caches stay warm between terms."""
        watches_of_all = [watch for controller in self._controllers for watch in controller.watches]
        # a watch of everything serves the narrower ones of its kind too, if it comes first
        for watch in sorted(watches_of_all, key=_narrowness):
            for handle in await watch.open(self.informers, _ignore):
                watches.push_async_callback(handle.close)
                self._handles.append((handle, not watch.optional))
        self._watching.set()

    async def _settled(self) -> None:
        for handle, _ in self._handles:
            await handle.wait_settled()

    async def _run_others(self) -> None:
        """Run what runs on every replica, around what runs on the leader."""
        leader_ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_members(leader=False, stop=leader_ended), name="non-leader")
            try:
                if self._elector is None:
                    await self._lead()
                else:
                    elect = partial(self._elector.run, self._lead, self._stopping)
                    await self._guard("leader election", elect)
                    await self._stopping.wait()
            finally:
                leader_ended.set()

    async def _lead(self) -> None:
        self._leading.set()
        try:
            await self._run_members(leader=True, stop=self._stopping)
        finally:
            self._leading.clear()

    async def _run_members(self, *, leader: bool, stop: asyncio.Event) -> None:
        """Run controllers and runnables until told to stop; returns when they have ended."""
        loops: list[ReconcileLoop] = []
        runnables: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:
            for controller in self._controllers:
                if controller.leader is leader:
                    loop = ReconcileLoop(
                        controller, informers=self.informers, clock=self.clock, metrics=self.metrics
                    )
                    loops.append(loop)
                    group.create_task(
                        self._guard(
                            f"controller {controller.name}", partial(self._run_loop, controller.name, loop)
                        ),
                        name=controller.name,
                    )
            for runnable in self._runnables:
                if runnable.leader is leader:
                    task = group.create_task(
                        self._guard(f"runnable {runnable.name}", runnable.run), name=runnable.name
                    )
                    runnables.append(task)
            await stop.wait()
            for loop in loops:
                loop.stop()
            for task in runnables:
                task.cancel()

    async def _run_loop(self, name: str, loop: ReconcileLoop) -> None:
        self._loops[name] = loop
        try:
            await loop.run()
        finally:
            del self._loops[name]

    async def _guard(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a part; its failure stops the manager instead of cancelling its neighbours."""
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = name
        try:
            await work()  # not before: a task that is cancelled before its first step awaits nothing
        except Exception as error:  # noqa: BLE001 - run() raises it, after everything has stopped in order
            self._fail(name, error)
        finally:
            del self._running[task]

    def _fail(self, name: str, error: Exception) -> None:
        for leaf in _leaves(error):
            leaf.add_note(f"(in {name})")
            self._failures.append(leaf)
        self._log.error("a part failed, stopping", part=name, error=one_line(error))
        self._begin_stop()

    async def _follow(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._log.info("stopping")
        self._begin_stop()

    def _begin_stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._options.graceful_shutdown >= 0:
            self._grace = self.clock.call_later(self._options.graceful_shutdown, self._force_stop)

    def _force_stop(self) -> None:
        names = sorted(
            name for name in self._running.values() if name not in {"event recorder", "leader election"}
        )
        grace = self._options.graceful_shutdown
        if names and grace > 0:
            message = f"still running {grace:g} s after the stop, and cancelled: {', '.join(names)}"
            self._failures.append(TimeoutError(message))
        for task, name in self._running.items():
            if name in names:
                task.cancel()

    def _unready(self) -> str:
        if not self._watching.is_set():
            return "starting"
        if self._stopping.is_set():
            return "stopping"
        return "; ".join(self.informers.unsynced())

    async def _report_readiness(self) -> None:
        """Tell the log what the start waits for, and when it waits no more."""
        told = ""
        patience = _FIRST_REPORT_SECONDS
        while True:
            try:
                async with timeout(self.clock, patience):
                    await self.wait_ready()
            except TimeoutError:
                waiting = self._unready()
                if waiting and waiting != told:
                    self._log.warning("not ready", waiting_for=waiting)
                told, patience = waiting, _REPORT_SECONDS
            else:
                self._log.info("ready")
                return

    async def _measure_lag(self) -> None:
        while True:
            asleep = self.clock.monotonic()
            await self.clock.sleep(_LAG_SECONDS)
            self.metrics.loop_lag.observe(max(0.0, self.clock.monotonic() - asleep - _LAG_SECONDS))

    def _check_name(self, name: str) -> None:
        if self._started:
            raise RuntimeError(f"{name!r} cannot be added: the manager has started")
        if name in {controller.name for controller in self._controllers} | {r.name for r in self._runnables}:
            raise ValueError(f"there is a controller or runnable named {name!r} already")


def _narrowness(watch: Watch) -> int:
    return sum(
        map(bool, (watch.namespaces, watch.labels, watch.fields, watch.metadata_only, watch.transform))
    )


def _ignore(_event: Event) -> None:
    """Take an event for a handle that only keeps a cache alive."""


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _notes(error: Exception) -> list[str]:
    return getattr(error, "__notes__", [])
