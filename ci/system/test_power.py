"""The machine's end by the API: guests stop first, within their grace; then it is off, or boots again."""

import pytest

import skep
from conftest import NEIGHBOUR
from helpers import MIB, example, guest_program, is_problem

# Nothing that a test creates may be left, so each has a machine of its own.


def web(**changes):
    networks = [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}]
    return {"image": "httpd", "memory_bytes": 4 * MIB, "networks": networks} | changes


@pytest.fixture
def machine(folder, request):
    reboot = getattr(request, "param", False)
    with skep.Machine(
        folder / request.node.name, elf=skep.build_exists(), forwards=[NEIGHBOUR], reboot=reboot
    ) as machine:
        api = machine.wait_api()
        api.upload("httpd", example("httpd"))
        api.upload("deaf", guest_program("deaf"))
        yield machine


def wait_exit(machine, seconds=30):
    skep.wait_for(lambda: machine.process.poll() is not None, "QEMU ends", seconds)
    assert machine.process.returncode == 0, machine.serial_tail()
    assert "PANIC" not in machine.serial_text(), machine.serial_tail()


def test_shutdown(machine):
    api = machine.api
    api.create("web", **web())
    api.create("paused", **web(networks=[], desired_state="running"))
    api.ok("PATCH", "/v1/guests/paused", json={"desired_state": "paused"})
    machine.wait_page(NEIGHBOUR)
    assert api.host()["power"] == "on"
    answer = api.post("/v1/host/shutdown")
    assert answer.status_code == 202 and answer.json() == {"power": "shutting-down"}
    wait_exit(machine)
    text = machine.serial_text()
    assert "didn't stop" not in text
    assert text.index("the guests are asked to stop") < text.index("all guests have ended")
    assert text.index("all guests have ended") < text.index("powering off")


def test_nothing_changes_while_it_ends(machine):
    """One guest doesn't heed the request to stop: until its grace has passed the API tells and refuses."""
    api = machine.api
    api.create("deaf", image="deaf", memory_bytes=4 * MIB, stop_grace_ms=60000)
    api.wait_state("deaf", "running")
    assert api.post("/v1/host/reboot", json={"grace_ms": 4000}).status_code == 202
    is_problem(api.put("/v1/guests/web", json=web()), 503)
    is_problem(api.patch("/v1/guests/deaf", json={"weight": 7}), 503)
    is_problem(api.delete("/v1/guests/deaf"), 503)
    is_problem(api.put("/v1/images/more", data=example("hello").read_bytes()), 503)
    is_problem(api.post("/v1/host/shutdown"), 503)
    assert api.host()["power"] == "rebooting"
    assert api.status("deaf")["state"] == "stopping"
    wait_exit(machine)
    assert "guest 'deaf' didn't stop within 4000 ms and is ended" in machine.serial_text()


@pytest.mark.parametrize("machine", [True], indirect=True)
def test_reboot(machine):
    """It boots again, empty, and serves."""
    first = machine.api.fingerprint
    machine.api.create("web", **web())
    machine.wait_page(NEIGHBOUR)
    assert machine.api.post("/v1/host/reboot").status_code == 202

    def booted_again():
        machine.check_alive()
        return machine.serial_text().count(skep.READY) == 2

    skep.wait_for(booted_again, "Skep is up again", skep.BOOT_SECONDS)
    api = machine.wait_api()
    assert api.fingerprint != first
    assert api.ok("GET", "/v1/guests")["items"] == []
    assert api.host()["uptime_ns"] < 60e9


@pytest.mark.parametrize(
    "body, word",
    [({"grace_ms": -1}, "grace_ms"), ({"grace": 1}, "grace_ms"), ([1], "object")],
)
def test_bad_bodies(machine, body, word):
    for action in ("reboot", "shutdown"):
        assert word in is_problem(machine.api.post(f"/v1/host/{action}", json=body), 422)
    assert machine.api.host()["power"] == "on"
    is_problem(machine.api.get("/v1/host/shutdown"), 405)
