"""A thousand guests come and go, and every frame is back where it was."""

import endure

import skep
from helpers import MIB, example, frames, wait_frames

ROUNDS = 1000
# What is in memory fills up first: 256 records of the audit trail, without a disk, and 1,024 events. A round makes two of
# each at least.
ROUNDS_BEFORE = 520
# The control service's heap reaches a new height when two of its threads happen to need it at once, and grows by some 20
# frames then. What is in use of it shows what a round leaks, from 32 bytes a round on; 12,000 bytes more were seen.
HEAP = {"guest": 64}
HEAP_GROWTH = 32 * ROUNDS


def heap_used(api):
    return endure.machine_memory(api)[endure.HEAP]


def one_round(api, number):
    name = f"round-{number % 7}"
    api.create(name, image="hello", memory_bytes=2 * MIB, desired_state="running")
    if number % 3 == 0:  # some end by themselves, some are deleted wherever they happen to be
        api.wait_state(name, "exited")
    api.ok("DELETE", f"/v1/guests/{name}")
    skep.wait_for(
        lambda: api.get(f"/v1/guests/{name}").status_code == 404, f"{name} is gone", interval=0.005
    )


def test_a_thousand_rounds(machine, api):
    api.upload("hello", example("hello"))
    for number in range(ROUNDS_BEFORE):
        one_round(api, number)
    before, memory, used = frames(api), api.host()["memory"], heap_used(api)
    for number in range(ROUNDS):
        one_round(api, number)
        if number % 100 == 0:
            machine.check_alive()
    wait_frames(api, before, HEAP)
    skep.wait_for(lambda: heap_used(api) <= used + HEAP_GROWTH, f"no more than {used:,} bytes of the heap are in use")
    print(f"the heap in use: {used:,} bytes before, {heap_used(api):,} after")
    now = api.host()["memory"]
    assert now["promised"] == memory["promised"]
    assert abs(now["used"] - memory["used"]) <= HEAP["guest"] * 4096
