"""ci/bench boot, http, connections, stream, latency, or web for all of them: a web guest beside nginx in Linux.

Two machines with the same emulated CPU and memory, one CPU each: Skep with the guest `httpd`, and Debian's kernel with nginx,
one worker, in an initramfs; or with --server nginx or lighttpd the port of it beside Debian's. They serve the same bytes to the same client in turn, one at a time; the ratios are
those of a round. Over a tap device each, in a network namespace of this run's own, or over QEMU's user networking.
"""

import contextlib
import functools
import http.client
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import time
import urllib.parse

import linux
import qemu
import skep
import webguest

MIB = 1 << 20
MEMORY, GUEST_MEMORY = "512M", 16 * MIB
PAGE, PAGE_BYTES, STREAM_BYTES = webguest.PAGE, webguest.PAGE_BYTES, 64 * MIB
STREAM = f"bytes/{STREAM_BYTES}"
CONNECTIONS = 8
LOAD_SECONDS = 300  # that a measurement may take
KINDS = ("boot", "http", "connections", "stream", "latency")
UNITS = {"boot": "s", "stream": "MiB/s", "latency": "ms, 99th percentile"}
NAMES = {
    "boot": "power-on to the first page",
    "http": "requests a second, 8 kept-alive connections",
    "connections": "requests a second, each on a new connection",
    "stream": "64 MiB download",
    "latency": "time to answer at half of Linux' rate",
}
GOALS = {"boot": 8, "http": 3, "connections": 6, "stream": 2, "latency": 2}  # how often better than Linux
SMALLER_IS_BETTER = ("boot", "latency")

PROCESS = "user root; worker_processes 1; pid /tmp/nginx.pid; error_log /tmp/error.log;"

START = """
ip link set lo up
ip link set eth0 up
ip addr add {address}/24 dev eth0
ip route add default via {gateway}
mkdir -p /var/log/nginx /var/lib/nginx /run /www/bytes
truncate -s {stream_bytes} /www/{stream}
{server}
"""
STARTS = {"nginx": "/bin/nginx -c /nginx.conf", "lighttpd": f"/bin/lighttpd {' '.join(webguest.LIGHTTPD_ARGS)} &"}


class Place:
    """Where a machine is in its network."""

    made = set()  # taps

    def __init__(self, number, tap, queues=1):
        """queues: pairs that the machine's network card has there; more than one over a tap only."""
        self.queues = queues if tap else 1
        self.net = f"10.77.{number}" if tap else "10.0.2"
        self.tap = f"bench{number}" if tap else None
        self.address, self.guest = f"{self.net}.15", f"{self.net}.20"
        self.gateway = f"{self.net}.1" if tap else qemu.GATEWAY

    def make(self):
        """Once for each tap: it stays as long as this program's namespace."""
        if self.tap and self.tap not in self.made:
            self.made.add(self.tap)
            for words in (
                f"tuntap add {self.tap} mode tap" + (" multi_queue" if self.queues > 1 else ""),
                f"addr add {self.gateway}/24 dev {self.tap}",
                f"link set {self.tap} up",
            ):
                subprocess.run(["ip", *words.split()], check=True)

    @property
    def options(self):
        return ({"tap": self.tap} if self.tap else {}) | ({"queues": self.queues} if self.queues > 1 else {})

    @property
    def append(self):
        return f"address={self.address}/24 gateway={self.gateway}"

    @property
    def host(self):
        """Where the machine is, when its ports aren't forwarded."""
        return self.address if self.tap else None


class SkepSide:
    name = "Skep"

    def __init__(self, folder, place, server):
        self.folder, self.place, self.server = folder, place, server

    @contextlib.contextmanager
    def up(self):
        """Serving; gives where."""
        place = self.place
        machine = skep.Machine(
            self.folder / "skep",
            forwards=[place.guest],
            host=place.host,
            append=place.append,
            memory=MEMORY,
            cpus=1,
            kvm="off",
            **place.options,
        )
        with machine:
            api = machine.wait_api()
            webguest.create(api, place.guest, place.gateway, GUEST_MEMORY, server=self.server)
            yield machine.url(place.guest)
            machine.check_alive()


class LinuxSide:
    name = "Linux"

    def __init__(self, folder, place, page, server, memory=MEMORY):
        port = 80 if place.tap else skep.free_ports(1)[0]
        self.url = f"http://{place.address if place.tap else '127.0.0.1'}:{port}/"
        start = START.format(
            address=place.address,
            gateway=place.gateway,
            stream=STREAM,
            stream_bytes=STREAM_BYTES,
            server=STARTS[server],
        )
        files = {
            "/lighttpd.conf": webguest.LIGHTTPD.encode(),
            "/nginx.conf": (webguest.NGINX % PROCESS).encode(),
            "/start": start.encode(),
            "/etc/passwd": b"root:x:0:0::/:/bin/sh\n",
            "/etc/group": b"root:x:0:\n",
            f"/www/{PAGE}": page,
        }
        self.machine = linux.Linux(
            folder / "linux",
            [*linux.VIRTIO, *linux.NETWORK],
            [linux.package(server) / f"usr/sbin/{server}"],
            files,
            memory=memory,
            cpus=1,
            **place.options or {"forwards": [(port, place.address, 80)]},
        )

    @contextlib.contextmanager
    def up(self):
        with self.machine:
            yield self.url


