"""Guests that do what no guest may. Each is stopped alone, with the exact reason, while a neighbour keeps answering."""

import re

import pytest

import skep
from conftest import NEIGHBOUR
from helpers import MIB, Watch, example, guest_program, is_problem, run_to_end

NON_CANONICAL = 0x0000800000000000
DIRECT_MAP = 0xFFFF800000100000
CORE_TEXT = 0xFFFFFFFF80100000


def attacks():
    """The attacks that ci/guests/fault.c knows: name and the reasons that are right for each."""
    table = (skep.ROOT / "ci/guests/fault.c").read_text()
    rows = re.findall(r'^    \{"([\w-]+)", \w+, "([\w -]+)"\},$', table, re.M)
    assert len(rows) > 60
    return [pytest.param(name, reasons.split(), id=name) for name, reasons in rows]


@pytest.fixture(scope="module")
def neighbour(machine):
    """A guest that serves throughout the module's tests."""
    api = machine.api
    api.upload("neighbour", example("httpd"))
    api.create(
        "neighbour",
        image="neighbour",
        memory_bytes=4 * MIB,
        networks=[{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}],
        desired_state="running",
    )
    machine.wait_page(NEIGHBOUR)
    with Watch(machine, NEIGHBOUR) as watch:
        yield watch
    assert not watch.failures
    assert api.status("neighbour")["state"] == "running"


@pytest.mark.parametrize("name, reasons", attacks())
def test_attack(api, neighbour, name, reasons):
    status, text = run_to_end(api, "attacker", guest_program("fault"), [name])
    assert f"attack: {name}\n" in text
    if f"survived: {name}\n" in text:
        assert "-" in reasons, "the attack went unnoticed"
        assert status["state"] == "exited" and status["exit_code"] == 0, status
    else:
        assert status["state"] == "crashed", status
        assert status["crash"]["reason"] in reasons, status["crash"]
        assert int(status["crash"]["registers"]["rip"], 16) or name == "jump-null"
    neighbour.wait_answer()


