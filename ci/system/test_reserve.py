"""Memory that counts when it is touched: stacks, and what programs map with MAP_NORESERVE."""

import pytest

from helpers import MIB, clear, frames, guest_program, run_to_end, wait_frames

SMALL = 4 * MIB


@pytest.mark.parametrize("vcpus", [1, 4])
def test_far_more_than_there_is(api, vcpus):
    status, text = run_to_end(api, "reserve", guest_program("reserve"), vcpus=vcpus, memory_bytes=SMALL)
    assert status["state"] == "exited" and status["exit_code"] == 0, f"{text}\n{status}"
    assert text.endswith("reserve: ok\n")
    assert status["memory_peak_bytes"] <= SMALL


# What is touched, and what the record calls it.
KINDS = {"stack": "stack", "thread": "stack", "map": "memory", "pointer": "memory"}


@pytest.mark.parametrize("what", KINDS)
def test_a_touch_beyond_the_promise(api, what):
    """It ends the guest that touches, with a record that says why, and nothing happens to its neighbour."""
    api.upload("stay", guest_program("stay"))
    api.create("neighbour", image="stay", memory_bytes=2 * MIB, desired_state="running")
    api.wait_state("neighbour", "running")
    status, text = run_to_end(api, "reserve", guest_program("reserve"), [what], memory_bytes=SMALL)
    assert status["state"] == "crashed", f"{text}\n{status}"
    crash = status["crash"]
    assert crash["reason"] == "out-of-memory"
    assert crash["message"] == "a reserved page was touched when all of the guest's 4096 KiB were used"
    assert crash["mapping"]["kind"] == KINDS[what]
    start = int(crash["mapping"]["start"], 16)
    assert start <= int(crash["address"], 16) < start + crash["mapping"]["bytes"]
    assert "survived" not in text
    if what != "pointer":  # whose malloc() takes all and touches little of it
        assert status["memory_peak_bytes"] > SMALL * 7 // 8
    assert api.status("neighbour")["state"] == "running"


def test_nothing_is_left(api):
    """However a guest with reserved memory ends, all of it comes back."""
    run_to_end(api, "reserve", guest_program("reserve"), ["map"], memory_bytes=SMALL)
    clear(api)
    before, promised = frames(api), api.host()["memory"]["promised"]
    for what in (*KINDS, *KINDS):
        run_to_end(api, "reserve", guest_program("reserve"), [what], memory_bytes=SMALL)
        clear(api)
    wait_frames(api, before, {"guest": 64, "pagetable": 4, "retained": 80, "free": 1 << 20})
    assert abs(api.host()["memory"]["promised"] - promised) <= 80 * 4096  # records of crashes