# ---- what is measured ----


def fetch(url, seconds=10):
    """The whole answer, or None when there is none (yet)."""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port or 80, timeout=seconds)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", where.path)
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else None


def wait_page(url, page):
    def served():
        got = fetch(url + PAGE, seconds=0.5)  # not long: a connection that nobody listens for may hang
        assert got in (None, page), f"{url}{PAGE} is not the page"
        return got

    skep.wait_for(served, f"a page from {url}", skep.BOOT_SECONDS, interval=0.02)


def wrk(page, seconds, *options):
    """What it says of so many seconds of requests for a page."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", *options, page]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=seconds + LOAD_SECONDS
    ).stdout
    assert "Non-2xx" not in said, said
    assert not re.search(r"Socket errors: connect [1-9]|timeout [1-9]", said), said
    return said


def wrk_requests(page, seconds):
    return int(re.search(r"(\d+) requests in ", wrk(page, seconds))[1])


def wrk_rate(*request):
    return float(re.search(r"Requests/sec: +([\d.]+)", wrk(*request))[1])


def keep_alive_rate(url, options):
    return wrk_rate(url + PAGE, options.seconds)


def connection_rate(url, options):
    return wrk_rate(url + PAGE, options.seconds, "-H", "Connection: close")


def stream_rate(url, options):
    """In MiB a second."""
    wanted = "%{http_code} %{size_download} %{speed_download}"
    command = ["curl", "-s", "-o", "/dev/null", "-w", wanted, url + STREAM]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LOAD_SECONDS).stdout
    code, size, speed = said.split()
    assert (code, int(size)) == ("200", STREAM_BYTES), said
    return float(speed) / MIB


class OpenLoop:
    """Requests at a fixed rate, whether or not the ones before were answered, over CONNECTIONS kept-alive connections
    that take turns; a request's time begins when it is due."""

    def __init__(self, url, length):
        where = urllib.parse.urlsplit(url)
        self.request = f"GET {where.path} HTTP/1.1\r\nHost: {where.hostname}\r\n\r\n".encode()
        self.length = length
        self.ready = selectors.DefaultSelector()
        self.lanes = []
        for _ in range(CONNECTIONS):
            lane = socket.create_connection((where.hostname, where.port or 80), timeout=10)
            lane.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.ready.register(lane, selectors.EVENT_READ, {"due": [], "bytes": 0})
            self.lanes.append(lane)

    def read(self, key, times):
        data, lane = key.data, key.fileobj
        got = lane.recv(65536)
        assert got, "the server closed a connection"
        data["bytes"] += len(got)
        while data["bytes"] >= self.length:
            data["bytes"] -= self.length
            times.append(time.monotonic() - data["due"].pop(0))

    def run(self, rate, seconds):
        """The times in ms, sorted."""
        times, count = [], int(rate * seconds)
        begin = time.monotonic() + 0.1
        for number in range(count):
            due = begin + number / rate
            while (left := due - time.monotonic()) > 0:
                for key, _ in self.ready.select(left):
                    self.read(key, times)
            lane = self.lanes[number % CONNECTIONS]
            self.ready.get_key(lane).data["due"].append(due)
            lane.sendall(self.request)
        end = time.monotonic() + LOAD_SECONDS
        while len(times) < count:
            assert time.monotonic() < end, f"{count - len(times)} of {count} requests weren't answered"
            for key, _ in self.ready.select(1):
                self.read(key, times)
        for lane in self.lanes:
            lane.close()
        return sorted(1000 * one for one in times)


def answer_length(url):
    """Of header and page."""
    where = urllib.parse.urlsplit(url)
    with socket.create_connection((where.hostname, where.port or 80), timeout=10) as plain:
        plain.sendall(f"GET {where.path} HTTP/1.1\r\nHost: {where.hostname}\r\n\r\n".encode())
        got = b""
        while (head := got.find(b"\r\n\r\n")) < 0 or len(got) < head + 4 + PAGE_BYTES:
            got += plain.recv(65536)
        return len(got)


def latency(rate, url, options):
    times = OpenLoop(url + PAGE, answer_length(url + PAGE)).run(rate, options.seconds)
    return times[int(0.99 * (len(times) - 1))]


# ---- rounds ----


def boot_time(side, page):
    begin = time.monotonic()
    with side.up() as url:
        wait_page(url, page)
        return time.monotonic() - begin


def boots(options, sides, page):
    values = {side.name: [] for side in sides}
    for _ in range(options.rounds):
        for side in sides:
            values[side.name].append(boot_time(side, page))
    return values


