"""Who may read /metrics: the API server is asked, and its answers are remembered for a while."""

import asyncio
import json

import aiohttp
import pytest
import structlog

from capt.runtime import ConnectionFailed, Forbidden, Metrics, Response
from capt.runtime.delegated_auth import DelegatedAuth, guarded
from capt.runtime.serving import BindAddress, metrics_app, serve
from capt.runtime.testing import FakeClock, settle
from tests.support.scripted import ScriptedTransport, answer, refusal

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
USER = {"username": "prometheus", "uid": "u1", "groups": ["system:authenticated"], "extra": {"pod": ["p"]}}


class Api(ScriptedTransport):
    """Knows one token, and whether its user may read metrics."""

    def __init__(self):
        super().__init__(self.review)
        self.token, self.allowed, self.down = "good", True, False

    def review(self, request):
        if self.down:
            raise ConnectionFailed("down")
        spec = request.content["spec"]
        if request.path == TOKENS:
            known = spec["token"] == self.token
            return answer({"status": {"authenticated": known, "user": USER if known else {}}}, 201)
        return answer({"status": {"allowed": self.allowed}}, 201)

    @property
    def asked(self):
        paths = [request.path for request in self.requests]
        self.requests.clear()
        return paths


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def scrape(api, clock):
    app = metrics_app(Metrics(), guarded(DelegatedAuth(api, clock)))
    async with serve(app, BindAddress("127.0.0.1", 0)) as address, aiohttp.ClientSession() as http:

        async def get(authorization="Bearer good"):
            headers = {"Authorization": authorization} if authorization else {}
            async with http.get(f"http://{address}/metrics", headers=headers) as response:
                return response.status, await response.text()

        yield get


async def test_who_has_the_right_reads(api, scrape):
    """The token is reviewed, then what its user may do with that path."""
    status, text = await scrape()
    assert status == 200
    assert "process_cpu_seconds_total" in text
    review, access = api.requests
    assert (review.path, review.content["spec"]) == (TOKENS, {"token": "good"})
    assert access.path == ACCESS
    assert access.content["spec"] == {
        "user": "prometheus",
        "uid": "u1",
        "groups": ["system:authenticated"],
        "extra": {"pod": ["p"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic Z29vZA==", "Bearer bad"])
async def test_who_is_nobody_reads_nothing(scrape, authorization):
    """401, and not a word of metrics."""
    assert await scrape(authorization) == (401, "Unauthorized\n")


async def test_who_lacks_the_right_reads_nothing(api, scrape):
    """403 names the user, so that its role can be mended."""
    api.allowed = False
    assert await scrape() == (403, "Authorization denied for user prometheus\n")


async def test_answers_are_remembered(api, clock, scrape):
    """A token for a minute, a permission for five, a refusal for half a minute."""
    await scrape()
    assert api.asked == [TOKENS, ACCESS]
    await scrape()
    assert api.asked == []
    await clock.advance(61)
    await scrape()
    assert api.asked == [TOKENS]
    api.allowed = False
    assert (await scrape())[0] == 200
    await clock.advance(300)
    assert (await scrape())[0] == 403
    api.allowed = True
    assert (await scrape())[0] == 403
    await clock.advance(31)
    assert (await scrape())[0] == 200


async def test_when_nobody_can_tell_nobody_reads(api, scrape):
    """Without an answer of the API server the port stays closed, and nothing is remembered."""
    api.down = True
    assert await scrape() == (500, "Authentication failed\n")
    api.down = False
    assert (await scrape())[0] == 200


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"status": "ok"}'])
async def test_an_answer_that_is_no_review_opens_nothing(api, scrape, body):
    """A proxy's page instead of a review is the same refusal, with one line in the log that says so."""
    api.respond = lambda _: Response(status=201, headers={}, body=body)
    with structlog.testing.capture_logs() as logs:
        assert await scrape() == (500, "Authentication failed\n")
    (line,) = logs
    assert "TokenReview" in line["error"]
    assert "exc_info" not in line
    api.respond = api.review
    assert (await scrape())[0] == 200


class SlowApi(Api):
    """Answers when the test opens its gate."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()

    async def request(self, *args, **options):
        answered = await super().request(*args, **options)
        await self.gate.wait()
        return answered


async def test_of_those_who_ask_the_same_at_once_one_asks(clock):
    """Two Prometheus replicas, or one with many connections, cost one review each minute."""
    api = SlowApi()
    auth = DelegatedAuth(api, clock)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(auth.user(token)) for token in ["good", "bad"] * 5]
        await settle()
        api.gate.set()
    users = [task.result() for task in asking]
    assert [user and user.name for user in users] == ["prometheus", None] * 5
    assert api.asked == [TOKENS, TOKENS]
    api.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(auth.allows(users[0], "get", "/metrics")) for _ in range(5)]
        await settle()
        api.gate.set()
    assert all(task.result() for task in asking)
    assert api.asked == [ACCESS]


async def test_a_failure_is_everybodys_who_waited_and_nobodys_afterwards(clock):
    """Without an answer, those who waited for it hear so at once; the next question is asked anew."""
    api = SlowApi()
    auth = DelegatedAuth(api, clock)
    api.respond = lambda _: refusal(403, "Forbidden")
    asking = [asyncio.create_task(auth.user("good")) for _ in range(3)]
    await settle()
    api.gate.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in outcomes] == [Forbidden] * 3
    assert api.asked == [TOKENS]
    api.respond = api.review
    assert (await auth.user("good")).name == "prometheus"


async def test_who_goes_away_leaves_the_question_to_the_next(clock):
    """A connection that is cut while its token is reviewed takes no other caller with it."""
    api = SlowApi()
    auth = DelegatedAuth(api, clock)
    first, second, third = (asyncio.create_task(auth.user("good")) for _ in range(3))
    await settle()
    second.cancel()
    await settle()
    first.cancel()
    await settle()
    api.gate.set()
    assert (await third).name == "prometheus"
    assert first.cancelled()
    assert second.cancelled()
    assert api.asked == [TOKENS, TOKENS]


async def test_memory_is_bounded_and_holds_no_token(api, clock):
    """However many tokens are tried, only the newest answers are kept, under a digest."""
    auth = DelegatedAuth(api, clock)
    for number in range(1100):
        assert await auth.user(f"token-{number}") is None
    assert len(auth._users._known) == 1024
    assert "token-" not in json.dumps([str(key) for key in auth._users._known])
