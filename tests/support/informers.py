"""Informers over a scripted transport, and a handler that remembers."""

from __future__ import annotations

from contextlib import asynccontextmanager

from capt.runtime import Informers
from capt.runtime.testing import FakeClock
from tests.support.scripted import THING, bookmark, event, until


class Heard(list):
    """A handler that remembers what it was told."""

    def __call__(self, told):
        self.append((told.type, told.obj.name, told.obj.resource_version, told.initial))

    @property
    def short(self):
        return [(kind, name) for kind, name, _, _ in self]


@asynccontextmanager
async def running(transport, clock=None, **options):
    async with Informers(transport, clock=clock or FakeClock(), **options) as informers:
        yield informers


async def synced(transport, informers, *objects, handler=None, resource_version=10, **options):
    """Watch things, with these objects as the streamed first list; returns handle and stream."""
    handle = await informers.watch(THING, Heard() if handler is None else handler, **options)
    watch = await transport.opened(len(transport.watches))
    watch.send(*(event("ADDED", obj) for obj in objects), bookmark(resource_version, end=True))
    await until(lambda: handle.synced)
    return handle, watch
