"""The reader's side of count.c: a machine with the counting plug-in, and what it counted."""

import mmap
import os
import pathlib
import struct
import subprocess

import qemu
import skep
from stretches import Stretches, Symbols, symbol_file

SOURCES = qemu.ROOT / "ci/bench.d"
ADDRESS = f"address={qemu.HOST_ADDRESS}/24 gateway={qemu.GATEWAY}"  # no DHCP is counted
MARKER_FIRST = 256
FIELDS = ("ring0", "ring3", "spaces", "pages", "interrupts", "repeats", "ipis", "kicks")
COUNTS = struct.Struct(f"<{len(FIELDS)}Q")
HIT_COUNT = struct.Struct("<Q")
HIT = struct.Struct(f"<{2 + len(FIELDS)}Q")  # point, nanoseconds of the host, counts
HITS_AT = COUNTS.size + HIT_COUNT.size


def plugin(name):
    """A compiled plug-in; compiled anew when its source is newer."""
    source, header = SOURCES / f"{name}.c", SOURCES / "plugin.h"
    target = skep.BUILD / f"bench/{name}.so"
    newest = max(source.stat().st_mtime, header.stat().st_mtime)
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = "-std=gnu17 -O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden".split()
        subprocess.run(["cc", *flags, "-o", str(target), str(source)], check=True)
    return target


def program(name):
    """A compiled program of one file, likewise."""
    source, target = SOURCES / f"{name}.c", skep.BUILD / f"bench/{name}"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = "-std=gnu17 -O2 -Wall -Wextra -Werror".split()
        subprocess.run(["cc", *flags, "-o", str(target), str(source)], check=True)
    return target


class Elf:
    """What the benches need of an ELF64 file."""

    def __init__(self, path):
        self.path = path
        self.data = path.read_bytes()
        self.entry, table = struct.unpack_from("<QQ", self.data, 24)
        entry_size, count = struct.unpack_from("<HH", self.data, 54)
        self.segments = [
            struct.unpack_from("<IIQQQQQQ", self.data, table + i * entry_size) for i in range(count)
        ]

    def symbol(self, name):
        """A function's address; KeyError when there is none."""
        for line in subprocess.run(
            ["nm", str(symbol_file(self.path))], capture_output=True, text=True, check=True
        ).stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[2] == name:
                return int(words[0], 16)
        raise KeyError(name)

    def code(self, address, size=24):
        """The bytes at an address."""
        for kind, _, offset, base, _, file_size, *_ in self.segments:
            if kind == 1 and base <= address < base + file_size:
                at = offset + address - base
                return self.data[at : at + min(size, base + file_size - address)]
        raise KeyError(hex(address))

    def pvh_entry(self):
        """Where a PVH loader jumps to: the Xen note of type 18."""
        for kind, _, offset, _, _, size, *_ in self.segments:
            at, end = offset, offset + size
            while kind == 4 and at + 12 <= end:
                name_size, value_size, note = struct.unpack_from("<III", self.data, at)
                value = at + 12 + (name_size + 3) // 4 * 4
                if note == 18 and self.data[at + 12 : at + 15] == b"Xen":
                    return int.from_bytes(self.data[value : value + value_size], "little")
                at = value + (value_size + 3) // 4 * 4
        raise KeyError("PVH entry")

    def point(self, address):
        """A plug-in argument that watches for this address in a guest, whatever its base."""
        return f"code={address & 0xFFF:#x}:{self.code(address).hex()}"


class Counts:
    """Instructions by ring, and the effects that they hide."""

    def __init__(self, *values):
        self.values = values

    def __getattr__(self, name):
        return self.values[FIELDS.index(name)]

    @property
    def total(self):
        return self.ring0 + self.ring3

    @property
    def flushes(self):
        return self.spaces + self.pages

    def __add__(self, other):
        return Counts(*(mine + its for mine, its in zip(self.values, other.values)))

    def __sub__(self, other):
        return Counts(*(mine - its for mine, its in zip(self.values, other.values)))


