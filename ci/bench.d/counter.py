"""The reader's side of count.c: a machine with the counting plug-in, and what it counted."""

import mmap
import os
import struct
import subprocess

import qemu
import skep

SOURCE = qemu.ROOT / "ci/bench.d/count.c"
MARKER_FIRST = 256
HEADER = struct.Struct("<QQQ")  # ring 0, ring 3, hits
HIT = struct.Struct("<QQQ")  # point, ring 0, ring 3


def plugin():
    """The compiled plug-in; compiled anew when its source is newer."""
    target = skep.BUILD / "bench/count.so"
    if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = "-std=gnu17 -O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden".split()
        subprocess.run(["cc", *flags, "-o", str(target), str(SOURCE)], check=True)
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
            ["nm", str(self.path)], capture_output=True, text=True, check=True
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
    """Instructions by ring."""

    def __init__(self, ring0, ring3):
        self.ring0, self.ring3 = ring0, ring3

    @property
    def total(self):
        return self.ring0 + self.ring3

    def __sub__(self, other):
        return Counts(self.ring0 - other.ring0, self.ring3 - other.ring3)


class Counter:
    """A mapping of the plug-in's file while the machine runs."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.view = mmap.mmap(file.fileno(), os.path.getsize(path), access=mmap.ACCESS_READ)

    def now(self):
        return Counts(*HEADER.unpack_from(self.view)[:2])

    def hit_count(self):
        return HEADER.unpack_from(self.view)[2]

    def hits(self, first=0):
        """The hits from an index on, as (point, counts)."""
        for index in range(first, self.hit_count()):
            point, ring0, ring3 = HIT.unpack_from(self.view, HEADER.size + index * HIT.size)
            yield point, Counts(ring0, ring3)

    def hit(self, point, first=0):
        """The counts at a point's first hit from an index on, or None."""
        return next((counts for number, counts in self.hits(first) if number == point), None)

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


class CountedMachine(skep.Machine):
    """A machine with one CPU whose clock goes by instructions, and the plug-in in it."""

    def __init__(self, folder, points=(), extra=(), **options):
        self.counts_file = folder / "counts"
        arguments = ",".join([str(plugin()), f"out={self.counts_file}", *points])
        super().__init__(
            folder,
            cpus=1,
            kvm="off",
            extra=["-icount", "shift=0", "-plugin", arguments, *extra],
            **options,
        )
        self.counter = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        super().start()
        skep.wait_for(
            lambda: self.counts_file.exists() and self.counts_file.stat().st_size > HEADER.size
            or self.process.poll() is not None,
            "the plug-in's file",
            10,
        )
        if self.process.poll() is not None:
            raise RuntimeError("QEMU didn't start:\n" + self.serial_tail())
        self.counter = Counter(self.counts_file)
        return self

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

    def wait_quiet(self, seconds=10):
        """Waits until nothing is executed for a few milliseconds, and returns the counts then."""
        last = [-1]

        def quiet():
            now = self.counter.now().total
            same = now == last[0]
            last[0] = now
            return same

        skep.wait_for(quiet, "the machine halts", seconds, interval=0.004)
        return self.counter.now()
