"""The control service dies at each of its commit points and comes back: same key, same guests, no half-made change."""

import re

import pytest
import requests

import skep
from conftest import NEIGHBOUR, boot
from helpers import MIB, Watch, disk_image, example

SECOND = "10.0.2.21"
ENDED = re.compile(r"\[ *([\d.]+)\] guest control: crashed: abort")
SERVED = re.compile(r"\[ *([\d.]+)\] .*" + skep.READY)


def web_spec(address, **changes):
    networks = [{"address": f"{address}/24", "gateway": "10.0.2.2"}]
    spec = {"image": "httpd", "memory_bytes": 4 * MIB, "networks": networks}
    return spec | {"desired_state": "running"} | changes


class Change:
    """A change through the API: how it is asked for, and whether it has been made."""

    def __init__(self, method, path, body, made):
        self.method, self.path, self.body, self.made = method, path, body, made

    def ask(self, api):
        return api.request(self.method, self.path, timeout=5, **self.body())

    def is_made(self, api):
        return self.made(api.get(self.path))


UPLOAD = Change(
    "PUT",
    "/v1/images/hello",
    lambda: {"data": example("hello").read_bytes()},
    lambda answer: answer.status_code == 200,
)
DELETE_IMAGE = Change("DELETE", "/v1/images/spare", dict, lambda answer: answer.status_code == 404)
TOKEN = Change(
    "PUT",
    "/v1/tokens/bot",
    lambda: {"json": {"role": "viewer"}},
    lambda answer: answer.status_code == 200,
)
CREATE = Change(
    "PUT",
    "/v1/guests/second",
    lambda: {"json": web_spec(SECOND, files=[{"path": "/key", "content": "k", "secret": True}])},
    lambda answer: answer.status_code == 200,
)
CHANGE = Change(
    "PATCH",
    "/v1/guests/spare",
    lambda: {"json": {"desired_state": "running"}},
    lambda answer: answer.json()["spec"]["desired_state"] == "running",
)
LIVE = Change(
    "PATCH",
    "/v1/guests/web",
    lambda: {"json": {"weight": 200, "cpu_cap": 90}},
    lambda answer: answer.json()["spec"]["weight"] == 200,
)
APP = Change(
    "PUT",
    "/v1/apps/shop",
    lambda: {"json": {"guests": {"shop": {"image": "httpd", "memory_bytes": 4 * MIB, "desired_state": "stopped"}}}},
    lambda answer: answer.status_code == 200 and answer.json()["status"]["state"] == "ready",
)
DELETE = Change("DELETE", "/v1/guests/spare", dict, lambda answer: answer.status_code == 404)

# Which change passes which commit point.
POINTS = {
    "image created": UPLOAD,
    "image written": UPLOAD,
    "image sealed": UPLOAD,
    "image's file on the disk": UPLOAD,
    "image on the disk": UPLOAD,
    "image gone from the disk": DELETE_IMAGE,
    "image destroyed": DELETE_IMAGE,
    "tokens on the disk": TOKEN,
    "guest's files in ring 0": CREATE,
    "guest's spec on the disk": CREATE,
    "new guest retained": CREATE,
    "guest created in ring 0": CREATE,
    "guest started": CREATE,
    "guest changed while it runs": LIVE,
    "guest's changed spec retained": CHANGE,
    "guest's changed spec applied": CHANGE,
    "deleted guest gone from the disk": DELETE,
    "guest's deletion retained": DELETE,
    "deleted guest gone from ring 0": DELETE,
    "deleted guest's record erased": DELETE,
    "app's change on the disk": APP,
    "app's change made": APP,
}


@pytest.fixture
def debug_machine(folder, request):
    """A machine of its own for each test: after three crashes in a minute the service would start empty."""
    elf = skep.build_exists(skep.DEBUG_BUILD)
    name = re.sub(r"\W+", "-", request.node.name)
    disks = [disk_image(folder, name, 64 * MIB)] if "app" in name else []  # what apps are kept on
    yield from boot(folder, name, elf=elf, forwards=[NEIGHBOUR, SECOND], disks=disks)


