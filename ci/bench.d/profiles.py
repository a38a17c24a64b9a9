"""ci/bench profile: where the instructions of a request go, by function, over the guest and ring 0. Of programs that
compute: computing.py."""

import collections
import functools
import mmap
import os
import struct
import subprocess
import urllib.parse

import counter
import guests
import instructions
import ports
import skep
import web
import webguest
from stretches import Symbols

BLOCK = struct.Struct("<QQII32s")  # address, executed, instructions, bytes of code, code
TABLE_AT = 8
ALIGNED = 2 << 20  # of an image's base
REQUESTS = 200
DOWNLOAD = skep.BUILD / "guests/download.elf"
SHOWN = 0.002  # of all, what a function must have to be shown
PATHS = {
    "keep-alive": "a request",
    "connection": "a request",
    "stream": "a MiB",
    "local stream": "a MiB",
    "api": "a GET /v1/guests",
    "create": "a guest created and deleted",
    "kept": "the same, kept on a disk",
}


class Program:
    """An ELF file's functions, and its code to recognise them by."""

    def __init__(self, name, path):
        self.name, self.elf, self.symbols = name, counter.Elf(path), Symbols(path, first=0)

    @staticmethod
    def inside(address):
        """An address without the image's base."""
        return address if address >> 63 else address % ALIGNED

    def function(self, address, code):
        """The function that has this code at this address, but for the image's base, and whether it begins there; or
        None."""
        inside = self.inside(address)
        try:
            if self.elf.code(inside, len(code)) != code:
                return None
        except KeyError:
            return None
        name = self.symbols.function(inside)
        return name, self.symbols.addresses.get(name) == inside


class Profile:
    """QEMU's options for a machine whose clock goes by instructions, with the plug-in in it; and what that counts."""

    def __init__(self, folder):
        self.file = folder / "blocks"
        folder.mkdir(parents=True, exist_ok=True)
        self.options = ["-icount", "shift=0", "-plugin", f"{counter.plugin('profile')},out={self.file}"]

    def blocks(self):
        """Executions by (address, instructions, code)."""
        with open(self.file, "rb") as file:
            view = mmap.mmap(file.fileno(), os.path.getsize(self.file), access=mmap.ACCESS_READ)
        lost = struct.unpack_from("<Q", view)[0]
        assert lost == 0, f"{lost} executions of blocks that the table had no room for"
        counts = {}
        for address, executed, length, size, code in BLOCK.iter_unpack(view[TABLE_AT:]):
            if executed:
                counts[address, length, code[:size]] = executed
        return counts


class ProfiledMachine(skep.Machine):
    """A machine with one CPU that is profiled."""

    def __init__(self, folder, **options):
        self.profile = Profile(folder)
        super().__init__(folder, cpus=1, kvm="off", extra=self.profile.options, **options)


def by_function(programs, before, after):
    """Instructions by (program, function), and how often its first block was executed, which is its calls."""
    totals, calls = collections.Counter(), collections.Counter()
    for (address, length, code), executed in after.items():
        times = executed - before.get((address, length, code), 0)
        if times:
            found = ((one.name, one.function(address, code)) for one in programs)
            program, (function, begins) = next((pair for pair in found if pair[1]), ("?", (hex(address), False)))
            totals[program, function] += times * length
            calls[program, function] += times * begins
    return totals, calls


def add_totals(table, name, totals, calls=None, times=1):
    """Rows: all of it, each program's part, and of its functions those that take most."""
    whole = sum(totals.values())
    per = collections.Counter()
    for (program, _), spent in totals.items():
        per[program] += spent
    table.add(name, round(whole / times), "instructions", counted=True)
    for program, spent in per.most_common():
        table.add(f"  {program}", round(spent / times), "instructions", note=f"  {spent / whole:.1%}")
    for (program, function), spent in totals.most_common():
        if spent >= SHOWN * whole:
            often = f", {calls[program, function] / times:,.2f} calls" if calls else ""
            table.add(f"    {program}: {function}", round(spent / times), "", note=f"  {spent / whole:.1%}{often}")


def create_and_delete(api, image):
    api.create("another", image=image, memory_bytes=2 << 20, desired_state="paused")
    api.delete_guest("another")


def action_of(path, server, machine, api, page, url, place):
    """What is profiled, and how often it is done in one go."""
    where = urllib.parse.urlsplit(url)
    to = (where.port or 80, where.hostname)
    if path == "keep-alive":
        connection = webguest.connect(*to)
        return lambda: [webguest.get(connection, page) for _ in range(REQUESTS)], REQUESTS
    if path == "connection":
        return lambda: [instructions.one_fresh(*to, page=page) for _ in range(REQUESTS)], REQUESTS
    if path == "api":
        return lambda: [api.ok("GET", "/v1/guests") for _ in range(REQUESTS)], REQUESTS
    if path in ("create", "kept"):
        return lambda: [create_and_delete(api, server) for _ in range(REQUESTS)], REQUESTS
    if path == "local stream":
        api.upload("download", DOWNLOAD)
        return lambda: guests.download(api, place, REQUESTS << 20, rounds=1), REQUESTS
    command = ["curl", "-sSo", "/dev/null", f"{url}bytes/{REQUESTS << 20}"]
    return lambda: subprocess.run(command, check=True), REQUESTS


def rows(path, server, table, folder):
    place = web.Place(1, web.is_tapped())
    place.make()
    programs = [
        Program("ring 0", skep.build_exists()),
        Program(server, skep.BUILD / f"examples/{server}.elf"),
        *[Program("download", DOWNLOAD)] * (path == "local stream"),
        Program("control", skep.BUILD / "hv/control/skep-control.elf"),
    ]
    options = {"append": place.append, "host": place.host, **place.options}
    if path == "kept":
        options["disks"] = [ports.disk_image(folder / "kept.img")]
    with ProfiledMachine(folder / path, forwards=[place.guest], **options) as machine:
        api = machine.wait_api()
        if path == "kept":
            api.ok("PUT", "/v1/disks/0", json={"format": True})
        webguest.create(api, place.guest, place.gateway, server=server)
        machine.wait_page(place.guest)
        page = "/" if server == "httpd" else f"/{webguest.PAGE}"
        action, times = action_of(path, server, machine, api, page, machine.url(place.guest), place)
        action()
        before = machine.profile.blocks()
        action()
        totals, calls = by_function(programs, before, machine.profile.blocks())
    add_totals(table, f"{path}, {PATHS[path]}", totals, calls, times)


def sections(options):
    if options.network == "tap":
        web.enter(options, packages=())
    paths = [path for path in PATHS if "stream" not in path or options.server == "httpd"]
    return {path: functools.partial(rows, path, options.server) for path in paths}
