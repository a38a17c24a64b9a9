"""The machine around ring 0: panics and what is kept of them, the watchdog, NMIs, power."""

import contextlib
import http.client
import json
import re
import socket
import subprocess

import pytest

import skep
import slow
from conftest import NEIGHBOUR
from helpers import MIB, example, guest_program

GUEST = "10.0.2.20"
CONNECTIONS = 32  # hv/control/server.h
PANIC_TOLD = "the machine was reset after a panic, which said:"


class Monitor:
    """QEMU's machine protocol on a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile()
        self.lines.readline()  # its greeting
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode())
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def human(self, line):
        return self.run("human-monitor-command", **{"command-line": line})

    def close(self):
        self.lines.close()
        self.socket.close()


@contextlib.contextmanager
def booted(folder, name, extra=(), **options):
    """A Skep with a monitor; resets boot it again."""
    options.setdefault("elf", skep.build_exists())
    path = folder / f"{name}.qmp"
    extra = [*extra, "-qmp", f"unix:{path},server=on,wait=off"]
    options.setdefault("reboot", True)
    with skep.Machine(folder / name, extra=extra, **options) as machine:
        machine.wait_api()
        monitor = Monitor(path)
        try:
            yield machine, monitor
        finally:
            monitor.close()


def wait_count(machine, text, count):
    """Waits until the serial console has shown a text that often."""

    def shown():
        assert machine.process.poll() is None, machine.serial_tail()
        return machine.serial_text().count(text) >= count

    skep.wait_for(shown, f"{text!r} shown {count} times", skep.BOOT_SECONDS)


def test_panic_is_told_at_the_next_boot(folder):
    debug = skep.build_exists(skep.DEBUG_BUILD)
    with booted(folder, "panic", elf=debug, append="debug=panic panic=reboot") as (machine, monitor):
        monitor.human("nmi")
        wait_count(machine, skep.READY, 2)
        first, second = machine.serial_text().split(PANIC_TOLD)
        said = second.split("(end of what the panic said)")[0]
        for text in (first, said):
            assert "PANIC: asked for by debug=panic" in text
            assert re.search(r"\n  [0-9a-f]{16} debug_nmi\+0x[0-9a-f]+\n", text), text
            assert re.search(r"\n  [0-9a-f]{16} entry_paranoid\+0x[0-9a-f]+\n", text), text
        by_api = skep.Api(machine.api_port, machine.token).get("/v1/host/panic")
        assert by_api.status_code == 200
        assert "PANIC: asked for by debug=panic" in by_api.text
        # Told once, though memory is kept again.
        monitor.run("system_reset")
        wait_count(machine, skep.READY, 3)
        assert machine.serial_text().count(PANIC_TOLD) == 1


class Debugger:
    """As much of GDB's remote protocol as it takes to write memory. The machine stands still meanwhile."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))

    def send(self, packet):
        """The answer; what the machine tells on its own (that it stopped) is passed over."""
        self.socket.sendall(b"$%s#%02x" % (packet, sum(packet) & 255))
        received = b""
        while True:
            part = self.socket.recv(4096)
            assert part, received
            received += part
            for answer in re.findall(rb"\$([^#]*)#..", received):
                if not answer.startswith(b"T"):
                    self.socket.sendall(b"+")
                    return answer

    def write(self, address, data):
        assert self.send(b"M%x,%x:%s" % (address, len(data), data.hex().encode())) == b"OK"

    def go_on(self):
        assert self.send(b"D") == b"OK"
        self.socket.close()


DIRECT_BASE = 0xFFFF800000000000
PANIC_RECORD = 16 << 20  # magic, length, checksum, text


