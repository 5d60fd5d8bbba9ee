"""The work queue: deduplication, priorities, delays, coalescing, shutdown."""

import asyncio
import gc
import random
import weakref
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from capt.runtime.metrics import Metrics
from capt.runtime.testing import FakeClock, settle
from capt.runtime.workqueue import (
    LOW_PRIORITY,
    MAX_REASONS,
    STARVATION_SECONDS,
    STARVATION_SHARE,
    Item,
    WorkQueue,
)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def queue(clock, metrics):
    return WorkQueue(clock=clock, metrics=metrics.queue("q"))


def taken(queue: WorkQueue[str]) -> Item[str]:
    """Take what is ready without waiting."""
    coroutine = queue.get()
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def drained(queue: WorkQueue[str]) -> list[str]:
    """Take and finish everything that is ready."""
    keys = []
    while len(queue):
        key = taken(queue).key
        queue.done(key)
        keys.append(key)
    return keys


class TestBase:
    async def test_inv_001_every_key_is_processed_and_never_twice_at_once(self, queue):
        """Whatever adders and workers do, each added key is processed, and by one worker at a time."""
        busy, seen = set(), Counter()

        async def worker():
            while (item := await queue.get()) is not None:
                assert item.key not in busy
                busy.add(item.key)
                await asyncio.sleep(0)
                seen[item.key] += 1
                busy.discard(item.key)
                queue.done(item.key)

        async def adder(seed):
            rng = random.Random(seed)
            for number in rng.sample(range(50), 50):
                queue.add(number)
                if rng.random() < 0.3:
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(worker())
            async with asyncio.TaskGroup() as adders:
                for seed in range(5):
                    adders.create_task(adder(seed))
            await queue.drain()
        assert set(seen) == set(range(50))

    def test_inv_002_adding_twice_hands_out_once(self, queue):
        """A key that was added twice is one piece of work."""
        queue.add("a")
        queue.add("a")
        assert drained(queue) == ["a"]

    def test_inv_003_a_key_added_while_in_processing_waits_for_done(self, queue):
        """What is asked for during processing is handed out after it."""
        queue.add("a")
        taken(queue)
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert len(queue) == 1
        assert drained(queue) == ["a"]

    def test_inv_004_many_adds_during_processing_are_one(self, queue):
        """Ten requests during processing make one more piece of work."""
        queue.add("a")
        taken(queue)
        for _ in range(10):
            queue.add("a")
        queue.done("a")
        assert drained(queue) == ["a"]

    def test_inv_005_adding_again_merges_reasons_and_priority(self, queue):
        """A second request merges into the first."""
        queue.add("a", reason="one", priority=LOW_PRIORITY)
        queue.add("a", reason="two")
        assert taken(queue) == Item("a", 0, frozenset({"one", "two"}))

    def test_reasons_are_bounded(self, queue):
        """No storm of reasons grows a key: the first eight are kept."""
        for number in range(100):
            queue.add("a", reason=str(number))
        assert taken(queue).reasons == frozenset(map(str, range(MAX_REASONS)))

    def test_reasons_do_not_outlive_the_hand_out(self, queue):
        """The next hand-out tells only what was asked since."""
        queue.add("a", reason="first")
        taken(queue)
        queue.add("a", reason="second")
        queue.done("a")
        assert taken(queue).reasons == {"second"}

    def test_inv_006_len_counts_what_could_be_handed_out(self, queue):
        """Keys in processing are not queued, even when asked for again."""
        queue.add("a")
        queue.add("b")
        assert len(queue) == 2
        taken(queue)
        assert len(queue) == 1
        queue.add("a")
        assert len(queue) == 1

    def test_inv_007_one_priority_is_first_in_first_out(self, queue):
        """Within a priority, keys come out in the order in which they came."""
        for key in "hello":
            queue.add(key)
        assert "".join(drained(queue)) == "helo"

    def test_inv_008_done_of_a_key_that_is_not_in_processing_changes_nothing(self, queue):
        """A stray done neither loses nor doubles a queued key."""
        queue.add("a")
        queue.done("a")
        queue.done("unknown")
        assert drained(queue) == ["a"]

    async def test_inv_009_shut_down_drops_what_waits_and_ignores_adds(self, queue):
        """Unlike client-go's queue ours drops queued keys at shutdown: a level-triggered start finds them again."""
        queue.add("a")
        taken(queue)
        queue.add("b")
        queue.shut_down()
        queue.add("c")
        assert len(queue) == 0
        assert await queue.get() is None

    async def test_inv_010_drain_waits_for_queued_and_processing_keys(self, queue):
        """Drain ends when nothing is queued and nothing is in processing."""
        queue.add("a")
        queue.add("b")
        taken(queue)
        drain = asyncio.create_task(queue.drain())
        await settle()
        queue.done("a")
        await settle()
        assert not drain.done()
        assert taken(queue).key == "b"
        queue.done("b")
        await drain
        assert await queue.get() is None

    async def test_inv_011_drain_processes_a_dirty_key_once_more(self, queue):
        """A key that was asked for again while in processing is processed once more before drain ends."""
        queue.add("a")
        taken(queue)
        queue.add("a", reason="again")
        drain = asyncio.create_task(queue.drain())
        await settle()
        queue.add("a", reason="too late")
        queue.done("a")
        await settle()
        assert not drain.done()
        assert taken(queue).reasons == {"again"}
        queue.done("a")
        await drain

    async def test_drain_drops_delayed_keys(self, clock, queue):
        """Nobody waits an hour at shutdown for a key that is due in an hour."""
        queue.add("a", after=3600)
        await queue.drain()
        assert clock.pending == 0

    async def test_inv_012_shut_down_releases_drain_at_once(self, queue):
        """An impatient stop ends a drain that waits for a slow worker."""
        queue.add("a")
        taken(queue)
        drain = asyncio.create_task(queue.drain())
        await settle()
        queue.shut_down()
        await drain

    async def test_inv_013_a_waiting_get_is_woken_by_shut_down(self, queue):
        """All waiters learn of the shutdown."""
        getters = [asyncio.create_task(queue.get()) for _ in range(3)]
        await settle()
        queue.shut_down()
        assert await asyncio.gather(*getters) == [None, None, None]

    async def test_inv_014_shutdown_amid_hand_outs_never_hangs(self, clock, metrics):
        """In 1000 random interleavings of adds, gets, cancellations and shutdown everybody comes home."""
        bound = metrics.queue("q")
        for seed in range(1000):
            rng = random.Random(seed)
            queue = WorkQueue(clock=clock, metrics=bound)

            async def worker(queue=queue, rng=rng):
                while (item := await queue.get()) is not None:
                    try:
                        if rng.random() < 0.5:
                            await asyncio.sleep(0)
                    finally:
                        queue.done(item.key)

            workers = [asyncio.create_task(worker()) for _ in range(3)]
            for _ in range(rng.randrange(8)):
                queue.add(rng.randrange(4), after=rng.choice((0, 0, 1)))
                if rng.random() < 0.4:
                    await asyncio.sleep(0)
                if rng.random() < 0.1:
                    workers[0].cancel()
            if rng.random() < 0.5:
                await queue.drain()
            queue.shut_down()
            await asyncio.wait(workers)

    async def test_inv_015_a_cancelled_get_loses_no_key(self, queue):
        """A key whose waiter is cancelled in the very step of the hand-over goes to the next waiter."""
        first = asyncio.create_task(queue.get())
        second = asyncio.create_task(queue.get())
        await settle()
        queue.add("a")
        first.cancel()
        item = await second
        assert item is not None
        assert item.key == "a"
        with pytest.raises(asyncio.CancelledError):
            await first

    async def test_a_cancelled_get_without_another_waiter_leaves_the_key(self, queue):
        """With nobody else waiting, the key stays ready."""
        getter = asyncio.create_task(queue.get())
        await settle()
        queue.add("a")
        getter.cancel()
        await settle()
        assert drained(queue) == ["a"]

    async def test_inv_016_a_key_that_is_done_is_not_referenced(self, clock, queue):
        """The queue keeps nothing of a finished key alive, not even in its timer heap."""

        class Name:
            pass

        key = Name()
        alive = weakref.ref(key)
        queue.add(key, after=3600)
        queue.add(key)
        item = await queue.get()
        queue.done(item.key)
        del key, item
        gc.collect()
        assert alive() is None