class Counter:
    """A mapping of the plug-in's file while the machine runs."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.view = mmap.mmap(file.fileno(), os.path.getsize(path), access=mmap.ACCESS_READ)

    def now(self):
        return Counts(*COUNTS.unpack_from(self.view))

    def hit_count(self):
        return HIT_COUNT.unpack_from(self.view, COUNTS.size)[0]

    def hits(self, first=0):
        """The hits from an index on, as (point, counts)."""
        for index in range(first, self.hit_count()):
            point, _, *counts = HIT.unpack_from(self.view, HITS_AT + index * HIT.size)
            yield point, Counts(*counts)

    def hit(self, point, first=0):
        """The counts at a point's first hit from an index on, or None."""
        return next((counts for number, counts in self.hits(first) if number == point), None)

    def moment(self, point, first=0):
        """When a point was hit first from an index on, in seconds of time.monotonic(), or None."""
        for index in range(first, self.hit_count()):
            number, nanoseconds, *_ = HIT.unpack_from(self.view, HITS_AT + index * HIT.size)
            if number == point:
                return nanoseconds / 1e9
        return None

    def between(self, start, end, first=0):
        """The counts between each hit of one marker and the next of another."""
        begin, spans = None, []
        for point, counts in self.hits(first):
            if point == MARKER_FIRST + start:
                begin = counts
            elif point == MARKER_FIRST + end and begin:
                spans.append(counts - begin)
                begin = None
        return spans


class PluggedMachine(skep.Machine):
    """A machine with the plug-in in it. One CPU, or several that take turns."""

    def __init__(self, folder, points=(), arguments=(), extra=(), cpus=1, **options):
        self.counts_file = folder / "counts"
        words = ",".join([str(plugin("count")), f"out={self.counts_file}", *points, *arguments])
        super().__init__(folder, cpus=cpus, kvm="off", extra=["-plugin", words, *extra], **options)
        self.counter = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        super().start()
        skep.wait_for(
            lambda: self.counts_file.exists() and self.counts_file.stat().st_size > HITS_AT
            or self.process.poll() is not None,
            "the plug-in's file",
            10,
        )
        if self.process.poll() is not None:
            raise RuntimeError("QEMU didn't start:\n" + self.serial_tail())
        self.counter = Counter(self.counts_file)
        return self


class TimedMachine(PluggedMachine):
    """One that is as fast as it can be; the plug-in notes when points are hit."""

    def __init__(self, folder, **options):
        super().__init__(folder, arguments=["instructions=off"], **options)


class CountedMachine(PluggedMachine):
    """One whose clock goes by instructions, which are counted."""

    def __init__(self, folder, extra=(), devices=False, **options):
        self.symbols = Symbols(skep.build_exists())
        arguments = [f"stubs={self.symbols.addresses['entry_stubs']:#x}", *["devices=on"] * devices]
        super().__init__(folder, arguments=arguments, extra=["-icount", "shift=0", *extra], **options)

    def settle(self, seconds=30):
        """Waits until the machine idles, and returns the counts then."""
        last = [self.counter.now().total]

        def idles():
            now = self.counter.now().total
            quiet = now - last[0] < 20000
            last[0] = now
            return quiet

        skep.wait_for(idles, "the machine idles", seconds, interval=0.2)
        return self.counter.now()

    def calm(self, seconds=60):
        """Waits until nothing is executed for a second, and returns the counts then. For six seconds after it was asked for
        a neighbour's address lwIP's table is looked at each second, which isn't idling."""
        last = [-1]

        def is_calm():
            now = self.counter.now().total
            calm, last[0] = now == last[0], now
            return calm

        skep.wait_for(is_calm, "the machine is calm", seconds, interval=1.1)
        return self.counter.now()

    def sleeps(self):
        """Whether all threads of QEMU wait. One that could run but has no CPU of this host now doesn't."""
        for status in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/stat"):
            try:
                if status.read_text().rpartition(")")[2].split()[0] != "S":
                    return False
            except OSError:
                pass  # it has just ended
        return True

    def wait_quiet(self, seconds=10):
        """Waits until nothing is executed for a few milliseconds, and returns the counts then."""
        last = [-1]

        def quiet():
            now = self.counter.now().total
            same = now == last[0] and self.sleeps()
            last[0] = now
            return same

        skep.wait_for(quiet, "the machine halts", seconds, interval=0.004)
        return self.counter.now()


class WatchedMachine(skep.Machine):
    """A machine whose CPUs take turns, with the plug-in that finds long stretches without interrupts."""

    def __init__(self, folder, memory="512M", **options):
        self.symbols = Symbols(skep.build_exists())
        self.stretches_file = folder / "stretches"
        address = self.symbols.addresses
        arguments = (
            f"{plugin('stretch')},out={self.stretches_file}",
            f"syscall={address['entry_syscall']:#x}",
            f"stubs={address['entry_stubs']:#x}",
            f"idle={address['entry_idle']:#x}:{address['entry_idle_end']:#x}",
        )
        backend = f"memory-backend-memfd,id=ram,size={memory}"
        extra = ["-object", backend, "-machine", "memory-backend=ram"]
        extra += ["-icount", "shift=0", "-plugin", ",".join(arguments)]
        super().__init__(folder, memory=memory, kvm="off", extra=extra, **options)

    def stretches(self):
        return Stretches(self.stretches_file, self.symbols)
