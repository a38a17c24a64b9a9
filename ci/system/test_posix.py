"""Programs that only use POSIX and what Linux has beside do in a guest what they do on Linux: they print the same."""

import re
import signal
import subprocess

import pytest

import skep

from conftest import boot
from helpers import MIB, guest_program, run_to_end

SOURCES = skep.ROOT / "ci/guests"


def built_for_linux(name, folder):
    program = folder / name
    subprocess.run(
        ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-pthread", "-o", program, SOURCES / f"{name}.c", "-lm"],
        check=True,
        timeout=60,
    )
    return program


def on_linux(name, folder):
    """What the program prints on the machine that tests."""
    program = built_for_linux(name, folder)
    return subprocess.run(
        [program], cwd=SOURCES, check=True, timeout=60, stdout=subprocess.PIPE, text=True
    ).stdout


def same_as_on_linux(api, name, folder, spec_with, program=None):
    """With one CPU and with three; spec_with: what else the spec has then; program: the guest's, if its name is another."""
    expected = on_linux(name, folder)
    assert expected.endswith(f"{name}: ok\n")
    for vcpus in [1, 3]:
        status, text = run_to_end(
            api, f"{name}-{vcpus}", guest_program(program or name), vcpus=vcpus, **spec_with(vcpus)
        )
        assert text.splitlines() == expected.splitlines()
        assert status["state"] == "exited" and status["exit_code"] == 0, status


@pytest.mark.parametrize(
    "name",
    [
        "absent",
        "complexes",
        "contexts",
        "cpus",
        "dates",
        "descriptions",
        "events",
        "extras",
        "faults",
        "handlers",
        "identity",
        "library",
        "local",
        "locks",
        "mappings",
        "messages",
        "numbers",
        "patterns",
        "rights",
        "searches",
        "texts",
    ],
)
def test_same_as_on_linux(api, name, tmp_path):
    same_as_on_linux(api, name, tmp_path, lambda vcpus: {"memory_bytes": 4 * MIB})


def test_same_as_on_linux_with_volumes(api, tmp_path):
    """Functions on paths are others in a program that could have volumes."""
    same_as_on_linux(api, "local", tmp_path, lambda vcpus: {"memory_bytes": 4 * MIB}, "local_fs")


def test_same_as_on_linux_at_length(api, tmp_path):
    """It prints more than the console of a smaller guest keeps."""
    same_as_on_linux(api, "corners", tmp_path, lambda vcpus: {"memory_bytes": 8 * MIB})


@pytest.mark.parametrize("name", ["cancel", "interrupts", "signals"])
def test_same_as_on_linux_with_a_network(api, name, tmp_path):
    same_as_on_linux(
        api,
        name,
        tmp_path,
        lambda vcpus: {"memory_bytes": 16 * MIB, "networks": [{"address": f"10.9.8.{vcpus}/24"}]},
    )


def test_broken_pipe(api):
    """Without a handler the signal ends a program, as on Linux."""
    status, text = run_to_end(api, "broken-pipe", guest_program("signals"), args=["signals", "pipe"])
    assert text == "writes\n"
    assert status["state"] == "crashed" and status["crash"]["reason"] == "abort", status
    assert status["crash"]["message"] == "signal 13", status


# What the program prints before, and which function the crash record is about. "nested": of the fault in the handler.
ENDS = {
    "default": ("", "page-fault", "write_at"),
    "ignored": ("", "page-fault", "write_at"),
    "blocked": ("", "page-fault", "write_at"),
    "gone": ("", "page-fault", "write_at"),
    "once": ("handled\n", "page-fault", "write_at"),
    "nested": ("handled\n", "divide-error", "divide"),
    "overflow": ("", "guard-page", "overflow"),
}


@pytest.mark.parametrize("how", ENDS)
def test_faults_that_nothing_handles(api, how, tmp_path):
    """As a program of Linux' dies of the signal, a guest ends with the record of a program that handles no faults."""
    said, reason, function = ENDS[how]
    program = built_for_linux("faults", tmp_path)
    result = subprocess.run([program, how], timeout=60, stdout=subprocess.PIPE, text=True)
    assert result.stdout == f"{how}\n{said}"
    assert result.returncode == -(signal.SIGFPE if reason == "divide-error" else signal.SIGSEGV)
    status, text = run_to_end(api, f"faults-{how}", guest_program("faults"), args=["faults", how], vcpus=2)
    assert text == result.stdout
    crash = status["crash"]
    assert status["state"] == "crashed" and crash["reason"] == reason, status
    assert re.search(rf" {function}[.+]", crash["backtrace"][0]), crash["backtrace"]
    assert any(" main+0x" in line for line in crash["backtrace"]) or how == "overflow", crash["backtrace"]