@pytest.fixture
def busy(debug_machine):
    """With a guest that serves, one that doesn't run, and an image that nobody uses."""
    api = debug_machine.api
    api.upload("httpd", example("httpd"))
    api.upload("spare", example("crash"))
    api.create("web", **web_spec(NEIGHBOUR))
    address = {"networks": [{"address": "10.0.2.22/24", "gateway": "10.0.2.2"}]}
    api.create("spare", **web_spec(None, desired_state="stopped") | address)
    debug_machine.wait_page(NEIGHBOUR)
    return debug_machine


def points(api):
    return {item["name"]: item["at"] for item in api.ok("GET", "/v1/debug/points")["items"]}


def names(api, kind):
    return {item["name"] for item in api.ok("GET", f"/v1/{kind}")["items"]}


def die(machine, point, change):
    """Has the service crash in the change; returns once it is back, with the seconds that took by its own clock."""
    machine.api.ok("POST", "/v1/debug/crash", json={"at": points(machine.api)[point]})
    with pytest.raises((requests.ConnectionError, requests.Timeout)):
        change.ask(machine.api)

    def back():
        machine.check_alive()
        text = machine.serial_text()
        ended = ENDED.search(text)
        return ended and SERVED.search(text, ended.end()) and (ended, text)

    ended, text = skep.wait_for(back, "the service is back", 30)
    return float(SERVED.search(text, ended.end())[1]) - float(ended[1])


def new_client(machine):
    """A client that has no old connection, and accepts no other key than the first one's."""
    return skep.Api(machine.api_port, machine.token, machine.api.fingerprint)


@pytest.mark.parametrize("point", POINTS)
def test_commit_point(busy, point):
    change = POINTS[point]
    old = {kind: names(busy.api, kind) for kind in ("guests", "images")}
    started = busy.api.status("web")["started_at"]
    with Watch(busy, NEIGHBOUR) as watch:
        watch.wait_answer()
        seconds = die(busy, point, change)
        watch.wait_answer()
        api = busy.api = new_client(busy)
        assert api.host()["control_restarts"] == 1
        # All as before, or all made; what is made after all takes a moment where a guest has to go.
        now = {kind: names(api, kind) for kind in ("guests", "images")}
        kind, name = change.path.split("/")[2:]
        for other in ("guests", "images"):
            touched = {name} if kind in (other, "apps") else set()
            assert now[other] - touched == old[other] - touched
        # Asking again brings it about, whatever had become of it.
        again = change.ask(api)
        assert again.ok or (change.method == "DELETE" and again.status_code == 404), again.text
        skep.wait_for(lambda: change.is_made(api), "the change is made", 10)
        if change is CREATE:
            busy.wait_page(SECOND)
        watch.wait_answer()
    assert not watch.failures
    assert api.status("web")["started_at"] == started
    # Far more than it takes: no measurement, but it finds what waits for something.
    assert seconds < 10, f"it was away for {seconds:.2f} s"


def test_no_commit_point_is_forgotten(debug_machine):
    assert set(points(debug_machine.api)) == set(POINTS)


def test_three_crashes_in_a_minute(busy):
    """The service starts empty, in safe mode, and adopts what runs; nobody else notices."""
    with Watch(busy, NEIGHBOUR) as watch:
        for crash in range(3):
            busy.api.ok("POST", "/v1/debug/crash", json={"at": points(busy.api)["image created"]})
            with pytest.raises((requests.ConnectionError, requests.Timeout)):
                UPLOAD.ask(busy.api)
            skep.wait_for(
                lambda crash=crash: len(SERVED.findall(busy.serial_text())) == crash + 2,
                "the service is back",
                30,
            )
            busy.api = new_client(busy)
        assert busy.api.host()["control"]["safe_mode"]
        assert "web" in names(busy.api, "guests")
        assert busy.api.status("web")["state"] == "running"
        watch.wait_answer()
    assert not watch.failures


def test_release_build_has_no_such_call(machine):
    assert machine.api.get("/v1/debug/points").status_code == 404
    assert machine.api.post("/v1/debug/crash", json={"at": 1}).status_code == 404
