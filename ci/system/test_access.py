"""Tokens: what each role may do, a scope that shows nothing of others, quotas under load, and what a token's end ends."""

import concurrent.futures
import contextlib
import datetime
import threading

import pytest
import requests

import skep
from conftest import NEIGHBOUR
from helpers import MIB, disk_image, example, is_problem
from storage import format_disk
from test_storage_boots import booted, power_cut

GOOD = {"image": "hello", "memory_bytes": 2 * MIB, "desired_state": "stopped"}
HTTPD = {
    "image": "httpd",
    "memory_bytes": 4 * MIB,
    "networks": [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}],
}


def client(machine, token):
    return skep.Api(machine.api_port, token, machine.api.fingerprint)


def secret_of(person):
    return person.headers["Authorization"].removeprefix("Bearer ")


def make(machine, name, **body):
    """A new token's client."""
    answer = machine.api.ok("PUT", f"/v1/tokens/{name}", json=body)
    assert answer["token"].startswith("skep_") and len(answer["token"]) == 69
    return client(machine, answer["token"])


@pytest.fixture
def tokens(machine, api):
    """Makes tokens, which are gone when the test has ended."""
    yield lambda name, **body: make(machine, name, **body)
    for item in api.ok("GET", "/v1/tokens")["items"]:
        api.ok("DELETE", f"/v1/tokens/{item['name']}")


def calls(elf):
    """Method, path and body; what viewers, operators and admins are answered."""
    return [
        (("GET", "/v1/host", {}), (200, 200, 200)),
        (("GET", "/v1/guests", {}), (200, 200, 200)),
        (("GET", "/v1/guests/none", {}), (404, 404, 404)),
        (("GET", "/v1/crashes", {}), (200, 200, 200)),
        (("PUT", "/v1/images/hello", {"data": elf}), (403, 200, 200)),
        (("PUT", "/v1/guests/web", {"json": GOOD}), (403, 201, 200)),
        (("GET", "/v1/guests/web/log", {}), (200, 200, 200)),
        (("PATCH", "/v1/guests/web", {"json": {"weight": 9}}), (403, 200, 200)),
        (("DELETE", "/v1/guests/none", {}), (403, 404, 404)),
        (("GET", "/v1/volumes/none/data", {}), (403, 404, 404)),
        (("PUT", "/v1/disks/0", {"json": {}}), (403, 403, 404)),
        (("GET", "/v1/audit", {}), (403, 403, 200)),
        (("GET", "/v1/backup", {}), (403, 403, 422)),
        (("GET", "/v1/tokens", {}), (403, 403, 200)),
        (("PUT", "/v1/tokens/more", {"json": {"role": "admin"}}), (403, 403, 201)),
        (("POST", "/v1/host/reboot", {"json": {"grace": 1}}), (403, 403, 422)),
        (("DELETE", "/v1/tokens/eye", {}), (403, 403, 204)),
    ]


def test_roles(api, tokens):
    before = api.ok("GET", "/v1/audit")["last"]
    api.upload("hello", example("hello"))
    people = [tokens("eye", role="viewer"), tokens("hand", role="operator"), tokens("boss", role="admin")]
    for (method, path, body), statuses in calls(example("hello").read_bytes()):
        for person, status in zip(people, statuses):
            response = person.request(method, path, **body)
            assert response.status_code == status, f"{method} {path}: {response.text}"
            if status == 403:
                assert "needs the role" in is_problem(response, 403)
    # Its own token is gone by now.
    is_problem(people[0].get("/v1/host"), 401)
    records = api.ok("GET", "/v1/audit", params={"after": before})["items"]
    assert all(record["caller"].endswith(" 10.0.2.2") for record in records)
    seen = {(record["caller"].split()[0], record["status"]) for record in records}
    assert {("hand", 201), ("boss", 204), ("admin", 201)} <= seen
    # Who may change nothing can't fill the trail.
    assert not [record for record in records if record["status"] == 403]


def test_scope(api, tokens):
    api.upload("hello", example("hello"))
    api.create("other", **GOOD)
    bot = tokens("bot", role="operator", scope={"prefix": "ci-"})
    is_problem(bot.put("/v1/guests/web", json=GOOD), 403)
    is_problem(bot.put("/v1/guests/other", json=GOOD), 403)
    for method, path in (
        ("GET", "{}"),
        ("PATCH", "{}"),
        ("DELETE", "{}"),
        ("GET", "{}/log"),
        ("GET", "{}/console"),
        ("GET", "{}/vcpus"),
        ("GET", "{}/trace"),
    ):
        there, nowhere = (
            is_problem(bot.request(method, "/v1/guests/" + path.format(name), json={}), 404)
            for name in ("%6fther", "n%6fne")
        )
        assert there.replace("other", "none") == nowhere
    is_problem(bot.put("/v1/guests/ci-web", json=GOOD | {"start_after": ["other"]}), 422)
    bot.ok("PUT", "/v1/guests/ci-web", json=GOOD)
    assert [item["name"] for item in bot.ok("GET", "/v1/guests")["items"]] == ["ci-web"]
    assert len(api.ok("GET", "/v1/guests")["items"]) == 2
    metrics = bot.ok("GET", "/metrics").decode()
    assert 'guest="ci-web"' in metrics and '"other"' not in metrics
    is_problem(bot.delete("/v1/images/hello"), 403)
    bot.ok("PUT", "/v1/images/ci-hello", data=example("hello").read_bytes())
    bot.ok("DELETE", "/v1/images/ci-hello")
    bot.ok("DELETE", "/v1/guests/ci-web")