@pytest.mark.parametrize(
    "offset,data",
    [(24 + 100, b"\x00"), (8, b"\xff" * 8), (8, b"\x01"), (16, b"\x00" * 8), (0, b"\x00")],
    ids=["text", "length-large", "length", "checksum", "magic"],
)
def test_damaged_panic_log_is_not_believed(folder, request, offset, data):
    name = f"damaged-{request.node.callspec.id}"
    debugger = folder / f"{name}.gdb"
    with booted(
        folder,
        name,
        elf=skep.build_exists(skep.DEBUG_BUILD),
        append="debug=panic panic=halt",
        extra=["-gdb", f"unix:{debugger},server=on,wait=off"],
    ) as (machine, monitor):
        monitor.human("nmi")
        wait_count(machine, "The machine has stopped.", 1)
        words = monitor.human(f"xp /2gx {PANIC_RECORD:#x}")
        magic, length = (int(word, 16) for word in re.findall(r"0x([0-9a-f]{16})\b", words))
        assert magic.to_bytes(8, "little") == b"SKEPPNC1"
        assert 100 < length < 12288
        connection = Debugger(debugger)
        connection.write(DIRECT_BASE + PANIC_RECORD + offset, data)
        connection.go_on()
        monitor.run("system_reset")
        wait_count(machine, skep.READY, 2)
        assert PANIC_TOLD not in machine.serial_text()


@pytest.mark.parametrize("cpus", [1, 2])
def test_watchdog_resets_a_hung_machine(folder, cpus):
    debug = skep.build_exists(skep.DEBUG_BUILD)
    with booted(
        folder,
        f"hang-{cpus}",
        elf=debug,
        cpus=cpus,
        append="debug=hang watchdog=4",
        extra=["-device", "i6300esb"],
    ) as (machine, monitor):
        assert "watchdog: 6300ESB, 4 seconds\n" in machine.serial_text()
        monitor.human("nmi")
        wait_count(machine, skep.READY, 2)
        assert "it has reset the machine, which did not go on" in machine.serial_text()
        machine.wait_api()


def test_watchdog_minds_no_hung_guest(folder):
    with booted(
        folder, "hung-guest", cpus=2, append="watchdog=2", extra=["-device", "i6300esb"]
    ) as (machine, _):
        api = machine.api
        api.upload("spin", example("spin"))
        for name in ("one", "two", "three"):
            api.create(name, image="spin", memory_bytes=4 * MIB, desired_state="running")
        end = api.host()["uptime_ns"] + 8_000_000_000
        skep.wait_for(lambda: api.host()["uptime_ns"] > end, "four times the watchdog's span")
        machine.check_alive()
        assert machine.serial_text().count(skep.READY) == 1
        assert "don't go on" not in machine.serial_text()
        for name in ("one", "two", "three"):
            assert api.status(name)["state"] == "running"


@pytest.mark.parametrize("pti", ["on", "off"])
def test_guests_go_on_under_a_storm_of_nmis(folder, pti):
    """NMIs come between any two instructions, those of the entry code included."""
    options = {"cpus": 2, "append": f"pti={pti}", "forwards": [NEIGHBOUR]}
    with booted(folder, f"nmi-{pti}", **options) as (machine, monitor):
        api = machine.api
        api.upload("httpd", example("httpd"))
        api.upload("calls", guest_program("calls"))
        networks = [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}]
        api.create(
            "web", image="httpd", memory_bytes=4 * MIB, networks=networks, desired_state="running"
        )
        machine.wait_page(NEIGHBOUR)
        for round_number in range(20):
            api.create(
                f"calls-{round_number}",
                image="calls",
                memory_bytes=4 * MIB,
                desired_state="running",
            )
            for _ in range(50):
                monitor.human("nmi")
            assert machine.wait_page(NEIGHBOUR)
            assert api.wait_state(f"calls-{round_number}", "exited")["exit_code"] == 0
        machine.check_alive()


def ring3_translations(monitor):
    """The upper half's translations while CPU 0 runs a guest: pairs of address and flags. None: it doesn't now."""
    monitor.run("stop")
    try:
        if "CPL=3" not in monitor.human("info registers"):
            return None
        pages = re.findall(r"^([0-9a-f]{16}): [0-9a-f]{16} (\S+)", monitor.human("info tlb"), re.M)
        return [(int(page, 16), flags) for page, flags in pages if int(page, 16) >> 63]
    finally:
        monitor.run("cont")


