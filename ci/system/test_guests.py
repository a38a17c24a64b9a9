"""Guest programs that test from the inside what the guest library promises."""

import re

import pytest

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