class TestDelays:
    async def test_inv_017_a_delayed_key_is_ready_at_its_time(self, clock, queue):
        """Not a millisecond early, not a millisecond late."""
        queue.add("a", after=0.050)
        await clock.advance(0.049)
        assert len(queue) == 0
        await clock.advance(0.001)
        assert len(queue) == 1

    async def test_inv_018_the_earliest_time_wins(self, clock, queue):
        """Of two delays the earlier counts, once."""
        queue.add("a", after=0.050)
        queue.add("a", after=0.030)
        await clock.advance(0.030)
        assert drained(queue) == ["a"]
        await clock.advance(1)
        assert len(queue) == 0
        queue.add("a", after=0.050)
        queue.add("a", after=0.070)
        await clock.advance(0.050)
        assert drained(queue) == ["a"]
        await clock.advance(1)
        assert len(queue) == 0

    async def test_inv_019_now_overrides_later(self, clock, queue):
        """A delayed key that is asked for now is ready now and not again later."""
        queue.add("a", after=5)
        queue.add("a")
        assert drained(queue) == ["a"]
        await clock.advance(10)
        assert len(queue) == 0

    async def test_inv_020_021_delayed_keys_come_in_time_order(self, clock, queue):
        """The order of the times counts, not that of the calls."""
        for key, after in (("a", 1), ("b", 0.5), ("c", 0.25), ("d", 0.75)):
            queue.add(key, after=after)
        await clock.advance(2)
        assert drained(queue) == ["c", "b", "d", "a"]

    def test_inv_022_no_delay_is_now(self, queue):
        """Zero or less is no delay."""
        queue.add("a", after=0)
        queue.add("b", after=-1)
        assert drained(queue) == ["a", "b"]

    async def test_inv_023_a_delay_that_ends_during_processing_waits_for_done(self, clock, queue):
        """A key is never handed out while it is in processing."""
        queue.add("a")
        taken(queue)
        queue.add("a", after=1)
        await clock.advance(2)
        assert len(queue) == 0
        queue.done("a")
        assert drained(queue) == ["a"]

    async def test_a_delay_outlives_done(self, clock, queue):
        """A delay asked for during processing holds on after it."""
        queue.add("a")
        taken(queue)
        queue.add("a", after=1)
        queue.done("a")
        assert len(queue) == 0
        await clock.advance(1)
        assert drained(queue) == ["a"]

    async def test_inv_031_of_a_backoff_and_a_delay_the_earlier_wins(self, clock, queue):
        """A retry with backoff and a wish for a later time make one hand-out, at the earlier time."""
        queue.add("a", after=8, reason="retry")
        queue.add("a", after=2, reason="after")
        await clock.advance(2)
        assert taken(queue).reasons == {"retry", "after"}

    async def test_one_timer_serves_all(self, clock, queue):
        """Thousands of delayed keys arm one timer, and moving them leaves no heap of blanks behind."""
        for number in range(1000):
            queue.add(number, after=1000 - number)
        assert clock.pending == 1
        for _ in range(100):
            queue.add("x", after=5000)
            queue.add("x")
            assert drained(queue) == ["x"]
        assert len(queue._delayed) < 1600

    async def test_min_interval_spaces_starts_but_not_the_first(self, clock, metrics):
        """With a least interval the first hand-out is immediate; a storm after it becomes one."""
        queue = WorkQueue(clock=clock, metrics=metrics.queue("q"), min_interval=0.2)
        queue.add("a")
        assert drained(queue) == ["a"]
        for _ in range(50):
            queue.add("a")
            await clock.advance(0.001)
        assert len(queue) == 0
        queue.add("b")
        assert drained(queue) == ["b"]
        await clock.advance(0.15)
        assert drained(queue) == ["a"]
        await clock.advance(10)
        queue.add("a")
        assert drained(queue) == ["a"]

    async def test_min_interval_counts_from_the_start_of_the_last_one(self, clock, metrics):
        """A reconcile that took longer than the interval is followed at once."""
        queue = WorkQueue(clock=clock, metrics=metrics.queue("q"), min_interval=0.2)
        queue.add("a")
        taken(queue)
        await clock.advance(0.3)
        queue.add("a")
        queue.done("a")
        assert drained(queue) == ["a"]


