"""Images and guests through the API, from upload to deletion."""

import hashlib
import threading

import pytest
import requests

import skep
from conftest import CROWD, NEIGHBOUR
from helpers import MIB, example, is_problem, run_to_end


def httpd_spec(address, **changes):
    return {
        "image": "httpd",
        "memory_bytes": 4 * MIB,
        "networks": [{"address": f"{address}/24", "gateway": "10.0.2.2"}],
        "desired_state": "running",
        **changes,
    }


@pytest.fixture
def httpd(api):
    api.upload("httpd", example("httpd"))
    return api


def test_health_needs_no_token(machine):
    anybody = skep.Api(machine.api_port, token=None, fingerprint=machine.api.fingerprint)
    assert anybody.get("/healthz").status_code == 200
    is_problem(anybody.get("/v1/host"), 401)


def test_host(api):
    host = api.host()
    assert host["version"]
    assert host["cpus"] == 2
    memory = host["memory"]
    assert 480 * MIB <= memory["total"] <= 512 * MIB
    assert 0 < memory["used"] <= memory["total"]
    assert memory["used"] + memory["free"] <= memory["total"]
    assert memory["promised"] <= memory["total"]
    assert host["frames"]["free"] * 4096 == memory["free"]
    answers = {"active", "not needed", "off", "cannot be told here"}
    assert host["mitigations"] and set(host["mitigations"].values()) <= answers


def test_without_a_disk_nothing_is_kept(machine, api):
    assert api.host()["storage"] == {"state": "none", "disk": None, "bytes": 0, "used_bytes": 0, "silent_seconds": 0}
    assert "storage: no disk: nothing is kept over a reboot" in machine.serial_text()


