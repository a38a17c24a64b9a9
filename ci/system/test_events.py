"""Events: what a client that follows them is told, and that with a list before it nothing is missed."""

import contextlib
import json
import threading

import pytest
import requests

import skep
from helpers import MIB, disk_image, example, guest_program, is_problem
from storage import format_disk, volume
from test_storage_boots import booted

STREAMS = 16
FIELDS = {"id", "time", "type", "kind", "name", "caller", "change"}


def blocks(response):
    """The stream's blocks as they come, each a list of (field, value): WHATWG HTML, 9.2.6."""
    text = ""
    for chunk in response.iter_content(chunk_size=None):
        text += chunk.decode()
        *whole, text = text.split("\n\n")
        for block in whole:
            lines = [line.partition(":") for line in block.split("\n")]
            yield [(field, value.removeprefix(" ")) for field, _, value in lines]
    assert text == ""


class Follower:
    """Follows events in a thread; keeps them, and the last id, as a browser's EventSource does."""

    def __init__(self, api, last_id=None, **params):
        self.api = skep.Api(api.port, None, api.fingerprint)
        self.api.headers.update(api.headers)
        self.events, self.last_id, self.ended = [], None, threading.Event()
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self.response = self.api.get("/v1/events", params=params, headers=headers, stream=True, timeout=60)
        assert self.response.status_code == 200, self.response.text
        assert self.response.headers["Content-Type"] == "text/event-stream"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        skep.wait_for(lambda: self.last_id, "the stream begins")

    def _run(self):
        with contextlib.suppress(requests.RequestException, AttributeError):  # closed by us
            for block in blocks(self.response):
                self._take(dict(block))
        self.ended.set()

    def _take(self, block):
        if "data" in block:
            event = json.loads(block["data"])
            assert event["id"] == block["id"] and event["type"] == block["event"]
            assert set(event) == FIELDS or event["type"] == "lost", event
            self.events.append(event)
        self.last_id = block.get("id", self.last_id)

    def wait(self, condition, what):
        skep.wait_for(lambda: any(condition(event) for event in list(self.events)), what)

    def wait_state(self, name, state):
        self.wait(lambda e: e["name"] == name and e["change"].get("state") == state, f"{name} {state}")

    def close(self):
        self.api.close()
        connection = self.response.raw.connection
        if connection and connection.sock:
            connection.sock.shutdown(2)
        self.thread.join(30)
        assert not self.thread.is_alive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def told(events, name):
    """In short: the types, or states, of what was told of a name."""
    return [e["change"].get("state", e["type"]) for e in events if e["name"] == name]


def spec(image, **changes):
    return {"image": image, "memory_bytes": 2 * MIB} | changes


def test_what_is_told_of_a_guest(api):
    with Follower(api) as follower, Follower(api, kind="images") as images:
        api.upload("stay", guest_program("stay"))
        api.upload("crash", example("crash"))
        api.create("web", **spec("stay"))
        api.ok("PATCH", "/v1/guests/web", json={"desired_state": "paused"})
        api.ok("PATCH", "/v1/guests/web", json={"desired_state": "paused"})
        api.ok("PATCH", "/v1/guests/web", json={"desired_state": "running"})
        is_problem(api.patch("/v1/guests/web", json={"weight": 0}), 422)
        api.create("bad", **spec("crash", restart="on-failure", restart_delay_ms=1))
        follower.wait_state("bad", "crash-looping")
        api.delete_guest("bad")
        api.delete_guest("web")
        follower.wait(lambda e: e["name"] == "web" and e["type"] == "deleted", "web is deleted")
        events = follower.events
    assert told(events, "web") == ["created", "running", "changed", "paused", "changed", "running", "dying", "deleted"]
    once = ["running", "crashed", "restart"]
    assert told(events, "bad")[:11] == ["created", *once, *once, *once, "crash-looping"]
    assert told(events, "bad")[-2:] == ["dying", "deleted"]
    crash = next(e for e in events if e["change"].get("state") == "crashed")
    assert api.ok("GET", f"/v1/crashes/{crash['change']['crash']}")["reason"] == crash["change"]["reason"]
    numbers = [int(e["id"].split("-")[1]) for e in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(events)))
    assert len({e["id"].split("-")[0] for e in events}) == 1
    for event in events:
        by_call = event["type"] in ("created", "changed", "uploaded")
        by_itself = event["type"] == "restart" or event["change"].get("state") in ("crashed", "crash-looping")
        assert not by_call or event["caller"].startswith("admin 10.0.2.")
        assert not by_itself or event["caller"] is None
        assert event["time"]
    assert told(images.events, "stay") == ["uploaded"]
    assert images.events == [event for event in events if event["kind"] == "images"]


def test_a_list_and_what_follows(api):
    """However changes and the list fall together: the list and the events behind its id give what there is at the end."""
    api.upload("hello", example("hello"))
    stop = threading.Event()
    churn = skep.Api(api.port, None, api.fingerprint)
    churn.headers.update(api.headers)

    def change():
        for number in range(1000):
            if stop.is_set():
                break
            churn.create(f"g{number % 7}", **spec("hello"))
            if number % 3 == 2:
                churn.ok("DELETE", f"/v1/guests/g{(number - 2) % 7}")

    thread = threading.Thread(target=change)
    thread.start()
    followers = []
    for _ in range(4):
        answer = api.get("/v1/guests")
        known = {item["name"]: item["status"]["state"] for item in answer.json()["items"]}
        followers.append((Follower(api, after=answer.headers["Skep-Event-Id"], prefix="g"), known))
    skep.wait_for(lambda: min(len(f.events) for f, _ in followers) > 60, "changes while all follow")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    for name in [item["name"] for item in api.ok("GET", "/v1/guests")["items"]]:
        api.ok("PUT", f"/v1/guests/{name}", json=spec("hello", weight=7))
    api.create("g-last", **spec("hello", desired_state="stopped"))
    for name in [item["name"] for item in api.ok("GET", "/v1/guests")["items"] if item["name"] != "g-last"]:
        api.wait_state(name, "exited")
    now = {item["name"]: item["status"]["state"] for item in api.ok("GET", "/v1/guests")["items"]}

    def replay(follower, known):
        state = dict(known)
        for event in list(follower.events):
            if event["type"] == "deleted":
                state.pop(event["name"], None)
            elif event["type"] == "state":
                state[event["name"]] = event["change"]["state"]
        return state

    for follower, known in followers:
        skep.wait_for(lambda f=follower, k=known: replay(f, k) == now, "the events lead to what there is")
        assert all(event["type"] != "lost" for event in follower.events)
        follower.close()