def loads(options, kinds, sides, page):
    """Values by kind and side's name. Both machines are up; who isn't measured has nothing to do."""
    values = {kind: {side.name: [] for side in sides} for kind in kinds}
    simple = {"http": keep_alive_rate, "connections": connection_rate, "stream": stream_rate}
    with contextlib.ExitStack() as stack:
        urls = {side.name: stack.enter_context(side.up()) for side in sides}
        last = sides[-1].name  # the peer, if there is one
        for url in urls.values():
            wait_page(url, page)
            if "stream" in kinds:
                stream_rate(url, options)  # the file's pages are there from then on
        if "latency" in kinds:
            rate = keep_alive_rate(urls[last], options) / 2
            simple["latency"] = functools.partial(latency, rate)
        for _ in range(options.rounds):
            for kind in kinds:
                for name, url in urls.items():
                    values[kind][name].append(simple[kind](url, options))
        for url in urls.values():
            wait_page(url, page)
    return values


def add_row(table, kind, values, tapped):
    name = f"{NAMES[kind]}, {'tap' if tapped else 'user'}"
    if "Linux" not in values:
        name = name.replace("Linux'", "its")
        table.add_median(name, values["Skep"], UNITS.get(kind, "a second"), rates=values)
        return
    ours, theirs = values["Skep"], values["Linux"]
    better = [b / a if kind in SMALLER_IS_BETTER else a / b for a, b in zip(ours, theirs)]
    digits = 2 if kind in SMALLER_IS_BETTER else 0
    shown = f"{{:,.{digits}f}} ({{:,.{digits}f}} … {{:,.{digits}f}})"

    def summary(some):
        return statistics.median(some), min(some), max(some)

    note = f"; {UNITS.get(kind, 'a second')}: Skep {shown.format(*summary(ours))}"
    note += f", Linux {shown.format(*summary(theirs))}"
    table.add_median(
        name,
        better,
        "times better than Linux",
        GOALS[kind],
        at_least=True,
        rates=values,
        note=note,
    )


def beside(options):
    """Linux' server."""
    return "nginx" if options.server == "httpd" else options.server


def rows(options, kinds, table, folder):
    tapped = is_tapped()
    places = [Place(number, tapped) for number in (1, 2)]
    for place in places:
        place.make()
    ours = SkepSide(folder, places[0], options.server)
    with ours.up() as url:
        page = skep.wait_for(lambda: fetch(url + PAGE), "the guest's page")
    assert len(page) == PAGE_BYTES, page
    sides = [ours]
    if options.peer == "linux":
        sides.append(LinuxSide(folder, places[1], page, beside(options)))
    if "boot" in kinds:
        add_row(table, "boot", boots(options, sides, page), tapped)
    others = [kind for kind in kinds if kind != "boot"]
    values = loads(options, others, sides, page) if others else {}
    for kind in others:
        add_row(table, kind, values[kind], tapped)


# ---- a network namespace of its own ----

INSIDE = "SKEP_BENCH_NETWORK"


def is_tapped():
    return os.environ.get(INSIDE) == "tap"


def enter(options, packages=None):
    """Starts this program again in a network namespace with taps, if it may. packages: Debian's that it needs there beside
    the kernel; None = not even that."""
    if options.network == "user" or INSIDE in os.environ:
        return
    able = os.geteuid() == 0 and os.access("/dev/net/tun", os.W_OK) and shutil.which("ip")
    if not able and options.network == "auto":
        return
    if not able:
        raise qemu.Missing("--network tap needs root, /dev/net/tun and iproute2's ip")
    if options.peer == "none":
        packages = None
    if packages is not None:
        linux.kernel()  # now: there is no way out of the namespace
    for name in packages or ():
        linux.package(name)
    # A client that remembers closed connections for a minute runs out of ports at these rates.
    setup = 'ip link set lo up && echo 0 > /proc/sys/net/ipv4/tcp_max_tw_buckets && exec "$@"'
    command = ["unshare", "--net", "--", "/bin/sh", "-c", setup, "sh"]
    os.execvpe(command[0], [*command, *options.command], os.environ | {INSIDE: "tap"})


def sections(options):
    enter(options, packages=(beside(options),))
    kinds = KINDS if options.what == "web" else (options.what,)
    if options.server != "httpd":
        kinds = tuple(kind for kind in kinds if kind != "stream")  # a file of that size would need a volume
    return {options.what: functools.partial(rows, options, kinds)}


def add_options(parser):
    group = parser.add_argument_group(
        "boot, http, connections, stream, latency, web; redis, memcached and mosquitto have --peer, too, and these and profile "
        "--network"
    )
    group.add_argument("--seconds", type=int, default=5, metavar="N", help="for how long each is measured")
    group.add_argument("--peer", choices=("linux", "none"), default="linux", help="what is measured beside; none: rates alone")
    group.add_argument("--network", choices=("auto", "tap", "user"), default="auto")