# Where the crash record must say that it was, for attacks on an address that is known.
ADDRESSES = {
    "jump-null": 0,
    "read-null": 8,
    "read-upper": 0xFFFFFFFF80000000,
    "write-upper": 0xFFFFFFFF80000000,
    "read-direct-map": DIRECT_MAP,
    "jump-upper": CORE_TEXT,
    "read-last-page": 0x7FFFFFFFF000,
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_record_of_a_page_fault(api, neighbour, name):
    status, _ = run_to_end(api, "attacker", guest_program("fault"), [name])
    crash = status["crash"]
    assert int(crash["address"], 16) == ADDRESSES[name]
    verb = name.split("-")[0]
    assert crash["access"] == {"jump": "execute"}.get(verb, verb)
    # The function that did it comes first; a jump is none, but its return address is on the stack.
    function = f" {name.replace('-', '_')}+0x"
    assert any(function in line for line in crash["backtrace"][:2]), crash["backtrace"]
    assert any(" skep_main+0x" in line for line in crash["backtrace"]), crash["backtrace"]
    neighbour.wait_answer()


def test_another_guests_memory(api, neighbour):
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
    neighbour.wait_answer()


# Addresses that no guest can name: null, the unmapped first megabyte, the last page, and those above.
WILD = [0, 0x1000, 0x7FFFFFFFF000, NON_CANONICAL, DIRECT_MAP, CORE_TEXT, 2**64 - 8, 2**64 - 1]

# Every hypercall that takes a pointer, by number and arguments (hv/include/skep/abi.h); {} is the wild one.
POINTER_CALLS = {
    "console-write": (0, "{}", 64),
    "abort": (3, "{}", 64),
    "resume": (8, "{}"),
    "vcpu-start": (12, 0, "{}"),
    "queue-setup": (15, "{}"),
}

# Good addresses with lengths that leave them or wrap, and numbers without meaning: name, call, and what may
# become of it besides an error or the caller's end.
ODD_CALLS = {
    "console-write-long": ((0, "buffer", 2**32), "success"),  # cut, and what is left is refused
    "console-write-off-the-end": ((0, "end", 2), None),
    "console-write-wraps": ((0, "buffer", 2**64 - 1), "success"),
    "console-read-into-text": ((1, "text", 64), "success"),  # there is no input to store
    "console-read-wraps": ((1, "buffer", 2**64 - 1), "success"),
    "abort-long": ((3, "buffer", 2**40), "abort"),  # with a message that is cut
    "mem-map-all": ((9, 0, 2**47, 2), None),
    "mem-map-wraps": ((9, "buffer", 2**64 - 4096, 2), None),
    "mem-map-write-and-execute": ((9, 0, 4096, 6), None),
    "mem-map-unaligned": ((9, 0x12345678, 4096, 2), None),
    "mem-protect-text-for-writing": ((10, "text", 4096, 2), None),
    "mem-protect-buffer-for-execution": ((10, "buffer", 4096, 4), None),
    "mem-unmap-wraps": ((11, "buffer", 2**64 - 4096), None),
    "base-set-non-canonical": ((17, 1, NON_CANONICAL), None),
    "vcpu-start-far": ((12, 2**32 - 1, "buffer"), None),
    "vcpu-start-itself": ((12, 0, "buffer"), None),
    "event-send-far": ((14, 2**32, 1), None),
    "event-send-unknown": ((14, 0, 64), None),
    "queue-setup-off-the-end": ((15, "end"), None),
    "queue-kick-far": ((16, 2**63), None),
    "resume-off-the-end": ((8, "end"), None),
}

EPERM, ENOENT, ENOMEM, EBUSY, EEXIST, ENODEV, EINVAL, ENOSYS = 1, 2, 12, 16, 17, 19, 22, 88


def pointer_cases():
    for name, call in POINTER_CALLS.items():
        for address in WILD:
            words = [hex(address) if word == "{}" else str(word) for word in call]
            yield pytest.param(words, address, id=f"{name}-{address:#x}")


def make_call(api, words, **spec):
    """Has a guest make a hypercall. ("error", n), ("crash", reason) or ("success", n), and its status."""
    words = [str(word) for word in words]
    status, text = run_to_end(api, "caller", guest_program("wild"), words, **spec)
    assert f"attempting hypercall {int(words[0], 0)} " in text
    result = re.search(r"result (-?\d+)\n", text)
    if status["state"] == "crashed":
        assert not result
        return ("crash", status["crash"]["reason"]), status
    value = int(result[1])
    return ("error", -value) if value < 0 else ("success", value), status


@pytest.mark.parametrize("words, address", pointer_cases())
def test_wild_pointer(api, neighbour, words, address):
    """A pointer that leads nowhere ends the caller, and the record says which it was."""
    outcome, status = make_call(api, words)
    assert outcome == ("crash", "bad-hypercall")
    assert int(status["crash"]["address"], 16) == address
    neighbour.wait_answer()


@pytest.mark.parametrize("call, other", ODD_CALLS.values(), ids=ODD_CALLS)
def test_odd_call(api, neighbour, call, other):
    (kind, value), _ = make_call(api, call)
    if kind == "crash":
        assert value in ("bad-hypercall", other)
    elif kind == "error":
        assert value in (EPERM, EINVAL, ENOMEM, EBUSY, EEXIST, ENODEV, ENOENT), value
    else:
        assert other == "success", f"it succeeded with {value}"
    neighbour.wait_answer()


@pytest.mark.parametrize("number", [18, 63, 64, 70, 87, 200, 2**31, 2**32, 2**63, 2**64 - 1])
def test_calls_that_are_not_for_guests(api, neighbour, number):
    outcome, _ = make_call(api, [number, "buffer", 64])
    assert outcome in (("error", ENOSYS), ("error", EPERM))
    neighbour.wait_answer()


def test_bad_values_in_every_argument(api, neighbour):
    """Hundreds of cases, most of them in one guest; where one ends it, another goes on behind."""
    first = 0
    for guest in range(400):
        name = f"caller-{guest}"
        # Memory enough for a log that keeps all of it.
        status, text = run_to_end(
            api, name, guest_program("hypercalls"), [str(first)], memory_bytes=16 * MIB
        )
        assert "NOT REFUSED" not in text
        if status["state"] == "exited":
            assert status["exit_code"] == 0 and "hypercalls: done\n" in text
            break
        number, call = re.findall(r"^case (\d+): (\w+)", text, re.M)[-1]
        reason = status["crash"]["reason"]
        # An abort is what it asked for, and a context that was read from anywhere may lead anywhere.
        assert reason in ("bad-hypercall", "out-of-memory") or call in ("abort", "resume"), text
        assert int(number) >= first, text
        first = int(number) + 1
        api.ok("DELETE", f"/v1/guests/{name}")
    else:
        pytest.fail("there is no end of guests")
    neighbour.wait_answer()


def test_memory_beyond_the_promise(api, neighbour):
    outcome, _ = make_call(api, ["9", "0", 64 * MIB, "2"], memory_bytes=4 * MIB)
    assert outcome == ("error", ENOMEM)
    neighbour.wait_answer()


def test_a_crashed_guest_can_be_deleted(api, neighbour):
    run_to_end(api, "attacker", guest_program("fault"), ["illegal"])
    api.delete_guest("attacker")
    is_problem(api.get("/v1/guests/attacker"), 404)
    neighbour.wait_answer()
