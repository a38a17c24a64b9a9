"""ci/bench storage: a guest's block device beside fio in Linux, and beside what QEMU's disk can do at most.

Three machines with the same CPU, memory and disk options, each with a file of its own in this host's page cache: Skep
with the guest `rates` on a volume, Linux with fio on the disk, and bare.c, a program without any system. They work in
turn, one at a time, and what is compared is of one round.
"""

import functools
import shutil
import statistics
import struct
import subprocess
import time

import counter
import linux
import qemu
import skep

KIB, MIB = 1 << 10, 1 << 20
MEMORY = "512M"
DISK_BYTES, AREA = 128 * MIB, 64 * MIB  # the area is that of rates.c and bare.c
SECTOR = 512
START_SECONDS = 30  # more than a round's time may a program take
CEILING = 0.9  # of what the disk can do counts as all of it
COUNTED = 4000  # requests whose instructions are counted; fewer large ones
MARKS = 40, 41  # of rates.c
NOTE = "{:,.0f} ({:,.0f} … {:,.0f})"


class Load:
    """What is asked of a disk."""

    def __init__(self, way, order, size, in_flight):
        self.way, self.order, self.size, self.in_flight = way, order, size, in_flight

    def __str__(self):
        size = f"{self.size // KIB} KiB" if self.size < MIB else f"{self.size // MIB} MiB"
        return f"{self.order} {self.way}, {size}, {self.in_flight} in flight"

    @property
    def words(self):
        return [self.way, self.order, str(self.size), str(self.in_flight)]

    @property
    def streams(self):
        return self.size >= MIB


# Instructions a request may take. How many are in a batch depends on the host, and with that the cost of many in flight.
GUARDED = (
    (Load("read", "random", 4 * KIB, 1), 7_000),
    (Load("write", "random", 4 * KIB, 1), 7_500),
    (Load("read", "random", 4 * KIB, 32), 4_500),
    (Load("read", "sequential", MIB, 4), 120_000),
)


def loads(sizes, in_flight):
    for size in sizes:
        for order in ("random", "sequential") if size < MIB else ("sequential",):
            for way in ("read", "write"):
                for count in in_flight if size < MIB else (4,):
                    yield Load(way, order, size, count)