def test_image_upload(api):
    data = example("hello").read_bytes()
    first = api.put("/v1/images/hello", data=data)
    assert first.status_code == 201, first.text
    image = first.json()
    assert image["name"] == "hello"
    assert image["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert image["size"] == len(data)
    again = api.put("/v1/images/hello", data=data)
    assert again.status_code == 200, again.text
    assert api.ok("GET", "/v1/images/hello")["digest"] == image["digest"]
    assert [item["name"] for item in api.ok("GET", "/v1/images")["items"]] == ["hello"]
    api.ok("DELETE", "/v1/images/hello")
    is_problem(api.get("/v1/images/hello"), 404)
    is_problem(api.delete("/v1/images/hello"), 404)
    assert api.ok("GET", "/v1/images")["items"] == []


def test_hello(api):
    status, text = run_to_end(api, "hello", example("hello"))
    assert status["state"] == "exited" and status["exit_code"] == 0
    assert "hello" in text.lower()
    assert not status.get("crash")


def test_crash_names_its_functions(api):
    status, _ = run_to_end(api, "crash", example("crash"))
    assert status["state"] == "crashed"
    crash = status["crash"]
    assert crash["reason"]
    assert int(crash["registers"]["rip"], 16) > 0
    assert any(" main+0x" in line for line in crash["backtrace"]), crash["backtrace"]


def test_put_twice_changes_nothing(httpd):
    spec = httpd_spec(NEIGHBOUR)
    first = httpd.put("/v1/guests/web", json=spec)
    assert first.status_code == 201, first.text
    httpd.wait_state("web", "running")
    started = httpd.status("web")["started_at"]
    second = httpd.put("/v1/guests/web", json=spec)
    assert second.status_code == 200, second.text
    assert second.json()["spec"] == first.json()["spec"]
    assert httpd.status("web")["started_at"] == started
    assert httpd.status("web")["state"] == "running"


def test_page_and_status(machine, httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    assert b"<h1>" in machine.wait_page(NEIGHBOUR)
    guest = httpd.ok("GET", "/v1/guests/web")
    assert guest["name"] == "web"
    assert guest["spec"]["image"] == "httpd"
    status = guest["status"]
    assert status["state"] == "running"
    assert any(NEIGHBOUR in address for address in status["addresses"])
    assert status["cpu_time_ns"] > 0
    assert 0 < status["memory_used_bytes"] <= status["memory_peak_bytes"]
    assert status["memory_peak_bytes"] <= guest["spec"]["memory_bytes"]
    assert status["started_at"].endswith("Z") or "+" in status["started_at"]
    assert not status.get("crash")
    names = [item["name"] for item in httpd.ok("GET", "/v1/guests")["items"]]
    assert names == ["web"]


def test_dhcp(machine, httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR, networks=[{"address": "dhcp"}]))

    def address():
        return httpd.status("web")["addresses"]

    leased = skep.wait_for(address, "a DHCP lease")
    assert leased[0].startswith("10.0.2.")


def test_image_in_use_cannot_be_deleted(httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    detail = is_problem(httpd.delete("/v1/images/httpd"), 409)
    assert "web" in detail or "use" in detail
    httpd.delete_guest("web")
    httpd.ok("DELETE", "/v1/images/httpd")


def test_another_image_under_a_name_in_use(httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    is_problem(httpd.put("/v1/images/httpd", data=example("hello").read_bytes()), 409)
    assert httpd.status("web")["state"] == "running"


def test_missing_objects(api):
    is_problem(api.get("/v1/guests/none"), 404)
    is_problem(api.delete("/v1/guests/none"), 404)
    is_problem(api.patch("/v1/guests/none", json={"desired_state": "paused"}), 404)
    is_problem(api.get("/v1/guests/none/log"), 404)
    is_problem(api.get("/v1/nothing"), 404)
    response = api.put("/v1/guests/web", json=httpd_spec(NEIGHBOUR, image="none"))
    assert "none" in is_problem(response, 400, 404, 409, 422)
    is_problem(api.get("/v1/guests/web"), 404)


def test_two_guests_with_one_address(httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    is_problem(httpd.put("/v1/guests/other", json=httpd_spec(NEIGHBOUR)), 409)
    is_problem(httpd.get("/v1/guests/other"), 404)


def test_pause_and_resume(machine, httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    machine.wait_page(NEIGHBOUR)
    httpd.ok("PATCH", "/v1/guests/web", json={"desired_state": "paused"})
    httpd.wait_state("web", "paused")
    cpu_time = httpd.status("web")["cpu_time_ns"]
    assert machine.fetch(NEIGHBOUR, timeout=1) is None
    assert httpd.status("web")["cpu_time_ns"] == cpu_time
    httpd.ok("PATCH", "/v1/guests/web", json={"desired_state": "running"})
    httpd.wait_state("web", "running")
    machine.wait_page(NEIGHBOUR)


def test_stop_and_start_again(machine, httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    machine.wait_page(NEIGHBOUR)
    httpd.ok("PATCH", "/v1/guests/web", json={"desired_state": "stopped"})
    status = httpd.wait_state("web", "exited")
    assert status["exit_code"] == 0
    assert machine.fetch(NEIGHBOUR, timeout=1) is None
    httpd.ok("PATCH", "/v1/guests/web", json={"desired_state": "running"})
    machine.wait_page(NEIGHBOUR)


def test_start_after(httpd):
    spec = {"image": "httpd", "memory_bytes": 4 * MIB, "networks": []}
    first = httpd.create("web", **spec, start_after=["cache", "db"])
    assert first["status"]["state"] == "waiting"
    assert "'cache'" in first["status"]["error"]
    cycle = {"image": "httpd", "start_after": ["web"]}
    assert "cache, web, cache" in is_problem(httpd.put("/v1/guests/cache", json=cycle), 422)
    httpd.create("cache", **spec)
    skep.wait_for(lambda: "'db'" in httpd.status("web").get("error", ""), "db is waited for")
    httpd.create("db", **spec)
    httpd.wait_state("web", "running")


def test_merge_patch_keeps_the_rest(httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR, env={"COLOUR": "blue", "SHAPE": "round"}))
    httpd.ok(
        "PATCH",
        "/v1/guests/web",
        json={"env": {"COLOUR": None, "SIZE": "small"}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    spec = httpd.ok("GET", "/v1/guests/web")["spec"]
    assert spec["env"] == {"SHAPE": "round", "SIZE": "small"}
    assert spec["image"] == "httpd"
    assert spec["networks"][0]["address"] == f"{NEIGHBOUR}/24"


def test_restart_policy(api):
    api.upload("crash", example("crash"))
    api.create(
        "crash", image="crash", memory_bytes=2 * MIB, desired_state="running", restart="on-failure"
    )

    def starts():
        return {api.status("crash").get("started_at")} - {None}

    seen = set()
    skep.wait_for(lambda: seen.update(starts()) or len(seen) >= 2, "it was started again")


def test_log_offsets(httpd):
    httpd.upload("hello", example("hello"))
    httpd.create("hello", image="hello", memory_bytes=2 * MIB, desired_state="running")
    httpd.wait_state("hello", "exited")
    text = httpd.log("hello")
    assert len(text) > 4
    assert httpd.log("hello", offset=3) == text[3:]
    assert httpd.log("hello", offset=len(text)) == b""
    for bad in ("-1", "x", "1e3", ""):
        is_problem(httpd.get(f"/v1/guests/hello/log?offset={bad}"), 400)


def test_log_follow(httpd):
    """A follower gets what is printed after it came, and its stream ends with the guest."""
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    httpd.wait_state("web", "running")
    follower = requests.Session()
    follower.verify, follower.trust_env = False, False
    follower.headers.update(httpd.headers)
    follower.mount("https://", skep.PinnedAdapter(httpd.fingerprint))
    got = bytearray()

    def follow():
        with follower.get(
            f"{httpd.base}/v1/guests/web/log?follow=true", stream=True, timeout=skep.WAIT_SECONDS
        ) as response:
            for piece in response.iter_content(None):
                got.extend(piece)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    skep.wait_for(lambda: got, "the follower has the first lines")
    httpd.ok("PATCH", "/v1/guests/web", json={"desired_state": "stopped"})
    httpd.wait_state("web", "exited")
    thread.join(skep.WAIT_SECONDS)
    assert not thread.is_alive(), "the stream didn't end with the guest"
    assert bytes(got) == httpd.log("web")


def test_lists_keep_alive_and_parallel_connections(machine, httpd):
    httpd.create("web", **httpd_spec(NEIGHBOUR))
    problems = []

    def client():
        own = skep.Api(machine.api_port, machine.token, httpd.fingerprint)
        for _ in range(5):
            if own.get("/v1/guests").status_code != 200:
                problems.append("no list")

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(skep.WAIT_SECONDS)
    assert not problems and not any(thread.is_alive() for thread in threads)


def test_thirty_two_guests_at_once(machine, httpd):
    for i, address in enumerate(CROWD):
        httpd.create(f"web-{i}", **httpd_spec(address, memory_bytes=3 * MIB))
    for address in CROWD:
        machine.wait_page(address)
    states = {item["status"]["state"] for item in httpd.ok("GET", "/v1/guests")["items"]}
    assert states == {"running"}
    assert all(machine.fetch(address) for address in CROWD)
