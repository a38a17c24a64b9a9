"""Guest programs that test from the inside what the guest library promises."""

import re

import pytest

import skep

from helpers import MIB, example, guest_program, run_to_end


@pytest.mark.parametrize("name", ["memory", "threads", "timer"])
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
