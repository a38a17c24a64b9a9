"""Guest programs that test from the inside what the guest library promises."""

import re

import pytest

import skep

from helpers import MIB, example, guest_program, run_to_end


@pytest.mark.parametrize("name", ["errands", "memory", "threads", "timer"])
@pytest.mark.parametrize("vcpus", [1, 4])
def test_guest_program(api, name, vcpus):
    status, text = run_to_end(
        api, name, guest_program(name), vcpus=vcpus, memory_bytes=16 * MIB
    )
    assert status["state"] == "exited" and status["exit_code"] == 0, f"{text}\n{status}"


@pytest.mark.parametrize("vcpus", [2, 4, 32])
def test_threads_on_several_vcpus(api, vcpus):
    status, text = run_to_end(
        api, "smp", guest_program("smp"), vcpus=vcpus, memory_bytes=16 * MIB
    )
    assert status["state"] == "exited" and status["exit_code"] == 0, f"{text}\n{status}"
    assert text.endswith("smp: ok\n")


def test_scaling(api):
    status, text = run_to_end(api, "scaling", example("scaling"), ["3", "200000"], vcpus=3)
    assert status["state"] == "exited" and status["exit_code"] == 0, f"{text}\n{status}"
    assert text.count("17984 primes below 200000") == 2
    assert re.search(r"scaling: \d+\.\d\d times as fast\n", text)


def test_vcpus_change_while_threads_run(api):
    """Up and down, with the threads moving along; and an orderly end on whatever vCPUs there are then."""
    api.upload("resize", guest_program("resize"))
    api.create(
        "resize",
        image="resize",
        memory_bytes=8 * MIB,
        vcpus=1,
        max_vcpus=4,
        desired_state="running",
        restart="never",
    )
    lines = b""
    for vcpus in [1, 4, 2, 3, 1, 4, 1, 2]:
        api.ok("PATCH", "/v1/guests/resize", json={"vcpus": vcpus})
        lines += b"running on %d\n" % vcpus
        skep.wait_for(lambda: api.log("resize") == lines, f"threads on {vcpus} vCPUs")
    api.ok("PATCH", "/v1/guests/resize", json={"desired_state": "stopped"})
    status = api.wait_state("resize", "exited", "crashed")
    assert status["state"] == "exited" and status["exit_code"] == 0, status
    assert api.log("resize") == lines + b"resize: ok\n"


# Where main is when the guest is asked to stop, what it has in place for SIGTERM, and its exit code.
STOPS = [
    *((place, "default", 0) for place in ("accept", "poll", "sleep", "cond", "loop")),
    *((place, "exit", 7) for place in ("accept", "poll", "sleep", "cond", "loop")),
    *((place, "sigwait", 8) for place in ("accept", "sleep", "loop")),
    *((place, "handler", 9) for place in ("poll", "sleep", "loop")),
]


@pytest.mark.parametrize("vcpus", [1, 3])
@pytest.mark.parametrize("place, how, code", STOPS)
def test_stops_when_asked(api, place, how, code, vcpus):
    if api.get("/v1/images/stop").status_code == 404:
        api.upload("stop", guest_program("stop"))
    api.create(
        "stop",
        image="stop",
        memory_bytes=4 * MIB,
        vcpus=vcpus,
        args=[place, how],
        stop_grace_ms=60000,  # it has not to be ended by force
        desired_state="running",
        restart="never",
    )
    skep.wait_for(lambda: api.log("stop") == b"ready\n", "the guest is ready")
    api.ok("PATCH", "/v1/guests/stop", json={"desired_state": "stopped"})
    status = api.wait_state("stop", "exited", "crashed", seconds=50)
    assert (status["state"], status["exit_code"]) == ("exited", code), api.log("stop")


def test_clock_across_pauses(api):
    """Read by threads on several vCPUs in turn, it never goes back, and goes on after each pause."""
    api.upload("smp", guest_program("smp"))
    api.create(
        "clock",
        image="smp",
        memory_bytes=8 * MIB,
        vcpus=3,
        args=["clock"],
        desired_state="running",
        restart="never",
    )
    for _ in range(4):
        printed = len(api.log("clock"))
        skep.wait_for(lambda: len(api.log("clock")) > printed, "the clock goes on")
        api.ok("PATCH", "/v1/guests/clock", json={"desired_state": "paused"})
        api.wait_state("clock", "paused")
        api.ok("PATCH", "/v1/guests/clock", json={"desired_state": "running"})
        api.wait_state("clock", "running")
    api.ok("PATCH", "/v1/guests/clock", json={"desired_state": "stopped"})
    status = api.wait_state("clock", "exited", "crashed")
    assert status["state"] == "exited" and status["exit_code"] == 0, api.log("clock")
    assert api.log("clock").endswith(b"smp: clock ok\n")
