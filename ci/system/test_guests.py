"""Guest programs that test from the inside what the guest library promises."""

import pytest

from helpers import MIB, guest_program, run_to_end


@pytest.mark.parametrize("name", ["memory", "threads", "timer"])
@pytest.mark.parametrize("vcpus", [1, 2])
def test_guest_program(api, name, vcpus):
    status, text = run_to_end(
        api, name, guest_program(name), vcpus=vcpus, memory_bytes=16 * MIB
    )
    assert status["state"] == "exited" and status["exit_code"] == 0, f"{text}\n{status}"
