"""ci/bench ports: programs of examples/ports as guests beside the same source in Linux: SQLite's own speedtest1, and
scripts (speed.lua, speed.js) for Lua and QuickJS.

Two machines with the same emulated CPU, memory and disk, one CPU each: Skep with the guest and a volume, Linux with the
program in an initramfs and ext4 on the disk. They run it in turn, one at a time; the ratios are those of a round, by the
program's own clock, and what it computed must be the same.
"""

import dataclasses
import functools
import pathlib
import re
import statistics
import subprocess

import linux
import qemu
import skep

MIB = 1 << 20
MEMORY, GUEST_MEMORY = "512M", 64 * MIB
DISK_BYTES, VOLUME_BYTES = 256 * MIB, 128 * MIB
RUN_SECONDS = 300
SPEEDTEST = ("--size", "10", "--verify")  # a tenth of its usual work
SCRIPTS = pathlib.Path(__file__).parent


@dataclasses.dataclass
class Work:
    """A program's arguments; the script that it runs; whether it works on a volume."""

    program: str
    args: tuple
    script: str = ""
    volume: bool = False

    @property
    def elf(self):
        return skep.BUILD / f"examples/{self.program}.elf"

    @property
    def native(self):
        return skep.BUILD / f"examples/native/{self.program}"

    @property
    def text(self):
        return (SCRIPTS / self.script).read_text()


WORKS = {
    "speedtest1 in memory": Work("speedtest1", SPEEDTEST),
    "speedtest1 on a volume": Work("speedtest1", (*SPEEDTEST, "/data/speed.db"), volume=True),
    "lua": Work("lua", ("/speed.lua",), "speed.lua"),
    "qjs": Work("qjs", ("/speed.js",), "speed.js"),
}


def disk_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(DISK_BYTES)
    return path


class SkepSide:
    def __init__(self, machine, work):
        self.work = work
        self.api = machine.wait_api()
        self.api.ok("PUT", "/v1/disks/0", json={"format": True})
        self.api.upload(work.program, work.elf)

    def run(self):
        """What it prints. The log is followed to its end rather than asked for: there is one CPU."""
        work = self.work
        spec = {"image": work.program, "memory_bytes": GUEST_MEMORY, "args": list(work.args)}
        if work.script:
            spec["files"] = [{"path": f"/{work.script}", "content": work.text}]
        if work.volume:
            self.api.ok("PUT", "/v1/volumes/data", json={"size_bytes": VOLUME_BYTES})
            spec["volumes"] = [{"name": "data", "mount": "/data", "format": True}]
        self.api.create("speed", **spec)
        said = self.api.ok("GET", "/v1/guests/speed/log", params={"follow": "true"}, timeout=RUN_SECONDS)
        status = self.api.wait_state("speed", "exited", "crashed")
        assert (status["state"], status["exit_code"]) == ("exited", 0), (said, status)
        self.api.delete_guest("speed")
        if work.volume:
            self.api.ok("DELETE", "/v1/volumes/data")
        return said.decode()


class LinuxSide:
    def __init__(self, machine, work):
        self.machine = machine
        self.command = " ".join([work.program, *work.args])
        machine.run("mkdir /data && mount -t ext4 /dev/vda /data")

    def run(self):
        self.machine.run("rm -f /data/speed.db*; sync; cd /tmp")
        return self.machine.run(self.command, RUN_SECONDS)


def found(said):
    """Seconds, and what it computed: speedtest1's digest, or each part's result."""
    total = re.search(r"^ *(?:TOTAL\.+|total) +([\d.]+)s?\s*$", said, re.M)
    results = re.findall(r"^Verification Hash: (.+?)\s*$", said, re.M)
    results += re.findall(r"^part (\w+) [\d.]+ (\S+)\s*$", said, re.M)
    assert total and results, said[-2000:]
    return float(total[1]), results


def parts(said):
    """Each part's seconds."""
    return {name: float(seconds) for name, seconds in re.findall(r"^part (\w+) ([\d.]+) ", said, re.M)}


def slowest(here, there):
    """Of the parts that last a tenth of a second in Linux, or more, which lasts longest here beside it."""
    ratios = {name: here[name] / seconds for name, seconds in there.items() if seconds >= 0.1}
    name = max(ratios, key=ratios.get, default=None)
    return f", at most {ratios[name]:.2f} ({name})" if name else ""


def rounds(name, work, count, skep_side, linux_side, table):
    ours, theirs, ratios = [], [], []
    for _ in range(count):
        said_here, said_there = skep_side.run(), linux_side.run()
        (here, computed), (there, expected) = found(said_here), found(said_there)
        assert computed == expected, f"it computed {computed} here and {expected} in Linux"
        ours.append(here)
        theirs.append(there)
        ratios.append(here / there)
    note = f"  {min(ratios):.2f} … {max(ratios):.2f} of {count} rounds{slowest(parts(said_here), parts(said_there))}"
    table.add(name, round(statistics.median(ours), 2), "s", parts=parts(said_here))
    table.add(f"{name}, Linux", round(statistics.median(theirs), 2), "s", parts=parts(said_there))
    table.add(f"{name}, Skep : Linux", round(statistics.median(ratios), 2), "times", note=note)


def check_built(work):
    for program in (work.elf, work.native):
        if not program.is_file():
            raise qemu.Missing(f"{program} doesn't exist: cmake --build build --target ports ports-native")


def rows(options, name, work, table, folder):
    check_built(work)
    folder = pathlib.Path(folder) / name.replace(" ", "-")
    disks = [disk_image(folder / file) for file in ("skep.img", "linux.img")]
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", disks[1]], check=True)
    common = {"memory": MEMORY, "cpus": 1}
    files = {f"/{work.script}": work.text.encode()} if work.script else {}
    beside = linux.Linux(folder / "linux", [*linux.VIRTIO, *linux.DISK], [work.native], files, disks=[disks[1]], **common)
    with skep.Machine(folder / "skep", disks=[disks[0]], kvm="off", **common) as machine, beside:
        rounds(name, work, options.rounds, SkepSide(machine, work), LinuxSide(beside, work), table)


def sections(options):
    return {name: functools.partial(rows, options, name, work) for name, work in WORKS.items()}
