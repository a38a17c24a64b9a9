"""ci/bench instructions: the budgets of a machine with few guests."""

import collections
import contextlib
import pathlib
import subprocess
import tempfile
import time

import handshake
import latency
import lines
import longest
import skep
import storage
import web
import webguest
from client import OneRecordClient
from counter import ADDRESS, CountedMachine, Elf

KIB, MIB = 1 << 10, 1 << 20
LOADED_SECONDS = 5
WEB = webguest.ADDRESS
STREAM_ROW = "stream over tap, a MiB, httpd"
HELLO = {"image": "hello", "memory_bytes": 2 * MIB, "desired_state": "running"}


def static_rows(table, _folder):
    table.add("ring 0: arch, core, io", lines.ring0(), "lines", 8000)
    for name, count in lines.drivers().items():
        table.add(f"driver {name}", count, "lines", 800)
    with tempfile.NamedTemporaryFile() as stripped:
        command = ["strip", "-o", stripped.name, str(skep.build_exists())]
        subprocess.run(command, check=True)
        size = pathlib.Path(stripped.name).stat().st_size
    table.add("skep.elf, stripped", size, "bytes", 2 * MIB)
    for elf in sorted((skep.BUILD / "examples").glob("*.elf")):
        goal = 400 * KIB if elf.stem == "hello" else None
        table.add(f"{elf.stem}.elf", elf.stat().st_size, "bytes", goal)


def boot_rows(table, folder):
    """Power-on to the API, and the memory used then."""
    entry = Elf(skep.BUILD / "skep.elf").pvh_entry()
    with CountedMachine(
        folder / "boot", points=[f"at={entry:#x}"], memory="512M", append=ADDRESS
    ) as machine:
        machine.wait_serial(skep.READY)
        booted = machine.counter.now() - machine.counter.hit(1)
        table.add_counts("power-on to API listening", booted, 15_000_000)
        memory = machine.wait_api().host()["memory"]
        goal = 24 * MIB + memory["total"] * 4 // 1000
        table.add("memory used after boot, no guest", memory["used"], "bytes", goal)


def call_rows(table, folder):
    with CountedMachine(folder / "calls", append=ADDRESS) as machine:
        api = machine.wait_api()
        api.upload("calls", skep.BUILD / "guests/calls.elf")
        api.create("calls", image="calls", memory_bytes=2 * MIB, desired_state="running")
        api.wait_state("calls", "exited")
        isolated = api.host()["mitigations"]["meltdown (PTI)"] == "active"
        table.add_spans("null hypercall", machine.counter.between(1, 2), 130 if isolated else 100)
        table.add_spans("clock hypercall", machine.counter.between(3, 4))


def create_rows(table, folder, rounds=21):
    """From the first byte of the API request, on an open connection, to the guest's code."""
    hello = Elf(skep.BUILD / "examples/hello.elf")
    points = [hello.point(hello.entry), hello.point(hello.symbol("main"))]
    with CountedMachine(folder / "create", points=points, append=ADDRESS) as machine:
        api, counter = machine.wait_api(), machine.counter
        api.upload("hello", hello.path)
        client = OneRecordClient(api)
        entries, mains = [], []
        for _ in range(rounds):
            first, before = counter.hit_count(), machine.settle()
            client.put("/v1/guests/hello", HELLO)
            reached = skep.wait_for(lambda first=first: counter.hit(2, first), "the guest's main")
            client.answer()
            entries.append(counter.hit(1, first) - before)
            mains.append(reached - before)
            used = api.wait_state("hello", "exited")["memory_peak_bytes"]
            api.delete_guest("hello")
        # The first round pays for what later ones find done.
        table.add_spans("create by API to the first instruction", entries[1:], 1_500_000)
        table.add_spans("create by API to main", mains[1:])
        table.add("memory touched by hello", used, "bytes", 160 * KIB)


def one_fresh(port, host="127.0.0.1", page="/"):
    connection = webguest.connect(port, host)
    webguest.get(connection, page)
    connection.close()


