"""The reconcile loop: what becomes of events, results and errors."""

import asyncio
import contextlib
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import structlog

from capt.runtime import (
    After,
    Backoff,
    CacheLagError,
    Conflict,
    Controller,
    Done,
    Informers,
    Metrics,
    NamespaceTerminating,
    Request,
    ServerError,
    TerminalError,
    TooManyRequests,
    TransientError,
    watch_mapped,
    watch_owned,
    watch_self,
)
from capt.runtime.backoff import ItemBackoff
from capt.runtime.reconcile_loop import ReconcileLoop
from capt.runtime.testing import FakeClock, settle
from tests.support.memory_api import MemoryApi
from tests.support.things import PART, THING, controlled_by, key


@dataclass
class Script:
    """A reconciler that does as told: outcomes by name, in turn, the last for ever; Done without any."""

    outcomes: dict[str, list[object]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    active: Counter = field(default_factory=Counter)
    most_active: int = 0
    gate: asyncio.Event | None = None

    async def reconcile(self, request):
        self.requests.append(request)
        self.active[request.name] += 1
        assert self.active[request.name] == 1, "two reconciles of one key"
        self.most_active = max(self.most_active, self.active.total())
        try:
            if self.gate is not None:
                await self.gate.wait()
            turns = self.outcomes.get(request.name) or [Done()]
            outcome = turns.pop(0) if len(turns) > 1 else turns[0]
            if callable(outcome):
                outcome = await outcome()
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            self.active[request.name] -= 1

    def calls(self, name):
        return sum(request.name == name for request in self.requests)


@dataclass
class Harness:
    clock: FakeClock
    api: MemoryApi
    script: Script
    metrics: Metrics
    informers: Informers
    loop: ReconcileLoop
    task: asyncio.Task

    def value(self, name, **labels):
        queue = {"name": "c"} if name.startswith("workqueue_") else {}
        return self.metrics.registry.get_sample_value(name, {"controller": "c", **queue, **labels})

    def put(self, name, **fields):
        self.api.put("things", "ns", name, apiVersion="test.dev/v1", **fields)


@asynccontextmanager
async def running(script, *, api=None, watches=None, **options):
    clock, api, metrics = FakeClock(), api or MemoryApi("things", "parts"), Metrics()
    controller = Controller(name="c", reconciler=script, watches=watches or (watch_self(THING),), **options)
    async with Informers(api, clock=clock, metrics=metrics) as informers:
        loop = ReconcileLoop(controller, informers=informers, clock=clock, metrics=metrics)
        task = asyncio.create_task(loop.run())
        await settle()
        yield Harness(clock, api, script, metrics, informers, loop, task)
        loop.stop()
        if not task.cancelled():
            await task


class BrokenLogger:
    """Writes to a disk that is full."""

    def bind(self):
        return self

    def debug(self, event, **details):
        raise OSError("no space left on device")

    warning = error = debug


class PickyLogger:
    """Cannot show a traceback."""

    def __init__(self):
        self.lines = []

    def bind(self):
        return self

    def debug(self, event, **details):
        if details.get("exc_info"):
            raise UnicodeEncodeError("ascii", "ü", 0, 1, "not in range")
        self.lines.append((event, details))

    warning = error = debug


class TestEvents:
    async def test_every_object_is_reconciled_once_at_the_start(self):
        """The initial list makes one reconcile per object."""
        api = MemoryApi("things")
        for name in "abc":
            api.put("things", "ns", name)
        async with running(Script(), api=api) as h:
            assert sorted(r.name for r in h.script.requests) == ["a", "b", "c"]
            assert h.script.requests[0].reasons == {"Thing added"}
            assert h.script.requests[0].key == key(h.script.requests[0].name)

    async def test_changes_and_deletions_are_reconciled(self):
        """The reasons say what happened."""
        async with running(Script()) as h:
            h.put("a")
            await settle()
            h.put("a", spec={"n": 1})
            await settle()
            h.api.drop("things", "ns", "a")
            await settle()
            assert [set(r.reasons) for r in h.script.requests] == [
                {"Thing added"},
                {"Thing modified"},
                {"Thing deleted"},
            ]

    async def test_inv_110_an_object_that_changes_owner_reaches_both(self):
        """Old and new owners are reconciled, each once."""
        async with running(Script(), watches=(watch_self(THING), watch_owned(PART, THING))) as h:
            h.api.put("parts", "ns", "p", metadata={"ownerReferences": controlled_by(THING, "x")})
            await settle()
            h.api.put("parts", "ns", "p", metadata={"ownerReferences": controlled_by(THING, "y")})
            await settle()
            assert [r.name for r in h.script.requests] == ["x", "x", "y"]
            assert h.script.requests[-1].reasons == {"Part modified"}

    async def test_mapped_keys_are_deduplicated(self):
        """A mapping that names a key twice, for old and new object, makes one reconcile."""
        watch = watch_mapped(PART, lambda obj: [key("x"), key("x")], reason="part")
        async with running(Script(), watches=(watch_self(THING), watch)) as h:
            h.api.put("parts", "ns", "p")
            await settle()
            h.api.put("parts", "ns", "p", spec={"n": 1})
            await settle()
            assert h.script.calls("x") == 2
            assert h.value("capt_reconcile_reasons_total", reason="part modified") == 1

    async def test_a_predicate_drops_events(self):
        """What a predicate refuses is never reconciled."""
        async with running(Script(), watches=(watch_self(THING, predicate=lambda event: False),)) as h:
            h.put("a")
            await settle()
            assert h.script.requests == []

    async def test_inv_042_nothing_is_reconciled_before_all_caches_are_full(self):
        """While a required kind is not served, no reconcile starts; when it appears, all do."""
        api = MemoryApi("things")
        api.put("things", "ns", "a")
        async with running(Script(), api=api, watches=(watch_self(THING), watch_owned(PART, THING))) as h:
            await h.clock.advance(30)
            assert h.script.requests == []
            api.served.add("parts")
            await h.clock.advance(10)
            assert h.script.calls("a") == 1

    async def test_a_missing_optional_kind_holds_nothing_back(self):
        """It comes later, without a restart."""
        api = MemoryApi("things")
        api.put("things", "ns", "a")
        watches = (watch_self(THING), watch_owned(PART, THING, optional=True))
        async with running(Script(), api=api, watches=watches) as h:
            assert h.script.calls("a") == 1
            api.served.add("parts")
            api.put("parts", "ns", "p", metadata={"ownerReferences": controlled_by(THING, "a")})
            await h.clock.advance(10)
            assert h.script.calls("a") == 2

    async def test_inv_051_a_stop_while_waiting_for_caches_is_no_error(self):
        """A controller that never got to work ends cleanly."""
        async with running(Script(), api=MemoryApi()) as h:
            assert not h.task.done()

    async def test_controllers_may_share_a_kind_out_by_selectors(self):
        """Where no cache holds all objects of a kind, each controller reconciles those that it watches."""
        scripts = {"a": Script(), "b": Script()}
        clock, api, metrics = FakeClock(), MemoryApi("things"), Metrics()
        async with Informers(api, clock=clock, metrics=metrics) as informers, asyncio.TaskGroup() as tasks:
            loops = []
            for name, script in scripts.items():
                api.put("things", "ns", name, apiVersion="test.dev/v1")
                watch = replace(watch_self(THING), fields=f"metadata.name={name}")
                controller = Controller(name=name, reconciler=script, watches=(watch,))
                loops.append(ReconcileLoop(controller, informers=informers, clock=clock, metrics=metrics))
                tasks.create_task(loops[-1].run())
            await settle()
            for loop in loops:
                loop.stop()
        assert {name: [each.name for each in script.requests] for name, script in scripts.items()} == {
            "a": ["a"],
            "b": ["b"],
        }

    async def test_initial_objects_give_way_to_changes(self):
        """A change is reconciled before the rest of the initial list."""
        api = MemoryApi("things")
        for number in range(5):
            api.put("things", "ns", f"initial-{number}")
        script = Script(gate=asyncio.Event())
        async with running(script, api=api, workers=1) as h:
            h.put("urgent")
            await settle()
            script.gate.set()
            await settle()
            assert [r.name for r in script.requests][1] == "urgent"


class TestResults:
    async def test_inv_046_after_is_exact_and_resets_the_backoff(self):
        """The key comes back at the very time, and earlier failures are forgotten."""
        script = Script(
            {"a": [ServerError("x"), ServerError("x"), After(7, "rollout"), ServerError("x"), Done()]}
        )
        async with running(script, backoff=Backoff(base=1, cap=100)) as h:
            h.put("a")
            await h.clock.advance(3)
            assert script.calls("a") == 3
            await h.clock.advance(6.9)
            assert script.calls("a") == 3
            await h.clock.advance(0.1)
            assert script.calls("a") == 4
            assert script.requests[-1].reasons == {"after: rollout"}
            await h.clock.advance(1)
            assert script.calls("a") == 5
            assert h.value("capt_reconcile_reasons_total", reason="after") == 1

    async def test_an_event_overtakes_after(self):
        """A change during the wait is reconciled at once, and the wait does not add another reconcile."""
        async with running(Script({"a": [After(60), Done()]})) as h:
            h.put("a")
            await settle()
            h.put("a", spec={"n": 1})
            await h.clock.advance(100)
            assert h.script.calls("a") == 2

    async def test_inv_043_an_error_is_retried_with_backoff_while_others_flow(self):
        """One key's failures delay that key only."""
        script = Script({"bad": [ServerError("x")]})
        async with running(script, backoff=Backoff(base=1, factor=2, cap=4), workers=1) as h:
            h.put("bad")
            await settle()
            h.put("good")
            await settle()
            assert script.calls("good") == 1
            times = []
            for _ in range(20):
                before = script.calls("bad")
                await h.clock.advance(1)
                if script.calls("bad") > before:
                    times.append(h.clock.monotonic())
            assert times == [1, 3, 7, 11, 15, 19]
            assert script.requests[-1].reasons == {"retry"}

    async def test_inv_044_a_terminal_error_waits_for_a_change(self):
        """One call, no retry, its own counter; a change of the object starts over."""
        script = Script({"a": [TerminalError("bad spec")]})
        async with running(script) as h:
            h.put("a")
            await h.clock.advance(10_000)
            assert script.calls("a") == 1
            assert h.value("controller_runtime_terminal_reconcile_errors_total") == 1
            assert h.value("controller_runtime_reconcile_errors_total") == 1
            assert h.value("controller_reconcile_errors_total") == 1
            h.put("a", spec={"n": 1})
            await settle()
            assert script.calls("a") == 2

    async def test_a_conflict_is_no_error(self):
        """Repeated at once, counted apart, logged below warnings."""
        script = Script({"a": [Conflict("x"), Done()]})
        with structlog.testing.capture_logs() as logs:
            async with running(script) as h:
                h.put("a")
                await settle()
                assert script.calls("a") == 2
                assert script.requests[-1].reasons == {"conflict"}
                assert h.value("controller_runtime_reconcile_errors_total") == 0
                assert h.value("controller_reconcile_errors_total") == 0
                assert h.value("capt_reconcile_conflicts_total") == 1
                assert h.value("controller_runtime_reconcile_total", result="requeue") == 1
        assert {line["log_level"] for line in logs} <= {"debug", "info"}

    async def test_a_namespace_that_is_going_ends_it(self):
        """Nothing can be made there any more: no error, no retry, no line above debug."""
        script = Script({"a": [NamespaceTerminating("x")]})
        with structlog.testing.capture_logs() as logs:
            async with running(script) as h:
                h.put("a")
                await settle()
                await h.clock.advance(10_000)
                assert script.calls("a") == 1
                assert h.value("controller_reconcile_errors_total") == 0
                assert h.value("controller_runtime_reconcile_total", result="success") == 1
        assert {line["log_level"] for line in logs} <= {"debug", "info"}

    async def test_endless_conflicts_do_not_spin(self):
        """Only the first repetition is immediate; from then on backoff applies."""
        async with running(Script({"a": [Conflict("x")]}), backoff=Backoff(base=1, cap=100)) as h:
            h.put("a")
            await settle()
            assert h.script.calls("a") == 2
            await h.clock.advance(10)
            assert h.script.calls("a") == 4

    async def test_the_server_may_ask_for_more_patience(self):
        """Retry-After is honoured where it is longer than the backoff."""
        async with running(Script({"a": [TooManyRequests("x", status=429, retry_after=30), Done()]})) as h:
            h.put("a")
            await h.clock.advance(29.9)
            assert h.script.calls("a") == 1
            await h.clock.advance(0.1)
            assert h.script.calls("a") == 2

    async def test_a_transient_error_of_the_application_is_one_warning(self):
        """It is counted as an error and retried, not before the time that it names, and leaves no traceback."""
        api = MemoryApi("things")
        api.put("things", "ns", "a")
        script = Script({"a": [TransientError("the cloud throttles", retry_after=7), Done()]})
        with structlog.testing.capture_logs() as logs:
            async with running(script, api=api) as h:
                await h.clock.advance(6.9)
                assert script.calls("a") == 1
                await h.clock.advance(0.2)
                assert script.calls("a") == 2
                assert h.value("controller_runtime_reconcile_errors_total") == 1
                assert h.value("controller_runtime_reconcile_total", result="error") == 1
                assert h.value("controller_runtime_reconcile_panics_total") == 0
                assert h.value("controller_runtime_terminal_reconcile_errors_total") == 0
        (line,) = [line for line in logs if line["log_level"] not in {"debug", "info"}]
        assert (line["log_level"], line["error"]) == ("warning", "TransientError: the cloud throttles")
        assert "exc_info" not in line

    async def test_inv_039_a_retry_keeps_its_priority(self):
        """A failed key of the initial list does not overtake changes when it comes back.

        controller-runtime's result can set another priority. Ours says only whether and when: which keys are urgent is
        known where events are, not in a reconcile of one of them.
        """
        api = MemoryApi("things")
        for name in ("low", "other"):
            api.put("things", "ns", name)
        script = Script({"low": [ServerError("x"), Done()]})
        async with running(script, api=api, workers=1) as h:
            script.gate = asyncio.Event()
            h.put("blocker")
            await h.clock.advance(1)  # low is ready again, and waits for the only worker
            h.put("urgent")
            await settle()
            script.gate.set()
            await settle()
            names = [r.name for r in script.requests]
            assert names.index("urgent") < len(names) - 1 - names[::-1].index("low")

    async def test_inv_047_returning_neither_is_a_bug(self):
        """A forgotten return is reported, not taken for success.

        An error and a delay together, which controller-runtime has a rule and a warning for, cannot be written: one is
        raised, the other returned.
        """
        with structlog.testing.capture_logs() as logs:
            async with running(Script({"a": [lambda: asyncio.sleep(0)]})) as h:
                h.put("a")
                await settle()
                assert h.value("controller_runtime_reconcile_panics_total") == 1
        assert any("neither Done nor After" in line.get("error", "") for line in logs)


class TestIsolation:
    async def test_inv_048_an_unexpected_exception_is_caught_counted_and_retried(self):
        """A bug in one reconcile touches no other; its traceback is logged once.

        There is no switch to let it end the process, as controller-runtime's ``RecoverPanic`` is.
        """

        async def bug():
            raise ZeroDivisionError("oops")

        with structlog.testing.capture_logs() as logs:
            async with running(Script({"a": [bug]}), backoff=Backoff(base=1, cap=1)) as h:
                h.put("a")
                await h.clock.advance(5)
                h.put("b")
                await settle()
                assert h.script.calls("a") == 6
                assert h.script.calls("b") == 1
                assert h.value("controller_runtime_reconcile_panics_total") == 6
                assert h.value("controller_runtime_active_workers") == 0
        bugs = [line for line in logs if "unexpected" in line["event"]]
        assert [line["exc_info"] is not None for line in bugs] == [True] + [False] * 5

    @pytest.mark.parametrize(
        "outcome",
        [
            Done(),
            After(5),
            ServerError("x"),
            Conflict("x"),
            TerminalError("x"),
            NamespaceTerminating("x"),
            ZeroDivisionError("x"),
        ],
        ids=lambda outcome: type(outcome).__name__,
    )
    async def test_a_logger_that_fails_ends_nothing(self, monkeypatch, outcome):
        """With a full disk or a closed pipe behind the log, whatever a reconcile comes to, the next ones are run."""
        monkeypatch.setattr("capt.runtime.reconcile_loop.get_logger", BrokenLogger)
        async with running(Script({"a": [outcome]}), workers=1) as h:
            h.put("a")
            await h.clock.advance(5)
            h.put("b")
            await settle()
            assert h.script.calls("a") >= 1
            assert h.script.calls("b") == 1
            assert not h.task.done()

    async def test_an_error_without_a_text_is_told_all_the_same(self):
        """An exception whose own code fails when it is asked for its text is logged by its type, and retried."""

        class MuteError(Exception):
            def __str__(self):
                raise self

        with structlog.testing.capture_logs() as logs:
            async with running(Script({"a": [MuteError(), Done()]}), backoff=Backoff(base=1, cap=1)) as h:
                h.put("a")
                await h.clock.advance(2)
                assert h.script.calls("a") == 2
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert line["error"].startswith("MuteError: ")

    async def test_a_line_that_cannot_be_shown_leaves_a_word(self, monkeypatch):
        """Where the logger fails over what a line carries, one that carries less says that there was one."""
        logger = PickyLogger()
        monkeypatch.setattr("capt.runtime.reconcile_loop.get_logger", lambda: logger)
        async with running(Script({"a": [ZeroDivisionError("x"), Done()]})) as h:
            h.put("a")
            await h.clock.advance(1)
        told = {"what": "reconcile raised an unexpected error", "error": "UnicodeEncodeError"}
        assert ("could not log", told) in logger.lines

    async def test_a_group_of_transient_errors_is_transient(self):
        """A reconciler that uses a TaskGroup is classed by what its tasks raised."""

        async def both():
            async with asyncio.TaskGroup() as group:
                group.create_task(fail(ServerError("one")))
                group.create_task(fail(CacheLagError("two")))

        async def fail(error):
            raise error

        with structlog.testing.capture_logs() as logs:
            async with running(Script({"a": [both, Done()]})) as h:
                h.put("a")
                await h.clock.advance(1)
                assert h.script.calls("a") == 2
                assert h.value("controller_runtime_reconcile_panics_total") == 0
        (line,) = [line for line in logs if line["log_level"] == "warning"]
        assert "one" in line["error"]

    async def test_a_stray_cancellation_does_not_kill_a_worker(self):
        """A CancelledError that nobody asked for is an error of that reconcile."""

        async def stray():
            raise asyncio.CancelledError

        async with running(Script({"a": [stray, Done()]}), workers=1) as h:
            h.put("a")
            await h.clock.advance(1)
            assert h.script.calls("a") == 2

    async def test_a_task_group_that_fails_leaves_the_worker_as_it_was(self):
        """Reconcilers may use task groups: one that failed changes nothing for the reconciles after it."""
        marks = []

        async def fail():
            marks.append(asyncio.current_task().cancelling())
            async with asyncio.TaskGroup() as group:
                group.create_task(raising())

        async def fail_in_the_body():
            marks.append(asyncio.current_task().cancelling())
            async with asyncio.TaskGroup() as group:
                group.create_task(raising())
                await asyncio.Event().wait()

        async def stray():
            raise asyncio.CancelledError

        async def raising():
            raise ServerError("down")

        script = Script({"a": [fail, fail_in_the_body, stray, fail, Done()]})
        async with running(script, workers=1) as h:
            h.put("a")
            await h.clock.advance(1)
            assert script.calls("a") == 5
            assert marks == [0, 0, 0]

    async def test_inv_049_the_timeout_cancels_and_counts_only_itself(self):
        """A reconcile that takes too long is cancelled and retried; a TimeoutError of its own is not counted."""

        async def hang():
            await asyncio.get_running_loop().create_future()

        async def hang_after_a_failure():
            with contextlib.suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(raising())
            await hang()

        async def raising():
            raise ServerError("down")

        script = Script(
            {
                "slow": [hang, Done()],
                "slower": [hang_after_a_failure, Done()],
                "own": [TimeoutError("of mine"), Done()],
            }
        )
        async with running(script, timeout=5.0) as h:
            h.put("own")
            h.put("slow")
            h.put("slower")
            await h.clock.advance(4.9)
            assert h.value("controller_runtime_reconcile_timeouts_total") == 0
            await h.clock.advance(1)
            assert h.value("controller_runtime_reconcile_timeouts_total") == 2
            assert h.value("controller_runtime_reconcile_panics_total") == 0
            assert script.calls("slower") == 2
            assert script.calls("slow") == 2
            assert script.calls("own") == 2

    async def test_inv_054_concurrency_is_bounded_and_per_key_exclusive(self):
        """With four workers at most four reconciles run, never two of one key."""
        script = Script(gate=asyncio.Event())
        async with running(script, workers=4) as h:
            for number in range(10):
                h.put(f"t{number}")
            await settle()
            for number in range(10):
                h.put(f"t{number}", spec={"n": 1})
            await settle()
            assert script.most_active == 4
            assert h.value("controller_runtime_active_workers") == 4
            script.gate.set()
            await settle()
            assert all(script.calls(f"t{number}") >= 1 for number in range(10))

    async def test_a_full_queue_does_not_hold_the_loop(self):
        """Reconciles that never wait still let others run between them."""
        api = MemoryApi("things")
        for number in range(100):
            api.put("things", "ns", f"t{number}")
        script = Script()
        async with running(script, api=api, workers=1) as h:
            for number in range(100):
                h.put(f"t{number}", spec={"n": 1})
            seen = []
            while len(script.requests) < 200:
                await asyncio.sleep(0)
                seen.append(len(script.requests))
            assert len(set(seen)) > 50

    async def test_min_interval_coalesces_a_storm(self):
        """The first change is reconciled at once, a storm after it once per interval."""
        async with running(Script(), min_interval=0.2) as h:
            for number in range(100):
                h.put("a", spec={"n": number})
                await h.clock.advance(0.01)
            assert h.script.calls("a") <= 6


class TestMetricsAndLogs:
    @pytest.mark.parametrize(
        ("outcome", "result"),
        [
            (Done(), "success"),
            (After(60), "requeue_after"),
            (ServerError("x"), "error"),
            (Conflict("x"), "requeue"),
        ],
    )
    async def test_inv_055_each_outcome_has_its_label(self, outcome, result):
        """Exactly one series moves for the first reconcile."""
        gate = asyncio.Event()
        script = Script({"a": [outcome, gate.wait]}) if result == "requeue" else Script({"a": [outcome]})
        async with running(script, backoff=Backoff(base=100, cap=100)) as h:
            h.put("a")
            await settle()
            values = {
                label: h.value("controller_runtime_reconcile_total", result=label)
                for label in ("success", "error", "requeue", "requeue_after")
            }
            assert values == {"success": 0, "error": 0, "requeue": 0, "requeue_after": 0} | {result: 1}
            assert h.value("controller_runtime_reconcile_time_seconds_count") == 1
            gate.set()

    async def test_lines_of_a_reconcile_carry_their_context(self):
        """Whatever the reconciler logs names controller, object, reasons and an id of the run."""
        seen = []

        async def look():
            seen.append(structlog.contextvars.get_contextvars())
            return Done()

        async with running(Script({"a": [look]})) as h:
            h.put("a", metadata={"generation": 3})
            await settle()
        (context,) = seen
        assert context.pop("reconcile_id")
        assert context == {
            "controller": "c",
            "kind": "Thing",
            "namespace": "ns",
            "name": "a",
            "generation": 3,
            "reasons": ["Thing added"],
        }
        assert structlog.contextvars.get_contextvars() == {}


class TestStop:
    async def test_a_running_reconcile_may_finish(self):
        """A stop starts nothing new, and returns when what runs has ended."""
        script = Script(gate=asyncio.Event())
        async with running(script, workers=1) as h:
            h.put("a")
            h.put("b")
            await settle()
            h.loop.stop()
            await settle()
            assert not h.task.done()
            script.gate.set()
            await h.task
            assert [r.name for r in script.requests] == ["a"]

    async def test_cancellation_ends_running_reconciles(self):
        """A leader that lost its lease has no reconcile running when its loop has ended."""
        script = Script(gate=asyncio.Event())
        clock, api, metrics = FakeClock(), MemoryApi("things"), Metrics()
        api.put("things", "ns", "a")
        controller = Controller(name="c", reconciler=script, watches=(watch_self(THING),))
        async with Informers(api, clock=clock, metrics=metrics) as informers:
            task = asyncio.create_task(
                ReconcileLoop(controller, informers=informers, clock=clock, metrics=metrics).run()
            )
            await settle()
            assert script.active["a"] == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert script.active["a"] == 0

    async def test_a_cancelled_loop_leaves_no_key_behind(self):
        """What waited in the queue of a leader that lost its lease is neither counted nor woken up any more."""
        script = Script({"later": [After(60)]})
        async with running(script, workers=1) as h:
            h.put("later")
            await settle()
            script.gate = asyncio.Event()
            h.put("a")
            h.put("b")
            await settle()
            assert h.value("workqueue_depth", priority="0") == 1
            h.task.cancel()
            await asyncio.wait({h.task})
            adds = h.value("workqueue_adds_total")
            await h.clock.advance(120)
            assert h.value("workqueue_depth", priority="0") == 0
            assert h.value("workqueue_adds_total") == adds

    async def test_a_reconcile_that_keeps_a_cancellation_to_itself_is_the_last(self):
        """A reconciler that catches its cancellation, as careless code does, does not keep a leader that lost at work."""

        async def careless():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return Done()

        script = Script({"a": [careless]})
        async with running(script, workers=1) as h:
            h.put("a")
            h.put("b")
            await settle()
            h.task.cancel()
            await asyncio.wait({h.task}, timeout=10)
            assert h.task.cancelled()
            assert [each.name for each in script.requests] == ["a"]


class TestBackoff:
    def test_inv_024_029_030_it_doubles_per_item_and_starts_over(self):
        """Delays grow by the factor, independently per item, until forgotten."""
        backoff = ItemBackoff(Backoff(base=0.001, cap=1))
        assert [backoff.charge("a") for _ in range(5)] == [0.001, 0.002, 0.004, 0.008, 0.016]
        assert backoff.charge("b") == 0.001
        assert (backoff.failures("a"), backoff.failures("b")) == (5, 1)
        backoff.forget("a")
        assert backoff.failures("a") == 0
        assert backoff.charge("a") == 0.001

    def test_inv_025_it_never_overflows(self):
        """After thousands of failures the delay is the cap."""
        assert Backoff().delay(1000) == 1000
        assert Backoff(factor=10).delay(100_000) == 1000

    @pytest.mark.parametrize("options", [{"base": 0}, {"base": 5, "cap": 1}, {"factor": 0.5}])
    def test_a_senseless_backoff_is_refused(self, options):
        """A zero base would spin, a factor below one would hurry."""
        with pytest.raises(ValueError, match="backoff needs"):
            Backoff(**options)
