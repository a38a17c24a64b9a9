"""ci/bench guests: several guests on one machine, and what a machine needs for one.

stream   from one guest to another, beside the same from a guest out of the machine: rates of one run, and instructions
         a MiB of all that is executed
scaling  2 and 4 web guests on 2 CPUs with a pair of the card's queues each, each with a client of its own, beside one on one
         CPU; and 2 and 4 machines with one CPU and one guest each, which is what the host can give: clients and emulated
         CPUs share its CPUs. And what of the host's CPU time a request takes, in the machine: unlike the rates, that
         depends little on what else the host does, and a machine with 2 CPUs can't be faster than it and the host's CPUs allow
sqlite   ring 0's share while a guest runs SQLite's speedtest1 in memory
memory   the least with which a machine boots and serves the API and a web guest's page, beside Linux with nginx

Over a tap device in a network namespace of this run's own, if it may have one: only such a card cuts TCP segments, and
guests are offered to send long ones only then. Else over QEMU's user-mode network.
"""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import re
import statistics
import subprocess
import time

import linux
import ports
import qemu
import skep
import web
import webguest
from counter import CountedMachine, Elf, WatchedMachine

MIB = 1 << 20
GUEST_MEMORY = 16 * MIB
COUNTED_BYTES, TIMED_BYTES, ROUNDS = 8 * MIB, 32 * MIB, 6
ANSWER = (bytes(range(251)) * 3)[: web.PAGE_BYTES]  # httpd's to web.PAGE
STRETCH_PACKETS, STRETCH_LIMIT = 20_000, 20_000
SQLITE_SECONDS, START_SECONDS = 300, 30


def network(place, last):
    """A guest's one network, and its address."""
    address = f"{place.net}.{last}"
    return address, [{"address": f"{address}/24", "gateway": place.gateway}]


def machine_options(place, guests):
    """Of a machine there, with ports for so many web guests."""
    return {
        "forwards": [network(place, 20 + i)[0] for i in range(guests)],
        "host": place.address if place.tap else None,
        "append": f"address={place.address}/24 gateway={place.gateway}",
        **place.options,
    }


def place_of(tapped, number=1, queues=1):
    place = web.Place(number, tapped, queues)
    place.make()
    return place


def start_web(machine, place, guests):
    """So many web guests; their URLs."""
    api = machine.wait_api()
    api.upload("httpd", skep.BUILD / "examples/httpd.elf")
    for i in range(guests):
        address, networks = network(place, 20 + i)
        spec = webguest.spec(memory_bytes=GUEST_MEMORY) | {"networks": networks}
        api.create(f"web-{i}", **spec)
        machine.wait_page(address)
    return [machine.url(network(place, 20 + i)[0]) for i in range(guests)]


# ---- stream ----


def download(api, place, count, rounds, meanwhile=lambda: None):
    """By another guest; what it prints. Nobody asks the API until `meanwhile` returns."""
    server, _ = network(place, 20)
    _, networks = network(place, 40)
    arguments = [server, str(count), str(rounds)]
    spec = {"memory_bytes": GUEST_MEMORY, "networks": networks, "args": arguments, "desired_state": "running"}
    api.create("download", image="download", **spec)
    meanwhile()
    status = api.wait_state("download", "exited", "crashed", seconds=web.LOAD_SECONDS)
    said = api.log("download").decode()
    assert status["exit_code"] == 0, (status, said)
    api.delete_guest("download")
    return said