def test_coming_again(api):
    """Where a client comes again with its last id nothing is told twice, nothing missed."""
    api.upload("hello", example("hello"))
    with Follower(api, prefix="run-") as whole:
        last_id, seen = None, []
        for number in range(6):
            with Follower(api, last_id=last_id, after=whole.last_id, prefix="run-") as part:
                api.create(f"run-{number}", **spec("hello"))
                part.wait(lambda e, n=number: e["name"] == f"run-{n}", f"run-{number} is told")
            last_id = part.last_id  # now that nothing more comes
            seen += [e for e in part.events if e["id"] not in {s["id"] for s in seen} or pytest.fail(f"twice: {e}")]
        with Follower(api, last_id=last_id, prefix="run-") as part:
            api.create("run-end", **spec("hello"))
            part.wait_state("run-end", "exited")
        whole.wait_state("run-end", "exited")
        seen += part.events
        assert seen == whole.events


def test_ids_of_another_start(folder):
    """After a reboot all ids are others, and a client is told that it has lost something."""
    with booted(folder / "events-reboot", [], reboot=True) as machine:
        api = machine.api
        follower = Follower(api)
        api.upload("hello", example("hello"))
        follower.wait(lambda e: e["type"] == "uploaded", "the upload is told")
        last = follower.last_id
        api.ok("POST", "/v1/host/reboot")
        follower.wait(lambda e: e["change"] == {"power": "rebooting"}, "the reboot is told")
        skep.wait_for(lambda: machine.serial_text().count(skep.READY) == 2, "it has booted again", skep.BOOT_SECONDS)
        follower.close()
        machine.wait_api()
        api = machine.api
        assert api.get("/v1/guests").headers["Skep-Event-Id"].split("-")[0] != last.split("-")[0]
        for place in ({"last_id": last}, {"after": last}):
            with Follower(api, **place) as again:
                again.wait(lambda e: e["type"] == "lost", "it is told that something is lost")
                api.upload("hello", example("hello"))
                api.ok("DELETE", "/v1/images/hello")
                again.wait(lambda e: e["type"] == "deleted", "the deletion is told")
            assert [e["type"] for e in again.events] == ["lost", "uploaded", "deleted"]


def test_disks_and_volumes(folder, tmp_path):
    with booted(folder / "events-disk", [disk_image(tmp_path, "events", 64 * MIB)]) as machine:
        api = machine.api
        with Follower(api) as follower:
            format_disk(api)
            volume(api, "db", size_bytes=MIB)
            volume(api, "db", size_bytes=MIB)
            api.ok("PATCH", "/v1/volumes/db", json={"size_bytes": 2 * MIB})
            api.ok("DELETE", "/v1/volumes/db")
            follower.wait(lambda e: e["kind"] == "volumes" and e["type"] == "deleted", "the deletion is told")
            events = [(e["kind"], e["name"], e["type"], e["change"]) for e in follower.events]
        assert events == [
            ("disks", "0", "formatted", {"state": "online"}),
            ("host", None, "storage", {"state": "ready"}),
            ("volumes", "db", "created", {"size_bytes": MIB}),
            ("volumes", "db", "changed", {"size_bytes": 2 * MIB}),
            ("volumes", "db", "deleted", {}),
        ]


def test_many_streams(api):
    """As many as there may be, of events and of logs; the next is told so, and other calls go on."""
    api.upload("stay", guest_program("stay"))
    api.create("talker", **spec("stay"))
    log = api.get("/v1/guests/talker/log", params={"follow": "true"}, stream=True)
    assert log.status_code == 200
    with contextlib.ExitStack() as stack:
        followers = [stack.enter_context(Follower(api)) for _ in range(STREAMS - 1)]
        answer = api.get("/v1/events")
        assert "16 streams" in is_problem(answer, 503) and int(answer.headers["Retry-After"]) > 0
        is_problem(api.get("/v1/guests/talker/log?follow=true"), 503)
        assert api.get("/v1/guests/talker/log").status_code == 200
        api.create("another", **spec("stay"))
        for follower in followers:
            follower.wait_state("another", "running")
        log.close()
        skep.wait_for(lambda: _opens(api), "a stream is free when another has ended")
    skep.wait_for(lambda: _opens(api), "streams are free")
    is_problem(api.get("/v1/events?after=1"), 400)
    is_problem(api.get("/v1/events?kind=all"), 400)
    is_problem(api.post("/v1/events"), 405)
    anybody = skep.Api(api.port, token=None, fingerprint=api.fingerprint)
    is_problem(anybody.get("/v1/events"), 401)
    assert api.head("/v1/events").headers["Content-Type"] == "text/event-stream"


def _opens(api):
    with api.get("/v1/events", stream=True) as response:
        return response.status_code == 200
