"""The reader's side of stretch.c: the longest stretches of ring 0 with interrupts off, by what began them."""

import bisect
import mmap
import re
import struct
import subprocess

import qemu
import skep

CALLS, VECTORS, BLOCKS_MAX = 256, 256, 2048
KIND_BOOT = CALLS + VECTORS
HEAD = struct.Struct("<QQQQQ")  # count, total, length, bytes, parts
PART = struct.Struct("<QQ")  # address, instructions
KIND_BYTES = HEAD.size + BLOCKS_MAX * PART.size

# How every path begins and ends: no news in a profile.
VECTOR_NAMES = {
    0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 6: "#UD", 12: "#SS", 13: "#GP", 14: "page fault", 16: "#MF",
    17: "#AC", 19: "#XM", 240: "timer", 241: "IPI",
}  # fmt: skip


def call_names():
    """Names of hypercalls by number, from the headers."""
    names = {}
    for header, prefix in (("abi.h", "SKEP_HC_"), ("control.h", "SKEP_CTL_")):
        number = 64
        text = (qemu.ROOT / "hv/include/skep" / header).read_text()
        for name, value in re.findall(rf"^    {prefix}(\w+)(?: = (\w+))?,", text, re.M):
            if value.isdigit():
                number = int(value)
            elif value:
                number = 64
            names.setdefault(number, name)
            number += 1
    names[64] = "HOST_INFO"
    return names


def symbol_file(elf):
    """A guest's symbols are in the file beside it; ring 0 has its own."""
    debug = elf.with_suffix(".debug")
    return debug if debug.is_file() and elf != skep.BUILD / "skep.elf" else elf


class Symbols:
    """Functions by address: those of ring 0, or all from another address on."""

    def __init__(self, elf, first=1 << 63):
        output = subprocess.run(["nm", "-n", "--defined-only", str(symbol_file(elf))], capture_output=True, text=True, check=True)
        self.starts, self.names, self.addresses = [], [], {}
        for line in output.stdout.splitlines():
            address, kind, name = line.split(" ", 2)  # the linker leaves some without a name
            self.addresses[name] = int(address, 16)
            if kind in "tT" and int(address, 16) >= first:
                self.starts.append(int(address, 16))
                self.names.append(name)

    def function(self, address):
        index = bisect.bisect_right(self.starts, address) - 1
        return self.names[index] if index >= 0 else hex(address)


class Stretch:
    """The longest of its kind."""

    def __init__(self, kind, count, total, length, bytes_moved, parts):
        self.kind, self.count, self.total, self.length = kind, count, total, length
        self.bytes, self.parts = bytes_moved, parts

    def hottest(self, count=4):
        """The functions that took most of it."""
        order = sorted(self.parts.items(), key=lambda part: -part[1])
        return ", ".join(f"{name} {length:,}" for name, length in order[:count])


class Stretches:
    """A mapping of the plug-in's file while the machine runs."""

    def __init__(self, path, symbols):
        with open(path, "rb") as file:
            self.view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.symbols = symbols
        self.calls = call_names()

    def kind_name(self, kind):
        if kind == KIND_BOOT:
            return "boot"
        if kind >= CALLS:
            vector = kind - CALLS
            return VECTOR_NAMES.get(vector) or (
                f"device interrupt {vector}" if 48 <= vector < 240 else f"vector {vector}"
            )
        return self.calls.get(kind, f"hypercall {kind}")

    def read(self, kind):
        at = kind * KIND_BYTES
        count, total, length, bytes_moved, part_count = HEAD.unpack_from(self.view, at)
        parts = {}
        for i in range(part_count):
            address, took = PART.unpack_from(self.view, at + HEAD.size + i * PART.size)
            name = self.symbols.function(address)
            parts[name] = parts.get(name, 0) + took
        return Stretch(self.kind_name(kind), count, total, length, bytes_moved, parts)

    def all(self):
        """The longest of each kind that there was but the boot, longest first."""
        found = [self.read(kind) for kind in range(KIND_BOOT)]
        return sorted((s for s in found if s.count), key=lambda s: -s.length)