def undisturbed(machine, action, rounds):
    """What an action costs: the lower quartile of many. This host's load spreads packets over more wake-ups."""
    spans = []
    for _ in range(rounds):
        before = machine.wait_quiet()
        action()
        spans.append(machine.wait_quiet() - before)
    return sorted(spans, key=lambda counts: counts.total)[rounds // 4]


def kept_row(table, machine, port, goal, server="httpd", page="/", requests=25):
    """Back to back, as under load."""

    def batch():
        for _ in range(requests):
            webguest.get(connection, page)

    connection = webguest.connect(port)
    batch()
    counts = undisturbed(machine, batch, rounds=80)
    table.add_counts(f"keep-alive request, {server}", counts, goal, share=requests)
    connection.close()


def fresh_row(table, machine, port):
    """One by one: back to back, the end of one connection meets the next one's begin sooner or later."""
    counts = undisturbed(machine, lambda: one_fresh(port), rounds=200)
    table.add_counts("request on a new connection, httpd", counts, 22_000)


@contextlib.contextmanager
def serving(folder, server):
    """A machine with a web guest, which nobody else asks anything."""
    with CountedMachine(folder / server, append=ADDRESS, forwards=[WEB]) as machine:
        api = machine.wait_api()
        webguest.create(api, server=server)
        machine.wait_page(WEB)
        api.close()
        yield machine


def web_rows(table, folder, idle_seconds=5):
    with serving(folder, "httpd") as machine:
        kept_row(table, machine, machine.ports[WEB], 12_000)
        fresh_row(table, machine, machine.ports[WEB])

        # Closed connections linger a while in TCP's last states; a measurement of idling begins after.
        time.sleep(10)
        before = machine.settle()
        time.sleep(idle_seconds)  # this is what is measured
        counts = machine.counter.now() - before
        table.add_counts("idle second, one web guest", counts, 5_000, share=idle_seconds)


@contextlib.contextmanager
def reached(folder, name):
    """A machine with httpd, over a tap device where there is one; with the guest's URL, and the API."""
    place = web.Place(1, tap=web.is_tapped())
    place.make()
    options = {"append": place.append, "host": place.host, **place.options}
    with CountedMachine(folder / name, forwards=[place.guest], **options) as machine:
        api = machine.wait_api()
        webguest.create(api, place.guest, place.gateway)
        machine.wait_page(place.guest)
        yield machine, machine.url(place.guest), api


def loaded_rows(table, folder):
    """What a request takes of ring 0's doors when wrk leaves the guest no rest: hypercalls, by kind, and interrupts."""
    with reached(folder, "loaded") as (machine, url, api):

        def calls():
            return collections.Counter(api.ok("GET", "/v1/guests/web/vcpus")["items"][0]["hypercalls"])

        before, counts = calls(), machine.settle()
        requests = web.wrk_requests(url + webguest.PAGE, LOADED_SECONDS)
        counts = machine.settle() - counts
        spent = calls() - before
    where = "tap" if web.is_tapped() else "user"
    note = ", ".join(f"{name} {count / requests:.2f}" for name, count in spent.most_common())
    # Less than one was the goal. These are what it mustn't become: docs/performance.md tells why it is more.
    table.add(f"hypercalls a request, loaded httpd, {where}", round(spent.total() / requests, 2), "", 1.5, note=note)
    table.add(f"interrupts a request, loaded httpd, {where}", round(counts.interrupts / requests, 2), "", 1.5)


def nginx_rows(table, folder):
    with serving(folder, "nginx") as machine:
        kept_row(table, machine, machine.ports[WEB], 26_000, "nginx", f"/{webguest.PAGE}")


def stream_rows(table, folder, mib=32):
    """A download over a tap device, whose host completes checksums and takes segments whole."""
    if not web.is_tapped():
        table.missing(STREAM_ROW, "needs root, /dev/net/tun and iproute2's ip", excused=True)
        return
    with reached(folder, "stream") as (machine, url, api):
        api.close()
        command = ["curl", "-sSo", "/dev/null", f"{url}bytes/{mib * MIB}"]

        def download():
            subprocess.run(command, check=True, timeout=120)

        download()
        table.add_counts(STREAM_ROW, undisturbed(machine, download, rounds=9), 300_000, share=mib)


def busy_rows(table, folder, steps=20):
    """What ring 0 takes of a guest that only computes."""
    with CountedMachine(folder / "busy", append=ADDRESS) as machine:
        api = machine.wait_api()
        api.upload("loop", skep.BUILD / "guests/loop.elf")
        api.create("loop", image="loop", memory_bytes=2 * MIB, desired_state="running")
        api.close()

        def passes():
            return [counts for point, counts in machine.counter.hits() if point == 256 + 5]

        # The first passes share the machine with the end of the API call.
        skep.wait_for(lambda: len(passes()) > steps + 5, "the guest's passes", 120)
        counts = passes()[steps + 5] - passes()[5]
        share = round(100 * counts.ring0 / counts.total, 4)
        table.add("ring 0's share of a busy guest", share, "%", 0.1, ring0=counts.ring0)


SECTIONS = {
    "static": static_rows,
    "boot": boot_rows,
    "calls": call_rows,
    "create": create_rows,
    "handshake": handshake.rows,
    "web": web_rows,
    "loaded": loaded_rows,
    "nginx": nginx_rows,
    "stream": stream_rows,
    "busy": busy_rows,
    "wake": latency.wake_rows,
    "stored": latency.stored_rows,
    "first byte": latency.first_byte_rows,
    "vcpus": latency.vcpu_rows,
    "volumes": storage.guard_rows,
    "longest": longest.rows,
}


def sections(options):
    if not options.only or any(options.only in name for name in ("stream", "loaded")):
        web.enter(options)
    return SECTIONS