def test_a_warning_comes_first(api):
    """Before any function that newlib has prepared its streams in. The program has functions of Skep's names."""
    status, text = run_to_end(api, "warns", guest_program("warns"), args=["/bin/warns"])
    assert text == "warns: mine\n" and status["exit_code"] == 0, (status, text)


def test_sockets(api):
    """The checks of a program that ctest has run on Linux before, over the guest's own loopback."""
    status, text = run_to_end(
        api,
        "sockets",
        skep.BUILD / "net/test/sockets.elf",
        vcpus=2,
        memory_bytes=16 * MIB,
        networks=[{"address": "10.9.8.7/24"}],
    )
    assert re.fullmatch(r"sockets: all \d+ checks passed\n", text), text
    assert status["state"] == "exited" and status["exit_code"] == 0, status


def test_refused_datagrams(api):
    """Of both families, from another guest, whose port nobody has."""
    addresses = lambda number: [{"address": f"10.9.8.{number}/24", "address6": f"fd00:9::{number}/64"}]  # noqa: E731
    api.upload("packets", guest_program("packets"))
    api.create(
        "neighbour", image="packets", memory_bytes=4 * MIB, networks=addresses(1), args=["sink"], desired_state="running"
    )
    skep.wait_for(lambda: b"sink" in api.log("neighbour"), "the neighbour")
    for number, address in [(2, "10.9.8.1"), (3, "fd00:9::1")]:
        status, text = run_to_end(
            api, f"refused-{number}", guest_program("refused"), args=[address], networks=addresses(number)
        )
        assert text == "refused: ok\n" and status["exit_code"] == 0, text
    api.ok("DELETE", "/v1/guests/neighbour")


def test_names(api):
    """Of a name server that the guest itself is."""
    status, text = run_to_end(
        api,
        "names",
        guest_program("names"),
        memory_bytes=16 * MIB,
        networks=[{"address": "10.9.8.7/24", "address6": "fd00:9::7/64", "dns": "10.9.8.7"}],
    )
    assert text.splitlines() == [
        "any: fd00:5::1 10.1.2.3",
        "IPv4: 10.1.2.3",
        "IPv6: fd00:5::1",
        "mapped: fd00:5::1",
        "all: fd00:5::1",
        "all mapped: fd00:5::1 ::ffff:10.1.2.3",
        "IPv4's name: name not known",
        "IPv4's name, mapped: ::ffff:10.1.2.4",
        "IPv4's name, all mapped: ::ffff:10.1.2.4",
        "nobody's: name not known",
        "by name: both.example 10.1.2.3",
        "of IPv6: both.example fd00:5::1",
        "has none:  none",
        "in room: old.example 10.1.2.4",
        "by address: localhost 127.0.0.1",
        "by IPv6's: localhost ::1",
        "that in room: localhost 127.0.0.1",
        "names: ok",
    ]
    assert status["state"] == "exited" and status["exit_code"] == 0, status


@pytest.mark.parametrize("vcpus", [1, 3])
def test_waits_that_are_cancelled(api, vcpus):
    """Nobody has the name server's address. A question that is answered late, to nobody, leaves nothing behind."""
    status, text = run_to_end(
        api,
        f"waits-{vcpus}",
        guest_program("waits"),
        vcpus=vcpus,
        memory_bytes=16 * MIB,
        networks=[{"address": f"10.9.8.{vcpus}/24", "dns": "10.9.8.99"}],
    )
    assert text.splitlines() == ["console: free", "names: nothing is lost", "waits: ok"]
    assert status["state"] == "exited" and status["exit_code"] == 0, status


def test_bind_waits_on(folder):
    """For a router's advertisement, and there is no router: as long as bind() waits for any, though its thread is cancelled."""
    for machine in boot(folder, "no-router", ipv6=False):
        status, text = run_to_end(
            machine.api,
            "waits",
            guest_program("waits"),
            args=["bind"],
            networks=[{"address": "10.9.8.7/24", "address6": "auto"}],
        )
        assert text.splitlines() == ["bind: waits on", "waits: ok"]
        assert status["exit_code"] == 0, status


def test_no_other_processes(api):
    """Who asks for one is told so on the console, with its place in the program."""
    elf = guest_program("processes")
    status, text = run_to_end(api, "processes", elf)
    assert status["state"] == "exited" and status["exit_code"] == 0, text
    *lines, end = text.splitlines()
    assert end == "processes: ok"
    asked = []
    for line in lines:
        function, address = re.fullmatch(
            r"(\w+)\(\): a guest has no other processes; called at (0x[0-9a-f]+)", line
        ).groups()
        caller = subprocess.check_output(["addr2line", "-f", "-e", elf, address], text=True)
        asked.append((function, caller.splitlines()[0]))
    assert asked == [
        ("fork", "ask_for_a_copy"),
        ("execve", "ask_for_another_program"),
        ("execlp", "ask_for_another_program"),
        ("posix_spawn", "main"),
        ("system", "main"),
        ("popen", "main"),
    ]
