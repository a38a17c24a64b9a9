"""ci/bench ports: SQLite's own speedtest1 as a guest (examples/ports/sqlite) beside the same source in Linux.

Two machines with the same emulated CPU, memory and disk, one CPU each: Skep with the guest and a volume, Linux with the
program, linked statically, in an initramfs and ext4 on the disk. They run it in turn, one at a time; the ratios are those
of a round, by the program's own clock, and what it computed must be the same.
"""

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
SIZE = 10  # speedtest1's --size: a tenth of its usual work
OPTIONS = ["--size", str(SIZE), "--verify"]
PLACES = {"in memory": [], "on a volume": ["/data/speed.db"]}
ELF = skep.BUILD / "examples/speedtest1.elf"
NATIVE = skep.BUILD / "examples/native/speedtest1"


def disk_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(DISK_BYTES)
    return path


class SkepSide:
    def __init__(self, machine):
        self.api = machine.wait_api()
        self.api.ok("PUT", "/v1/disks/0", json={"format": True})
        self.api.upload("speedtest1", ELF)

    def run(self, place):
        """What it prints. The log is followed to its end rather than asked for: there is one CPU."""
        self.api.ok("PUT", "/v1/volumes/data", json={"size_bytes": VOLUME_BYTES})
        mounted = [{"name": "data", "mount": "/data", "format": True}]
        args = [*OPTIONS, *PLACES[place]]
        self.api.create("speed", image="speedtest1", memory_bytes=GUEST_MEMORY, args=args, volumes=mounted)
        said = self.api.ok("GET", "/v1/guests/speed/log", params={"follow": "true"}, timeout=RUN_SECONDS)
        status = self.api.wait_state("speed", "exited", "crashed")
        assert (status["state"], status["exit_code"]) == ("exited", 0), (said, status)
        self.api.delete_guest("speed")
        self.api.ok("DELETE", "/v1/volumes/data")
        return said.decode()


class LinuxSide:
    def __init__(self, machine):
        self.machine = machine
        machine.run("mkdir /data && mount -t ext4 /dev/vda /data")

    def run(self, place):
        self.machine.run("rm -f /data/speed.db*; sync; cd /tmp")
        return self.machine.run(" ".join(["speedtest1", *OPTIONS, *PLACES[place]]), RUN_SECONDS)


def found(said):
    """Seconds, and the digest of all that it computed."""
    total = re.search(r"^ +TOTAL\.+ +([\d.]+)s", said, re.M)
    digest = re.search(r"^Verification Hash: (.+?)\s*$", said, re.M)
    assert total and digest, said[-2000:]
    return float(total[1]), digest[1]


def rounds(table, place, count, skep_side, linux_side):
    ours, theirs, ratios = [], [], []
    for _ in range(count):
        (here, computed), (there, expected) = found(skep_side.run(place)), found(linux_side.run(place))
        assert computed == expected, f"it computed {computed} here and {expected} in Linux"
        ours.append(here)
        theirs.append(there)
        ratios.append(here / there)
    note = f"  {min(ratios):.2f} … {max(ratios):.2f} of {count} rounds"
    table.add(f"speedtest1 {place}", round(statistics.median(ours), 2), "s")
    table.add(f"speedtest1 {place}, Linux", round(statistics.median(theirs), 2), "s")
    table.add(f"speedtest1 {place}, Skep : Linux", round(statistics.median(ratios), 2), "times", note=note)


def rows(options, table, folder):
    for program in (ELF, NATIVE):
        if not program.is_file():
            raise qemu.Missing(f"{program} doesn't exist: cmake --build build --target ports ports-native")
    folder = pathlib.Path(folder)
    disks = [disk_image(folder / name) for name in ("skep.img", "linux.img")]
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", disks[1]], check=True)
    common = {"memory": MEMORY, "cpus": 1}
    beside = linux.Linux(
        folder / "linux", [*linux.VIRTIO, *linux.DISK], [], {"/bin/speedtest1": NATIVE.read_bytes()},
        disks=[disks[1]], **common,
    )  # fmt: skip
    with skep.Machine(folder / "skep", disks=[disks[0]], kvm="off", **common) as machine, beside:
        sides = SkepSide(machine), LinuxSide(beside)
        for place in PLACES:
            rounds(table, place, options.rounds, *sides)


def sections(options):
    return {"ports": functools.partial(rows, options)}