class TestPriorities:
    @pytest.mark.parametrize("size", [1, 2, 5, 30, 200])
    def test_inv_032_high_before_low_at_every_size(self, queue, size):
        """While nobody starves, the higher priority always goes first."""
        keys = [(f"{priority}-{n}", priority) for n in range(size) for priority in (LOW_PRIORITY, 0, 7)]
        random.Random(size).shuffle(keys)
        for key, priority in keys:
            queue.add(key, priority=priority)
        order = [int(key.rpartition("-")[0]) for key in drained(queue)]
        assert order == sorted(order, reverse=True)

    def test_inv_033_priority_is_raised_and_never_lowered(self, queue):
        """The highest priority that was asked for counts."""
        queue.add("a", priority=1)
        queue.add("a", priority=5)
        queue.add("a", priority=2)
        assert taken(queue).priority == 5

    def test_inv_034_a_raised_key_goes_behind_those_already_there(self, queue):
        """Raising a key is no way to jump the queue of its new class."""
        queue.add("a", priority=0)
        queue.add("b", priority=1)
        queue.add("a", priority=1)
        assert drained(queue) == ["b", "a"]

    def test_inv_035_036_a_key_in_processing_blocks_nobody(self, queue):
        """The next key is handed out while the first is in processing, and the first as soon as it is done."""
        queue.add("a", priority=9)
        taken(queue)
        queue.add("a", priority=9)
        queue.add("b")
        assert taken(queue).key == "b"
        queue.done("a")
        assert taken(queue).key == "a"

    async def test_inv_037_a_delayed_high_key_overtakes_when_it_is_ready(self, clock, queue):
        """A high priority counts from the moment its delay ends."""
        queue.add("high", priority=1, after=1)
        queue.add("low")
        queue.add("low2")
        assert taken(queue).key == "low"
        await clock.advance(1)
        assert taken(queue).key == "high"

    async def test_inv_038_depth_counts_ready_keys_only(self, clock, queue, metrics):
        """The depth metric ignores delayed keys until they are ready."""

        def depth(priority):
            labels = {"name": "q", "controller": "q", "priority": str(priority)}
            return metrics.registry.get_sample_value("workqueue_depth", labels)

        queue.add("a", after=1, priority=3)
        assert len(queue) == 0
        assert depth(3) is None
        await clock.advance(1)
        assert len(queue) == 1
        assert depth(3) == 1
        drained(queue)
        assert depth(3) == 0

    def test_inv_039_the_hand_out_tells_the_priority_so_that_a_retry_can_keep_it(self, queue):
        """A worker knows the priority of what it got."""
        queue.add("a", priority=LOW_PRIORITY)
        assert taken(queue).priority == LOW_PRIORITY

    async def test_inv_041_no_key_starves(self, clock, queue):
        """Under an endless stream of high keys a low one is served within the bound that the queue states."""
        queue.add("low", priority=LOW_PRIORITY)
        await clock.advance(STARVATION_SECONDS)
        order = []
        for number in range(STARVATION_SHARE + 1):
            queue.add(f"high-{number}")
            queue.add(f"more-{number}")
            item = taken(queue)
            queue.done(item.key)
            order.append(item.key)
        assert "low" in order

    async def test_starving_keys_do_not_starve_the_high_ones(self, clock, queue):
        """However many low keys wait too long, three of four hand-outs stay with the high priority."""
        for number in range(100):
            queue.add(f"low-{number}", priority=LOW_PRIORITY)
        await clock.advance(STARVATION_SECONDS)
        for number in range(300):
            queue.add(f"high-{number}")
        first = [taken(queue).priority for _ in range(40)]
        assert Counter(first) == {0: 30, LOW_PRIORITY: 10}


