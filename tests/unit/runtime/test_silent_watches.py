"""A watch that says nothing is counted, so that an alert can tell."""

from capt.runtime import Metrics, RequestTimeout
from tests.support.informers import running, synced
from tests.support.scripted import ScriptedTransport, bookmark, manifest


async def test_a_silent_watch_is_counted_and_opened_again():
    """The counter is there from the start, and tells silence from a watch that the server ends."""
    transport, metrics = ScriptedTransport(), Metrics()

    def silent():
        return metrics.registry.get_sample_value(
            "capt_informer_silent_watches_total", {"resource": "things.example.com"}
        )

    async with running(transport, metrics=metrics) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3))
        assert silent() == 0
        watch.send(bookmark(20))
        watch.end()
        (await transport.opened(1)).fail(RequestTimeout("silence"))
        await transport.opened(2)
        assert silent() == 1
