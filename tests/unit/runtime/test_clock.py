"""The clocks, and the fake one that tests are told by."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from capt.runtime.clock import Clock, SystemClock, timeout
from capt.runtime.race import unless
from capt.runtime.testing import FakeClock, settle


class TestSystemClock:
    def test_now_is_aware_and_in_utc(self):
        """The wall clock carries its time zone."""
        assert SystemClock().now().utcoffset() == timedelta()

    def test_durations_never_go_back(self):
        """Monotonic and boot time only grow, and boot time is not behind."""
        clock = SystemClock()
        first, then = clock.monotonic(), clock.monotonic()
        assert first <= then
        assert clock.boottime() >= then

    async def test_a_timer_can_be_called_off(self):
        """A cancelled callback does not run, another does."""
        clock: Clock = SystemClock()
        ran = asyncio.Event()
        never = asyncio.Event()
        clock.call_later(0, never.set).cancel()
        clock.call_later(0, ran.set)
        await ran.wait()
        assert not never.is_set()

    async def test_sleep(self):
        """Sleeping takes time."""
        clock = SystemClock()
        start = clock.monotonic()
        await clock.sleep(0.001)
        assert clock.monotonic() > start


class TestFakeClock:
    async def test_timers_run_in_order_at_their_time(self):
        """Advancing runs what is due, in order of time, each at its own moment."""
        clock = FakeClock()
        seen = []
        for delay in (3, 1, 2, 9):
            clock.call_later(delay, lambda delay=delay: seen.append((delay, clock.monotonic())))
        await clock.advance(5)
        assert seen == [(1, 1), (2, 2), (3, 3)]
        assert clock.monotonic() == 5

    async def test_what_a_timer_starts_is_settled_before_the_next(self):
        """A task that sleeps in steps gets every step, however far one advance goes."""
        clock = FakeClock()
        ticks = []

        async def ticker():
            while True:
                await clock.sleep(1)
                ticks.append(clock.monotonic())

        task = asyncio.create_task(ticker())
        await clock.advance(3)
        assert ticks == [1, 2, 3]
        task.cancel()
        await settle()
        assert clock.pending == 0

    async def test_suspend_stops_all_but_boot_time_and_wall_clock(self):
        """While the machine sleeps, timers do not come nearer."""
        clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
        clock.suspend(60)
        assert (clock.monotonic(), clock.boottime()) == (0, 60)
        assert clock.now() == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)

    async def test_stepping_the_wall_clock_moves_nothing_else(self):
        """NTP may step the wall clock; durations do not notice."""
        clock = FakeClock()
        clock.set_wall_clock(datetime(1999, 1, 1, tzinfo=UTC))
        await clock.advance(1)
        assert clock.now() == datetime(1999, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert clock.monotonic() == 1


class TestTimeout:
    async def test_it_ends_a_block_on_the_given_clock(self):
        """The block is cancelled when the clock says so, and the scope knows."""
        clock = FakeClock()
        scopes = []

        async def block():
            async with timeout(clock, 5) as scope:
                scopes.append(scope)
                await clock.sleep(100)

        task = asyncio.create_task(block())
        await clock.advance(4.9)
        assert not task.done()
        await clock.advance(0.1)
        with pytest.raises(TimeoutError):
            await task
        assert scopes[0].expired()
        assert clock.pending == 0

    async def test_a_timeout_from_inside_is_told_apart(self):
        """A TimeoutError of the block itself leaves the scope unexpired."""
        with pytest.raises(TimeoutError):
            async with timeout(FakeClock(), 5) as scope:
                raise TimeoutError
        assert not scope.expired()

    async def test_none_is_no_bound(self):
        """Without a bound there is no timer."""
        clock = FakeClock()
        async with timeout(clock, None):
            assert clock.pending == 0


class TestUnless:
    async def test_the_result_comes_through(self):
        """Work that ends first gives its result."""

        async def work():
            return 42

        assert await unless(asyncio.Event(), work()) == 42

    async def test_the_event_cancels_and_awaits(self):
        """When the event is first, the work has ended, with its cleanup, on return."""
        stop, cleaned = asyncio.Event(), asyncio.Event()

        async def work():
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await asyncio.sleep(0)
                cleaned.set()

        task = asyncio.create_task(unless(stop, work()))
        await settle()
        stop.set()
        assert await task is None
        assert cleaned.is_set()

    async def test_an_event_that_is_set_already_starts_nothing(self):
        """No step of the work runs when it is too late for it."""
        stop = asyncio.Event()
        stop.set()
        ran = []

        async def work():
            ran.append(1)

        assert await unless(stop, work()) is None
        assert ran == []

    async def test_an_error_comes_through_as_it_is(self):
        """No group, no wrapper."""

        async def work():
            raise KeyError("x")

        with pytest.raises(KeyError):
            await unless(asyncio.Event(), work())