def make_disk(path):
    """Each sector begins with its number, as bare.c expects it; all of the file is in the page cache."""
    with open(path, "wb") as file:
        for number in range(DISK_BYTES // SECTOR):
            file.write(struct.pack("<I", number) + bytes(SECTOR - 4))
    return path


def done(text):
    """Requests and nanoseconds of a line "done REQUESTS NANOSECONDS"."""
    line = next((line for line in text.splitlines() if line.startswith("done ")), None)
    assert line, f"no result: {text}"
    requests, nanoseconds = map(int, line.split()[1:])
    assert requests > 0, text
    return requests, nanoseconds


def per_second(text):
    requests, nanoseconds = done(text)
    return requests * 1e9 / nanoseconds


class SkepSide:
    name = "Skep"

    def __init__(self, machine):
        self.machine = machine
        api = machine.wait_api()
        api.ok("PUT", "/v1/disks/0", json={"format": True})
        api.ok("PUT", "/v1/volumes/area", json={"size_bytes": AREA})
        api.upload("rates", skep.BUILD / "guests/rates.elf")

    def guest(self, *args, until=lambda: None):
        """What it says. Nobody asks for its state until it is likely to have ended: there is one CPU."""
        api = self.machine.api
        api.create(
            "rates",
            image="rates",
            memory_bytes=96 * MIB,
            args=list(args),
            volumes=[{"name": "area"}],
            desired_state="running",
        )
        until()
        status = api.wait_state("rates", "exited", "crashed", seconds=START_SECONDS)
        said = api.log("rates").decode()
        assert (status["state"], status["exit_code"]) == ("exited", 0), (said, status)
        api.delete_guest("rates")
        return said

    def prepare(self):
        assert "prepared" in self.guest("prepare")

    def rate(self, load, milliseconds):
        words = [*load.words, str(milliseconds), str(10**9)]
        return per_second(self.guest(*words, until=lambda: time.sleep(milliseconds / 1000)))

    def check(self):
        """By a guest that was not there when it was written, and by what the file has."""
        assert "all there" in self.guest("check")
        there = set()
        with open(self.machine.options["disks"][0], "rb") as file:
            while sector := file.read(SECTOR):
                first, last = struct.unpack_from("<Q", sector)[0], struct.unpack_from("<Q", sector, SECTOR - 8)[0]
                if first ^ last == 2**64 - 1:
                    there.add(first)
        assert there >= set(range(AREA // SECTOR)), "not all sectors are in the disk's file"


def linux_machine(folder, disk, **options):
    modules = [*linux.VIRTIO, *linux.DISK]
    return linux.Linux(
        folder, modules, [linux.installed("fio", "fio")], memory=MEMORY, cpus=1, disks=[disk], **options
    )


class LinuxSide:
    name = "Linux"

    def __init__(self, machine):
        self.machine = machine
        machine.run("echo none >/sys/block/vda/queue/scheduler")

    def fio(self, load, **options):
        way = ("rand" if load.order == "random" else "") + load.way
        engine = "psync" if load.in_flight == 1 else "libaio"
        options |= {"filename": "/dev/vda", "direct": 1, "thread": 1, "rw": way, "bs": load.size}
        # fio's own clock is calibrated against a TSC that stands still when the host is busy: then it never ends.
        options |= {"size": AREA, "iodepth": load.in_flight, "ioengine": engine, "clocksource": "clock_gettime"}
        job = self.machine.fio(**options)[load.way]
        assert job["total_ios"] > 0, job
        return job

    def pattern(self, way):
        """Each 8 bytes are the offset of their block."""
        pattern = {"verify": "pattern", "verify_pattern": "%o", "verify_fatal": 1}
        self.fio(Load(way, "sequential", 4 * KIB, 32), do_verify=0 if way == "write" else 1, **pattern)

    def prepare(self):
        self.pattern("write")
        with open(self.machine.options["disks"][0], "rb") as file:
            for offset in range(0, AREA, 4 * KIB):
                expected = struct.pack("<Q", offset) * (4 * KIB // 8)
                assert file.read(4 * KIB) == expected, f"fio's block at {offset} is another one"
        self.pattern("read")

    def rate(self, load, milliseconds):
        job = self.fio(
            load, time_based=1, runtime=f"{milliseconds}ms", norandommap=1, gtod_reduce=1
        )
        return job["iops"]

    def check(self):
        """What the rates wrote is nobody's pattern: the disk once more, from the beginning."""
        self.prepare()


class BareSide:
    name = "the disk alone"

    def __init__(self, folder, disk):
        self.folder, self.disk = folder, disk

    def prepare(self):
        self.elf = bare_program()

    def rate(self, load, milliseconds):
        command = qemu.command(
            elf=self.elf,
            memory=MEMORY,
            cpus=1,
            api_port=skep.free_ports(1)[0],
            disks=[self.disk],
            append=" ".join([*load.words, str(milliseconds), "halt"]),
            extra=("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
            kvm="off",
        )
        bound = milliseconds / 1000 + START_SECONDS
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=bound
        )
        return per_second(run.stdout + run.stderr)

    def check(self):
        pass  # each read has looked at what it got


def bare_program():
    source = counter.SOURCES / "bare.c"
    target = skep.BUILD / "bench/bare.elf"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = "-std=gnu17 -O2 -Wall -Wextra -Werror -m32 -march=i686 -mgeneral-regs-only -ffreestanding"
        flags += " -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static"
        flags += " -Wl,-Ttext-segment=0x100000,-e,bare_entry,--build-id=none"
        subprocess.run(["cc", *flags.split(), "-o", str(target), str(source)], check=True)
    return target


def summary(values):
    return statistics.median(values), min(values), max(values)


def add_rates(table, load, rates):
    """One row: Skep's rate, and the others beside it."""
    skep_rates, linux_rates, bare_rates = (rates[side.name] for side in (SkepSide, LinuxSide, BareSide))
    ratios = [ours / theirs for ours, theirs in zip(skep_rates, linux_rates)]
    median, least, most = summary(skep_rates)
    wanted = statistics.median(linux_rates) * (1 if load.streams else 2)
    goal = min(wanted, CEILING * statistics.median(bare_rates))
    note = f"; Linux {NOTE.format(*summary(linux_rates))}"
    note += "; ratio {:.2f} ({:.2f} … {:.2f})".format(*summary(ratios))
    note += f"; disk alone {NOTE.format(*summary(bare_rates))}"
    table.add(
        str(load),
        round(median),
        "MiB/s" if load.size == MIB else "requests/s",
        round(goal),
        at_least=True,
        min=round(least),
        max=round(most),
        count=len(skep_rates),
        rates=rates,
        ratio=statistics.median(ratios),
        note=note,
    )


def rate_rows(options, table, folder):
    folder.mkdir(parents=True, exist_ok=True)
    disks = [make_disk(folder / "skep.img")]
    disks += [shutil.copy(disks[0], folder / name) for name in ("linux.img", "bare.img")]
    machine = skep.Machine(
        folder / "skep", memory=MEMORY, cpus=1, kvm="off", append=counter.ADDRESS, disks=disks[:1]
    )
    other = linux_machine(folder / "linux", disks[1])
    with machine, other:
        sides = [SkepSide(machine), LinuxSide(other), BareSide(folder, disks[2])]
        for side in sides:
            side.prepare()
        everything = [
            (load, {side.name: [] for side in sides})
            for load in loads(options.sizes, options.in_flight)
        ]
        for _ in range(options.rounds):
            for load, rates in everything:
                for side in sides:
                    rates[side.name].append(side.rate(load, options.milliseconds))
        for side in sides:
            side.check()
        machine.check_alive()
    for load, rates in everything:
        add_rates(table, load, rates)


# ---- instructions ----


def skep_counts(machine, side, load, requests):
    """The instructions of so many requests, from the guest's first one to its last answer."""
    first = machine.counter.hit_count()

    def spans():
        return machine.counter.between(*MARKS, first)

    words = [*load.words, str(10**6), str(requests)]
    side.guest(*words, until=lambda: skep.wait_for(spans, "the guest's last answer", START_SECONDS))
    [span] = spans()
    return span


def linux_counts(side, counts, load, requests):
    """Those of so many requests more: what a run of fio costs beside them is in both runs."""
    totals = []
    for factor in (1, 2):
        before = counts.now()
        side.fio(load, io_size=factor * requests * load.size, norandommap=1, gtod_reduce=1)
        totals.append(counts.now() - before)
    return totals[1] - totals[0]


def counted_requests(load):
    return COUNTED if load.size < MIB else COUNTED // 16


def count_rows(options, table, folder):
    folder.mkdir(parents=True, exist_ok=True)
    disks = [make_disk(folder / "skep.img")]
    disks.append(shutil.copy(disks[0], folder / "linux.img"))
    some = list(loads(options.sizes, options.in_flight))
    with counter.CountedMachine(
        folder / "skep", memory=MEMORY, append=counter.ADDRESS, disks=disks[:1], devices=True
    ) as machine:
        side = SkepSide(machine)
        side.prepare()
        for load in some:
            requests = counted_requests(load)
            counts = skep_counts(machine, side, load, requests)
            table.add_counts(f"Skep: {load}", counts, share=requests, effects=True)
        side.check()
        machine.check_alive()
    plugin = f"{counter.plugin('count')},out={folder / 'counts'}"
    extra = ["-icount", "shift=0", "-plugin", plugin]
    with linux_machine(folder / "linux", disks[1], extra=extra) as machine:
        side, counts = LinuxSide(machine), counter.Counter(folder / "counts")
        for load in some:
            requests = counted_requests(load)
            spent = linux_counts(side, counts, load, requests)
            table.add_counts(f"Linux: {load}", spent, share=requests)


def guard_rows(table, folder):
    """For ci/bench instructions: what the volume's side of it costs, without Linux."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = make_disk(folder / "guard.img")
    with counter.CountedMachine(
        folder / "guard", memory=MEMORY, append=counter.ADDRESS, disks=[disk], devices=True
    ) as machine:
        side = SkepSide(machine)
        side.prepare()
        for load, goal in GUARDED:
            requests = counted_requests(load)
            counts = skep_counts(machine, side, load, requests)
            table.add_counts(f"volume: {load}", counts, goal, share=requests, effects=True)
        side.check()
        machine.check_alive()


def sections(options):
    parts = {"rates": rate_rows, "instructions": count_rows}
    return {name: functools.partial(part, options) for name, part in parts.items()}


def add_options(parser):
    def numbers(text):
        return [int(word) for word in text.split(",")]

    group = parser.add_argument_group("storage")
    group.add_argument("--sizes", type=numbers, default=[4 * KIB, MIB], metavar="BYTES,…")
    group.add_argument("--in-flight", type=numbers, default=[1, 32], metavar="N,…")
    group.add_argument("--milliseconds", type=int, default=500, metavar="N", help="for how long")