def fetch_all(url, count):
    command = ["curl", "-sSf", "-o", "/dev/null", "-w", "%{size_download}", f"{url}bytes/{count}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=web.LOAD_SECONDS)
    assert int(done.stdout) == count, done.stdout


def counted_stream(table, place, folder):
    with CountedMachine(folder / "counted", devices=True, **machine_options(place, 1)) as machine:
        [url] = start_web(machine, place, 1)
        api = machine.api
        api.upload("download", skep.BUILD / "guests/download.elf")
        machine.settle()
        first = machine.counter.hit_count()

        def downloaded():
            counted = lambda: len(machine.counter.between(22, 23, first)) == ROUNDS
            skep.wait_for(counted, "the downloads' end", web.LOAD_SECONDS)

        download(api, place, COUNTED_BYTES, ROUNDS, downloaded)
        # The first one finds receive buffers that were never touched.
        spans = sorted(machine.counter.between(22, 23, first)[1:], key=lambda counts: counts.total)
        share = COUNTED_BYTES // MIB
        table.add_counts("a MiB from guest to guest", spans[len(spans) // 2], share=share)
        fetch_all(url, COUNTED_BYTES)
        before = machine.settle()
        fetch_all(url, COUNTED_BYTES)
        table.add_counts("a MiB out of the machine", machine.settle() - before, share=share)


def timed_stream(table, place, folder, rounds):
    local, out = [], []
    with skep.Machine(folder / "timed", cpus=1, kvm="off", **machine_options(place, 1)) as machine:
        [url] = start_web(machine, place, 1)
        machine.api.upload("download", skep.BUILD / "guests/download.elf")
        for _ in range(rounds):
            said = download(machine.api, place, TIMED_BYTES, rounds=2)
            microseconds = int(re.findall(r"bytes in (\d+) us", said)[-1])
            local.append(TIMED_BYTES / MIB / (microseconds / 1e6))
            begin = time.monotonic()
            fetch_all(url, TIMED_BYTES)
            out.append(TIMED_BYTES / MIB / (time.monotonic() - begin))
        machine.check_alive()
    ratios = [a / b for a, b in zip(local, out)]
    table.add_median(
        "stream, guest to guest : out of the machine",
        ratios,
        "times",
        4,
        at_least=True,
        note=f"; MiB a second: {statistics.median(local):,.0f} and {statistics.median(out):,.0f}",
    )


def stretch_rows(table, place, folder):
    """What ring 0 does in one go with segments in the most pieces: two guests send each other such."""
    with WatchedMachine(folder / "stretches", cpus=1, **machine_options(place, 0)) as machine:
        api = machine.wait_api()
        api.upload("heavy", skep.BUILD / "guests/heavy.elf")
        macs = {"one": "52:54:00:00:00:01", "two": "52:54:00:00:00:02"}
        for (name, mac), peer in zip(macs.items(), reversed(macs.values())):
            networks = [one | {"mac": mac} for one in network(place, int(mac[-2:]) + 40)[1]]
            spec = {"memory_bytes": 4 * MIB, "args": ["segments", peer], "desired_state": "running"}
            api.create(name, image="heavy", networks=networks, **spec)

        def exchanged():
            counters = [api.status(name)["networks"][0] for name in macs]
            return min(one["rx_packets"] for one in counters) > STRETCH_PACKETS

        skep.wait_for(exchanged, "segments are exchanged", 120)
        for name in macs:
            api.delete_guest(name)
        machine.check_alive()
        longest = machine.stretches().all()[0]
        table.add(
            f"interrupts off, long segments: {longest.kind}",
            longest.length,
            "instructions",
            STRETCH_LIMIT,
            note=f": {longest.hottest()}",
        )


def stream_rows(options, tapped, table, folder):
    place = place_of(tapped)
    counted_stream(table, place, folder)
    timed_stream(table, place, folder, options.rounds)
    if tapped:
        stretch_rows(table, place, folder)


# ---- scaling ----


def cpu_seconds(machines):
    """That the host has spent on them."""
    stats = [(pathlib.Path("/proc") / str(one.process.pid) / "stat").read_text() for one in machines]
    ticks = sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def rate_of(urls, machines, options):
    """Requests a second of all, asked at once, with right answers before and after; and the host's CPU time a request."""

    def check():
        for url in urls:
            assert web.fetch(url + web.PAGE) == ANSWER, f"another answer than was asked for from {url}"

    check()
    before = cpu_seconds(machines)
    with concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
        rate = sum(pool.map(lambda url: web.keep_alive_rate(url, options), urls))
    spent = cpu_seconds(machines) - before
    check()
    return rate, spent / (rate * options.seconds)


def add_ratio(table, name, some, others, goal=None):
    """Of rates of the same rounds."""
    some, others = ([rate for rate, _ in each] for each in (some, others))
    ratios = [a / b for a, b in zip(some, others)]
    table.add_median(
        name,
        ratios,
        "times",
        goal,
        at_least=True,
        note=f"; requests a second: {statistics.median(some):,.0f} and {statistics.median(others):,.0f}",
    )


def add_cost(table, name, measured):
    costs = [1e6 * seconds for _, seconds in measured]
    table.add_median(f"host CPU time a request, {name}", costs, "us", digits=1)


def scaling_rows(options, tapped, table, folder):
    """What the host has for so many guests and their clients is what as many machines with one CPU and one guest get of
    it, asked by the same clients."""
    places = [place_of(tapped, 1 + i, queues=2 if i == 4 else 1) for i in range(5)]
    many, apart = {2: [], 4: []}, {1: [], 2: [], 4: []}
    with contextlib.ExitStack() as stack:

        def start(name, place, cpus, guests):
            machine = skep.Machine(folder / name, cpus=cpus, kvm="off", **machine_options(place, guests))
            return stack.enter_context(machine)

        machines = [start(f"one-{i}", places[i], 1, 1) for i in range(4)]
        machines.append(start("many", places[4], 2, 4))
        ones = [start_web(machine, place, 1)[0] for machine, place in zip(machines, places[:4])]
        four = start_web(machines[4], places[4], 4)
        for _ in range(options.rounds):
            for count in (1, 2, 4):
                apart[count].append(rate_of(ones[:count], machines[:count], options))
                if count > 1:
                    many[count].append(rate_of(four[:count], machines[4:], options))
        for machine in machines:
            machine.check_alive()
    for count in (2, 4):
        add_ratio(table, f"{count} web guests on 2 CPUs : one on one", many[count], apart[1], 1.9)
        add_ratio(table, f"{count} machines with one guest each : one", apart[count], apart[1])
        add_ratio(table, f"{count} web guests on 2 CPUs : {count} machines", many[count], apart[count])
    add_cost(table, "one web guest on one CPU", apart[1])
    for count in (2, 4):
        add_cost(table, f"{count} web guests on 2 CPUs", many[count])
        add_cost(table, f"{count} machines with one guest each", apart[count])


# ---- sqlite ----


def sqlite_rows(_options, tapped, table, folder):
    """From main() on to its end; nobody asks the API meanwhile."""
    work = ports.WORKS["speedtest1 in memory"]
    elf = Elf(work.elf)
    points = [elf.point(elf.symbol("main")), elf.point(elf.symbol("exit"))]
    place = place_of(tapped)
    with CountedMachine(folder / "sqlite", points=points, **machine_options(place, 0)) as machine:
        api = machine.wait_api()
        api.upload(work.program, work.elf)
        first = machine.counter.hit_count()
        spec = {"memory_bytes": ports.GUEST_MEMORY, "args": work.args, "desired_state": "running"}
        api.create("speed", image=work.program, **spec)
        api.close()
        skep.wait_for(lambda: machine.counter.hit(2, first), "its end", SQLITE_SECONDS, interval=0.5)
        counts = machine.counter.hit(2, first) - machine.counter.hit(1, first)
        status = api.wait_state("speed", "exited", "crashed")
        assert status["exit_code"] == 0, (status, api.log("speed"))
        table.add(
            "ring 0's share of SQLite in memory",
            round(100 * counts.ring0 / counts.total, 3),
            "%",
            0.1,
            ring0=counts.ring0,
            ring3=counts.ring3,
            note=f"; {status['page_faults']:,} page faults",
        )


# ---- memory ----


@contextlib.contextmanager
def small_skep(folder, place, mib):
    with skep.Machine(folder, memory=f"{mib}M", cpus=1, kvm="off", **machine_options(place, 1)) as machine:
        api = machine.wait_api(START_SECONDS)
        address, networks = network(place, 20)
        api.upload("httpd", skep.BUILD / "examples/httpd.elf")
        api.create("web", **webguest.spec(memory_bytes=2 * MIB) | {"networks": networks})
        yield machine.url(address)
        machine.check_alive()


@contextlib.contextmanager
def small_linux(folder, place, mib):
    side = web.LinuxSide(folder, place, b"x" * web.PAGE_BYTES, "nginx", f"{mib}M")
    with side.up() as url:
        yield url


def serves(start, folder, place, mib):
    try:
        with start(folder, place, mib) as url:
            skep.wait_for(lambda: web.fetch(url + web.PAGE, seconds=2), "the page", START_SECONDS)
            return True
    except (AssertionError, OSError, RuntimeError, skep.requests.RequestException):
        return False


def least(start, folder, place, low, high, step):
    """The least MiB with which it serves: more than low, at most high."""
    while high - low > step:
        middle = (low + high) // 2 // step * step
        middle = middle if middle > low else low + step
        low, high = (low, middle) if serves(start, folder / str(middle), place, middle) else (middle, high)
    assert serves(start, folder / "least", place, high), f"it doesn't serve with {high} MiB"
    return high


def memory_rows(_options, tapped, table, folder):
    place = place_of(tapped)
    ours = least(small_skep, folder / "skep", place, 8, 40, 1)
    theirs = least(small_linux, folder / "linux", place, 40, 160, 4)
    table.add("least memory, a web guest", ours, "MiB")
    table.add("least memory, nginx in Linux", theirs, "MiB")
    table.add("least memory, Skep : Linux", round(ours / theirs, 2), "times", 0.33)


KINDS = {"stream": stream_rows, "scaling": scaling_rows, "sqlite": sqlite_rows, "memory": memory_rows}


def sections(options):
    needs_linux = not options.only or options.only in "memory"
    if needs_linux:
        linux.kernel()
    web.enter(options, packages=("nginx",) if needs_linux else ())
    tapped = os.environ.get(web.INSIDE) == "tap"
    return {name: functools.partial(rows, options, tapped) for name, rows in KINDS.items()}
