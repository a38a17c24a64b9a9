"""Records of guests that crashed. What guests may not do, and whether it is stopped, is for ci/hostile."""

import re

import pytest

import skep
from helpers import MIB, guest_program, is_problem, run_to_end

HOSTILE = skep.BUILD / "hostile/faults.elf"

# Where the record must say that it was.
ADDRESSES = {
    "jump-null": 0,
    "read-null": 8,
    "read-upper": 0xFFFFFFFF80100000,
    "write-upper": 0xFFFFFFFF80100000,
    "read-direct-map": 0xFFFF800000100000,
    "jump-upper": 0xFFFFFFFF80100000,
    "read-last-page": 0x7FFFFFFFF000,
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_record_of_a_page_fault(api, name):
    status, _ = run_to_end(api, "attacker", HOSTILE, [name])
    crash = status["crash"]
    assert int(crash["address"], 16) == ADDRESSES[name]
    verb = name.split("-")[0]
    assert crash["access"] == {"jump": "execute"}.get(verb, verb)
    # The function that did it comes first; a jump is none, but its return address is on the stack.
    function = f" {name.replace('-', '_')}+0x"
    assert any(function in line for line in crash["backtrace"][:2]), crash["backtrace"]
    assert any(" _start+0x" in line for line in crash["backtrace"]), crash["backtrace"]


def test_another_guests_memory(api):
    """The same address, in another guest, isn't the same memory."""
    api.upload("secret", guest_program("secret"))
    api.create("keeper", image="secret", memory_bytes=4 * MIB, desired_state="running")
    match = skep.wait_for(
        lambda: re.search(rb"secret at (0x[0-9a-f]+)\n", api.log("keeper")), "the secret's address"
    )
    where = match[1].decode()
    for how in ("read", "write"):
        status, text = run_to_end(api, f"thief-{how}", guest_program("secret"), [how, where])
        assert f"attempting to {how}\n" in text
        # Bases are random, so there is nothing at this address here.
        assert "survived" not in text
        assert status["crash"]["reason"] == "page-fault", status
        assert int(status["crash"]["address"], 16) == int(where, 16)
    assert api.status("keeper")["state"] == "running"
    assert b"changed" not in api.log("keeper")


def test_a_crashed_guest_can_be_deleted(api):
    run_to_end(api, "attacker", HOSTILE, ["divide"])
    api.delete_guest("attacker")
    is_problem(api.get("/v1/guests/attacker"), 404)
