"""What malloc() finds out about programs that misuse memory, what it gives back, and how random a start is."""

import re

import pytest

import skep
from helpers import MIB, guest_program, run_to_end

DOUBLE, INVALID = r"double free of 0x[0-9a-f]{16}", r"invalid free of 0x[0-9a-f]{16}"
OVERFLOW = r"heap overflow: written beyond the end of 0x[0-9a-f]{16}"

# What each misuse ends with: the reason of the crash, and the message if there is one.
MISUSES = {
    "double-free": ("abort", DOUBLE),
    "double-free-joined": ("abort", DOUBLE),
    "double-free-large": ("abort", DOUBLE),
    "free-middle": ("abort", INVALID),
    "free-stack": ("abort", INVALID),
    "free-static": ("abort", INVALID),
    "free-large-middle": ("abort", INVALID),
    "overflow-one": ("abort", OVERFLOW),
    "overflow-header": ("abort", OVERFLOW),
    "overflow-realloc": ("abort", OVERFLOW),
    "overflow-large": ("guard-page", ""),
    "overflow-large-one": ("abort", OVERFLOW),
    "underflow-large": ("guard-page", ""),
    "read-freed-large": ("page-fault", ""),
    "write-freed": ("abort", r"heap overwritten near 0x[0-9a-f]{16}"),
    "write-kept": ("abort", r"heap overwritten near 0x[0-9a-f]{16}"),
    "smash-stack": ("abort", "stack smashing detected"),
    "overflow-thread-stack": ("guard-page", ""),
}


def check_crash(status, text, name):
    reason, message = MISUSES[name]
    assert text.endswith(f"about to {name}\n"), text
    assert status["state"] == "crashed", status
    crash = status["crash"]
    assert crash["reason"] == reason, crash
    assert re.fullmatch(message, crash.get("message", "")), crash
    return crash


@pytest.mark.parametrize("name", MISUSES)
def test_misuse(api, name):
    status, text = run_to_end(api, "misuser", guest_program("heap"), [name])
    crash = check_crash(status, text, name)
    assert any(f" {name.replace('-', '_')}+0x" in line for line in crash["backtrace"]) or (
        name in ("free-middle", "free-large-middle", "smash-stack", "overflow-thread-stack")
    ), crash["backtrace"]


@pytest.mark.parametrize("name", ["overflow-thread-stack", "double-free", "overflow-large", "smash-stack"])
def test_misuse_on_another_vcpu(api, name):
    """The first vCPU is kept busy by main meanwhile."""
    status, text = run_to_end(api, "misuser", guest_program("heap"), [name, "thread"], vcpus=4)
    assert check_crash(status, text, name)["vcpu"] != 0, status


@pytest.mark.parametrize("what", ["sizes", "threads"])
def test_all_is_well(api, what):
    status, text = run_to_end(api, what, guest_program("heap"), [what], vcpus=4)
    assert status["state"] == "exited" and status["exit_code"] == 0, f"{text}\n{status}"


def test_freed_memory_is_given_back(api):
    api.upload("heap", guest_program("heap"))

    def used(what):
        return api.status(what)["memory_used_bytes"]

    for what in ("nothing", "large", "all"):
        api.create(
            what,
            image="heap",
            memory_bytes=16 * MIB,
            args=["give-back", what],
            desired_state="running",
            restart="never",
        )
        skep.wait_for(
            lambda what=what: f"freed {what}\n".encode() in api.log(what), f"{what} was freed"
        )
    # Page tables stay. What was unmapped counts until no CPU can reach it any more.
    skep.wait_for(
        lambda: used("nothing") - used("large") >= 4 * MIB - 64 * 1024, "a large block is back"
    )
    skep.wait_for(
        lambda: used("large") - used("all") >= 4000 * 1000 - 512 * 1024, "the rest is back"
    )


def test_each_start_is_laid_out_anew(api):
    """Places and the canary differ between starts of one image. That two agree by chance is less likely than 1
    in 30,000 for the heap, and far less for the rest."""
    seen = []
    for start in range(4):
        _, text = run_to_end(api, f"layout-{start}", guest_program("heap"), ["layout"])
        seen.append(re.fullmatch(r"image (\S+) stack (\S+) heap (\S+) large (\S+) canary (\S+)\n", text).groups())
    for kind in zip(*seen):
        assert len(set(kind)) == len(kind), seen
    for *_, canary in seen:
        assert len(canary) > 8 and canary.endswith("00")  # ends strings