class TestMetrics:
    async def test_durations_adds_and_retries(self, clock, queue, metrics):
        """The queue's metrics tell how long keys waited and worked, and count adds and delayed adds."""
        labels = {"name": "q", "controller": "q"}

        def value(name):
            return metrics.registry.get_sample_value(name, labels)

        queue.add("a")
        queue.add("b", after=4)
        assert value("workqueue_adds_total") == 1
        assert value("workqueue_retries_total") == 1
        await clock.advance(2)
        taken(queue)
        assert value("workqueue_queue_duration_seconds_sum") == 2
        await clock.advance(3)
        assert value("workqueue_adds_total") == 2
        assert value("workqueue_unfinished_work_seconds") == 3
        assert value("workqueue_longest_running_processor_seconds") == 3
        queue.done("a")
        assert value("workqueue_work_duration_seconds_sum") == 3
        assert value("workqueue_unfinished_work_seconds") == 0
        assert value("workqueue_longest_running_processor_seconds") == 0

    def test_the_priority_label_is_bounded(self, queue, metrics):
        """From the 26th distinct priority on, one series holds the rest."""
        for priority in range(30):
            queue.add(priority, priority=priority)
        text = metrics.render().decode()
        lines = [line for line in text.splitlines() if line.startswith("workqueue_depth{")]
        assert len(lines) == 26
        assert 'workqueue_depth{controller="q",name="q",priority="exceeded_cardinality_limit"} 5.0' in lines