def test_crashes_of_others(api, tokens):
    bot = tokens("bot", role="viewer", scope={"prefix": "ci-"})
    api.upload("crash", example("crash"))
    for name in ("ci-crash", "crash"):
        api.create(name, image="crash", memory_bytes=2 * MIB)
        api.wait_state(name, "crashed")
    ids = {item["guest"]: item["id"] for item in api.ok("GET", "/v1/crashes")["items"]}
    assert {item["guest"] for item in bot.ok("GET", "/v1/crashes")["items"]} == {"ci-crash"}
    assert bot.ok("GET", f"/v1/crashes/{ids['ci-crash']}")["guest"] == "ci-crash"
    is_problem(bot.get(f"/v1/crashes/{ids['crash']}"), 404)


def test_quotas_under_load(machine, api, tokens):
    """However many ask at the same time, the sum stays what it may be."""
    api.upload("hello", example("hello"))
    quotas = {"guests": 7, "memory_bytes": 10 * MIB}
    bot = tokens("bot", role="operator", scope={"prefix": "q-", "quotas": quotas})

    def ask(number):
        with client(machine, secret_of(bot)) as another:
            return another.put(f"/v1/guests/q-{number}", json=GOOD).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(16)))
    assert sorted(statuses) == [201] * 5 + [409] * 11
    detail = is_problem(bot.put("/v1/guests/q-more", json=GOOD), 409)
    assert f"'q-' is {10 * MIB}, of which {10 * MIB} are taken, and {2 * MIB} more" in detail


@contextlib.contextmanager
def followed(bot, name):
    """A log that is followed: a list of what came, and one of what ended it."""
    came, ends = [], []

    def follow(answer):
        try:
            for data in answer.iter_content(None):
                came.append(data)
            ends.append(None)
        except requests.RequestException as error:
            ends.append(error)

    with bot.get(f"/v1/guests/{name}/log", params={"follow": "true"}, stream=True, timeout=60) as answer:
        thread = threading.Thread(target=follow, args=(answer,), daemon=True)
        thread.start()
        yield came, ends
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("change", ["revoked", "demoted", "rotated", "expired"])
def test_a_followed_log_ends_with_its_token(machine, api, tokens, change):
    api.upload("httpd", example("httpd"))
    api.create("ci-web", **HTTPD)
    bot = tokens("bot", role="operator")
    bot.ok("GET", "/v1/host")  # by a connection that stays open
    with followed(bot, "ci-web") as (came, ends):
        skep.wait_for(lambda: b"serving" in b"".join(came), "the log's first line")
        assert not ends
        if change == "revoked":
            api.ok("DELETE", "/v1/tokens/bot")
        elif change == "expired":
            now = datetime.datetime.fromisoformat(api.host()["time"].replace("Z", "+00:00"))
            soon = (now + datetime.timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            api.ok("PUT", "/v1/tokens/bot", json={"role": "operator", "expires_at": soon})
        else:
            query = {"rotate": "true"} if change == "rotated" else {}
            role = "viewer" if change == "demoted" else "operator"
            api.ok("PUT", "/v1/tokens/bot", params=query, json={"role": role})
        skep.wait_for(lambda: ends, "the stream ends", 10)
        assert isinstance(ends[0], requests.exceptions.ChunkedEncodingError)
    if change == "demoted":
        is_problem(bot.delete("/v1/guests/ci-web"), 403)
        bot.ok("GET", "/v1/host")
    else:
        skep.wait_for(lambda: bot.get("/v1/host").status_code == 401, "the token is refused", 10)


def test_events_of_others(machine, api, tokens):
    """A scope's stream has its own guests only, and nobody else's name; it ends with its token."""
    api.upload("hello", example("hello"))
    bot = tokens("bot", role="viewer", scope={"prefix": "ci-"})
    at = bot.get("/v1/guests").headers["Skep-Event-Id"]
    api.create("other", **GOOD)
    api.create("ci-web", **GOOD)
    ends = []
    text = b""
    with bot.get("/v1/events", params={"after": at}, stream=True, timeout=60) as answer:
        try:
            for data in answer.iter_content(None):
                text += data
                if b"ci-web" in text and not ends:
                    ends.append(api.delete("/v1/tokens/bot").status_code)
        except requests.exceptions.ChunkedEncodingError:
            pass
    assert ends == [204]
    assert b"ci-web" in text and b"other" not in text and b"admin" not in text
    is_problem(bot.get("/v1/host"), 401)


def test_power_cut(folder, tmp_path):
    """What was answered before it holds after it: new tokens, changes, revocations."""
    image = disk_image(tmp_path, "tokens", 64 * MIB)
    with booted(folder / "tokens-1", [image]) as first:
        early = make(first, "early", role="viewer")  # before there was a disk
        format_disk(first.api)
        gone = make(first, "gone", role="admin")
        bot = make(first, "bot", role="admin")
        first.api.ok("DELETE", "/v1/tokens/gone")
        quotas = {"guests": 1, "memory_bytes": None, "vcpus": None, "volume_bytes": None}
        scope = {"prefix": "ci-", "quotas": quotas}
        kept = first.api.ok("PUT", "/v1/tokens/bot", json={"role": "operator", "scope": scope})
        record = first.api.ok("GET", "/v1/audit")["items"][-1]
        assert (record["path"], record["value"], record["detail"]) == ("/v1/tokens/bot", "tokens", "operator, ci-")
        power_cut(first)
    with booted(folder / "tokens-2", [image], known=first) as second:
        fields = ("role", "scope", "made_at", "expires_at")
        again = second.api.ok("GET", "/v1/tokens/bot")
        assert [again[field] for field in fields] == [kept[field] for field in fields]
        assert again["scope"] == scope
        for person, status in ((early, 200), (gone, 401), (bot, 200)):
            assert client(second, secret_of(person)).get("/v1/host").status_code == status
        is_problem(client(second, secret_of(bot)).put("/v1/guests/web", json=GOOD), 403)