def test_isolation_hides_all_but_the_way_in(folder):
    """With pti=on a guest's page tables have the entry code, the IDT and the CPUs' entry areas of ring 0, no more."""
    elf = skep.build_exists()
    names = dict(symbols(elf.with_suffix(".debug")))
    text = range(names["entry_text_start"] & ~0xFFF, names["entry_text_end"])
    with booted(folder, "tables", elf=elf, cpus=1, append="pti=on") as (machine, monitor):
        machine.api.upload("spin", example("spin"))
        machine.api.create(
            "spin", image="spin", memory_bytes=4 * MIB, desired_state="running"
        )
        machine.api.wait_state("spin", "running")
        seen = skep.wait_for(lambda: ring3_translations(monitor), "a guest in ring 3")
    entry_base, area = 0xFFFFFF0000000000, 0xFFFFFF0000100000
    code = [page for page, _ in seen if page in text]
    tables = [page for page, _ in seen if page == entry_base]
    # struct entry_cpu, the entry stack, and two pages for each of four IST stacks
    stacks = [page for page, _ in seen if area <= page < area + 0x10000]
    assert code and len(tables) == 1 and len(stacks) == 2 + 2 * 4
    assert len(seen) == len(code) + len(tables) + len(stacks), [hex(page) for page, _ in seen]
    for page, flags in seen:
        assert "U" not in flags, "ring 3 can use it"
        assert ("W" in flags) == (page in stacks)
        assert ("X" in flags) == (page not in code), "X means not executable"


def symbols(elf):
    listed = subprocess.run(["nm", str(elf)], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        words = line.split()
        if len(words) == 3:
            yield words[2], int(words[0], 16)


@pytest.mark.parametrize("kind", ["pc", "q35"])
def test_power_off_and_reboot(folder, kind):
    with booted(folder, f"power-{kind}", machine=kind) as (machine, _):
        machine.api.ok("POST", "/v1/host/reboot")
        wait_count(machine, skep.READY, 2)
        machine.wait_api().ok("POST", "/v1/host/shutdown")
        assert machine.process.wait(skep.WAIT_SECONDS) == 0


SMALL = "24M"  # a third of what a Linux guest needs at least is 30 MiB


def announce(machine, path, size, status):
    """What the problem is with a body of this size, of which nothing is sent."""
    connection = http.client.HTTPSConnection("127.0.0.1", machine.api_port, timeout=30, context=slow.any_certificate())
    with contextlib.closing(connection):
        connection.putrequest("PUT", path)
        connection.putheader("Authorization", f"Bearer {machine.token}")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == status
        return json.load(answer)["detail"]


def test_a_small_machine(folder):
    """It serves all its connections at once, and a page; what is too large for it is refused, and nothing else lost."""
    with skep.Machine(folder / "small", memory=SMALL, forwards=[GUEST]) as machine, contextlib.ExitStack() as stack:
        api = machine.wait_api()
        api.upload("httpd", example("httpd"))
        api.create("web", image="httpd", memory_bytes=2 * MIB, networks=[{"address": f"{GUEST}/24", "gateway": "10.0.2.2"}])
        machine.wait_page(GUEST)
        clients = [stack.enter_context(skep.Api(api.port, machine.token, api.fingerprint)) for _ in range(CONNECTIONS - 1)]
        for client in clients:
            assert [guest["name"] for guest in client.ok("GET", "/v1/guests")["items"]] == ["web"]
        assert "no memory" in announce(machine, "/v1/images/large", 15 * MIB, status=503)
        assert [client.get("/healthz").status_code for client in clients] == [200] * len(clients)
        assert api.host()["control_restarts"] == 0
        machine.wait_page(GUEST)