KEYS = st.sampled_from("abcd")


class Model:
    """What the queue must do, written without any thought for speed."""

    def __init__(self):
        self.now = 0.0
        self.sequence = 0
        self.waiting = {}  # key -> [priority, due, reasons, order among the ready]
        self.processing = set()

    def add(self, key, priority, after, reason):
        entry = self.waiting.setdefault(key, [priority, float("inf"), set(), None])
        raised = priority > entry[0]
        entry[0] = max(entry[0], priority)
        entry[1] = min(entry[1], self.now + max(after, 0))
        entry[2].add(reason)
        if raised and entry[3] is not None:
            entry[3] = self._next()
        self._settle()

    def advance(self, seconds):
        self.now += seconds
        self._settle()

    def ready(self):
        ready = [key for key, entry in self.waiting.items() if entry[3] is not None]
        return sorted(ready, key=lambda key: (-self.waiting[key][0], self.waiting[key][3]))

    def get(self):
        key = self.ready()[0]
        self.processing.add(key)
        return key, self.waiting.pop(key)

    def done(self, key):
        self.processing.discard(key)
        self._settle()

    def _settle(self):
        for key, entry in sorted(self.waiting.items(), key=lambda pair: pair[1][1]):
            if entry[3] is None and entry[1] <= self.now and key not in self.processing:
                entry[3] = self._next()

    def _next(self):
        self.sequence += 1
        return self.sequence


class QueueMachine(RuleBasedStateMachine):
    """inv 40: random operations on the queue and on the model give the same answers."""

    metrics = Metrics()

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.queue = WorkQueue(clock=self.clock, metrics=self.metrics.queue("q"))
        self.model = Model()

    @rule(key=KEYS, priority=st.sampled_from([LOW_PRIORITY, 0, 1]), reason=st.sampled_from("xyz"))
    def add(self, key, priority, reason):
        self.queue.add(key, priority=priority, reason=reason)
        self.model.add(key, priority, 0, reason)

    @rule(
        key=KEYS,
        priority=st.sampled_from([LOW_PRIORITY, 0, 1]),
        # distinct powers of two: no two keys are ever due in the same instant, where the order is free
        after=st.sampled_from([0.5, 0.25, 0.125, 0.0625]),
        nudge=st.floats(0, 0.01, allow_subnormal=False),
    )
    def add_after(self, key, priority, after, nudge):
        self.queue.add(key, priority=priority, after=after + nudge, reason="later")
        self.model.add(key, priority, after + nudge, "later")

    @precondition(lambda self: self.model.ready())
    @rule()
    def get(self):
        item = taken(self.queue)
        key, (priority, _, reasons, _) = self.model.get()
        assert item == Item(key, priority, frozenset(reasons))

    @rule(key=KEYS)
    def done(self, key):
        self.queue.done(key)
        self.model.done(key)

    @rule(steps=st.integers(1, 8))
    def advance(self, steps):
        for _ in range(steps):
            asyncio.run(self.clock.advance(0.015625))
            self.model.advance(0.015625)

    @invariant()
    def same_length(self):
        assert len(self.queue) == len(self.model.ready())


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_inv_040_model = QueueMachine.TestCase
