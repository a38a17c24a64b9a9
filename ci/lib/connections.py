"""Connections to a web guest by the hundred thousand, many at once, and from peers that misbehave; what they leave behind.

The machine has a tap device in a network namespace of this run's own: what is sent from addresses that nobody has goes out
by a raw socket, and what comes for them is seen on the tap.
"""

import concurrent.futures
import contextlib
import http.client
import os
import random
import re
import select
import shutil
import socket
import struct
import subprocess
import threading
import time

import qemu
import skep
from helpers import MIB, example

TAP, NET = "skepsoak", "10.77.0"
GATEWAY, HOST, GUEST = f"{NET}.1", f"{NET}.15", f"{NET}.20"
PAGE_BYTES = 612
PAGE = f"/bytes/{PAGE_BYTES}"
INSIDE = "SKEP_CONNECTIONS_NETWORK"

# lighttpd takes connections for half of its descriptors, of which a guest of this size has 4,096. Idle times are long,
# since those who are asked last are silent for as long as all others take.
LIGHTTPD = """
server.port = 80
server.document-root = "/www"
server.max-connections = 1024
server.max-read-idle = 60
server.max-write-idle = 60
server.max-keep-alive-idle = 60
server.feature-flags = ("server.h2proto" => "disable")
"""
SERVERS = {
    "httpd": {"at_once": 1000, "args": [], "files": {}},
    "lighttpd": {
        "at_once": 1000,
        "args": ["-D", "-f", "/lighttpd.conf"],
        "files": {"/lighttpd.conf": LIGHTTPD, f"/www{PAGE}": "x" * PAGE_BYTES},
    },
}
STALL_SECONDS = 5  # that no request may take, whatever others do
GONE_SECONDS = 3600  # until peers that say nothing are given up: idle times, and how often lwIP sends again
STRANGERS, FLOOD, FLOOD_RATE = 60, 1500, 250
# Rates on a shared machine vary; what gets slower with each connection shows all the same.
RATIO_MIN = 0.5
TIME_WAIT_MAX = 64  # net/lwip/network.c
# Of what is in use, for what a server made when it was first used. What a connection leaves shows from 2 bytes on among
# 200,000. lighttpd keeps pools as large as the most connections that it had at once, and empties them a minute later.
HEAP_GROWTH = MIB // 4


def enter(command):
    """Starts this program again in a network namespace with a tap."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK) or not shutil.which("ip"):
        raise qemu.Missing("raw sockets and a tap need root, /dev/net/tun and iproute2's ip")
    # A client that remembers closed connections for a minute runs out of ports at these rates.
    setup = (
        f"ip link set lo up && ip tuntap add {TAP} mode tap && ip addr add {GATEWAY}/24 dev {TAP} && ip link set {TAP} up && "
        'echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets && exec "$@"'
    )
    os.execvpe("unshare", ["unshare", "--net", "--", "/bin/sh", "-c", setup, "sh", *command], os.environ | {INSIDE: "tap"})


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


SYN, RST, PSH, ACK = 2, 4, 8, 16

# What each kind of stranger sends before it is silent, or resets, and what it says that it has room for.
HALF = f"GET {PAGE} HTTP/1.1\r\nHost: web\r\n".encode()
KINDS = {
    "reset": (HALF, 8192),
    "half-open": (b"", 8192),  # no third packet
    "silent": (b"", 8192),
    "half a request": (HALF, 8192),
    "vanished": (HALF + b"\r\n", 8192),  # with the answer on its way
    "zero window": (HALF + b"\r\n", 0),
}


class Strangers:
    """Peers at addresses that are nobody's, who end nothing properly."""

    def __init__(self):
        self.out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.seen.bind((TAP, 0))
        self.seen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.random = random.Random(1)
        self.left = []  # the connections that aren't over for the guest: the peer, its next sequence number

    def close(self):
        self.out.close()
        self.seen.close()

    def stranger(self):
        return f"198.51.100.{self.random.randrange(1, 255)}", self.random.randrange(1024, 65536)

    def send(self, stranger, flags, sequence, acknowledged=0, window=8192, data=b""):
        source, destination = socket.inet_aton(stranger[0]), socket.inet_aton(GUEST)
        fields = (stranger[1], 80, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 5 << 4, flags, window)
        pseudo = source + destination + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20 + len(data))
        sum_of = checksum(pseudo + struct.pack("!HHIIBBHHH", *fields, 0, 0) + data + b"\0" * (len(data) % 2))
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, socket.IPPROTO_TCP, 0, source, destination)
        self.out.sendto(header + struct.pack("!HHIIBBHHH", *fields, sum_of, 0) + data, (GUEST, 0))

    def open(self, stranger, sequence):
        """Sends a SYN, once a second like everybody; the sequence number of the guest's SYN and ACK."""
        begin = time.monotonic()
        for sent in range(1, STALL_SECONDS + 1):
            self.send(stranger, SYN, sequence)
            while (left := begin + sent - time.monotonic()) > 0 and select.select([self.seen], [], [], left)[0]:
                packet = self.seen.recv(2048)[14:]
                tcp = packet[(packet[0] & 15) * 4 :]
                if packet[9] != socket.IPPROTO_TCP or socket.inet_ntoa(packet[16:20]) != stranger[0]:
                    continue
                port, to, answer, _, _, flags = struct.unpack("!HHIIBB", tcp[:14])
                if (port, to, flags & (SYN | ACK)) == (80, stranger[1], SYN | ACK):
                    return answer
        raise AssertionError(f"no SYN-ACK within {STALL_SECONDS} s")

    def meet(self, kind):
        """One connection: opened, and then left as its kind has it."""
        stranger, sequence = self.stranger(), self.random.randrange(1 << 32)
        answered = self.open(stranger, sequence) + 1
        request, window = KINDS[kind]
        if kind != "half-open":
            self.send(stranger, ACK, sequence + 1, answered)
        if request:
            self.send(stranger, PSH | ACK, sequence + 1, answered, window, request)
        self.left.append((stranger, sequence + 1 + len(request)))
        if kind == "reset":
            self.reset()
            self.left.clear()

    def reset(self):
        for stranger, sequence in self.left:
            self.send(stranger, RST, sequence)

    def flood(self, count):
        """At FLOOD_RATE: of faster ones more come within one handshake than a listener has places (docs/caveats.md)."""
        begin = time.monotonic()
        for i in range(count):
            stranger, sequence = self.stranger(), self.random.randrange(1 << 32)
            self.send(stranger, SYN, sequence)
            self.left.append((stranger, sequence + 1))
            time.sleep(max(0, begin + i / FLOOD_RATE - time.monotonic()))


class Watch:
    """Somebody else who goes on asking: how long each answer took."""

    def __init__(self):
        self.seconds, self.failure, self.ending = [], None, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(STALL_SECONDS + 1)

    def run(self):
        while not self.ending.is_set() and not self.failure:
            begin = time.monotonic()
            try:
                ask()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failure = repr(error)
            self.seconds.append(time.monotonic() - begin)

    def check(self, what):
        assert self.failure is None, f"{what}: somebody else got no answer: {self.failure}"
        assert len(self.seconds) > 3, f"{what}: somebody else asked {len(self.seconds)} times only"
        return f"others got {len(self.seconds)} answers, in {max(self.seconds):.2f} s at most"


def ask(connection=None):
    """Fetches the page, over a connection that stays or one that is closed."""
    client = connection or http.client.HTTPConnection(GUEST, timeout=STALL_SECONDS)
    try:
        client.request("GET", PAGE, headers={} if connection else {"Connection": "close"})
        answer = client.getresponse()
        assert answer.status == 200 and len(answer.read()) == PAGE_BYTES, answer.status
    finally:
        if not connection:
            client.close()


class Soak:
    """What happens to one server."""

    def __init__(self, machine, server, patient, say):
        self.machine, self.api, self.server, self.patient, self.say = machine, machine.api, server, patient, say

    def start(self):
        about = SERVERS[self.server]
        self.api.upload(self.server, example(self.server))
        self.api.create(
            "web",
            image=self.server,
            memory_bytes=64 * MIB,
            args=about["args"],
            files=[{"path": path, "content": content} for path, content in about["files"].items()],
            networks=[{"address": f"{GUEST}/24", "gateway": GATEWAY}],
            desired_state="running",
        )
        skep.wait_for(self.serves, "the first page")

    def serves(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask()
            return True
        return False

    def figures(self):
        text = self.api.ok("GET", "/metrics").decode()
        told = re.findall(r'^skep_guest_stat\{guest="web",name="(\w+)"\} (\d+)', text, re.M)
        return {name: int(value) for name, value in told}

    def quiet(self):
        """The figures when all connections are gone."""

        def figures():
            ask()  # lwIP's counters are brought up to date when packets come; this one's is among them
            now = self.figures()
            gone = now["tcp_connections"] <= 1 and now["sockets"] <= self.idle["sockets"]
            freed = now["heap_used_bytes"] <= self.idle["heap_used_bytes"] + HEAP_GROWTH
            return now if gone and freed and now["tcp_time_wait"] <= TIME_WAIT_MAX else None

        return skep.wait_for(figures, "all connections are gone, and their memory", GONE_SECONDS, 2)

    def wrk(self, seconds):
        words = ["wrk", "-t1", "-c8", f"-d{seconds}s", "--timeout", f"{STALL_SECONDS}s", "-H", "Connection: close"]
        said = subprocess.run([*words, f"http://{GUEST}{PAGE}"], capture_output=True, text=True, timeout=seconds + 60).stdout
        assert "requests in" in said and not re.search("Non-2xx|Socket errors", said), said
        return int(re.search(r"(\d+) requests in", said)[1])

    def short(self, count):
        """So many connections of one request each, in tenths; how much slower the last tenth was than the first."""
        rates, done, seconds = [], 0, 1
        while done < count:
            begin = time.monotonic()
            made = self.wrk(seconds)
            done += made
            rates.append(made / (time.monotonic() - begin))
            seconds = max(1, min(30, int(count / 10 / rates[-1])))
            self.machine.check_alive()
        tenth = max(len(rates) // 10, 1)
        first, last = (sum(part) / tenth for part in (rates[1 : tenth + 1] or rates, rates[-tenth:]))
        self.say(f"{self.server}: {done:,} connections, {first:.0f} a second at first, {last:.0f} at last")
        assert last > first * RATIO_MIN, f"{self.server} got slower: {[round(rate) for rate in rates]}"

    def open_many(self):
        count = SERVERS[self.server]["at_once"]
        connections = [http.client.HTTPConnection(GUEST, timeout=60) for _ in range(count)]
        try:
            for connection in connections:
                connection.connect()
            skep.wait_for(lambda: self.figures()["tcp_connections"] >= count, f"{count} connections are open")
            with Watch() as watch, concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(ask, connections))
            said = watch.check(f"{count} connections")
        finally:
            for connection in connections:
                connection.close()
        self.quiet()  # that many ends at once fill the guest's queue, and strangers send nothing again
        self.say(f"{self.server}: {count} open at once, each answered; {said}")

    def misbehave(self):
        strangers = Strangers()
        try:
            for kind in KINDS:
                with Watch() as watch:
                    for _ in range(STRANGERS):
                        strangers.meet(kind)
                    skep.wait_for(lambda: watch.failure or len(watch.seconds) > 3, "others are served")
                self.say(f"{self.server}: {STRANGERS} times {kind}; {watch.check(kind)}")
            with Watch() as watch:
                strangers.flood(FLOOD)
                skep.wait_for(lambda: watch.failure or len(watch.seconds) > 3, "others are served")
            self.say(f"{self.server}: {FLOOD} SYNs; {watch.check('a flood of SYNs')}")
            if not self.patient:
                # Again and again, since the guest's queue may be full.
                gone = lambda: strangers.reset() or self.figures()["sockets"] <= self.idle["sockets"]  # noqa: E731
                skep.wait_for(gone, "the strangers' resets have come", interval=1)
        finally:
            strangers.close()

    def round(self, count):
        """One of everything, and the figures when it is over."""
        self.short(count)
        self.open_many()
        self.misbehave()
        begin = time.monotonic()
        figures = self.quiet()
        self.say(f"{self.server}: the strangers' connections were over {time.monotonic() - begin:.0f} s later")
        return figures

    def run(self, count):
        self.start()
        skep.wait_for(lambda: {"heap_used_bytes", "sockets"} <= set(self.figures()), "the guest's numbers")
        self.idle = self.figures()
        self.round(count // 10)
        self.short(count)
        figures = self.round(count // 10)
        for name in ("sockets", "heap_used_bytes"):
            self.say(f"{self.server}: {name} {self.idle[name]:,} before, {figures[name]:,} after")
        self.api.delete_guest("web")


def run(folder, servers, count, patient, say=print):
    """Boots, and has each server go through it. patient: strangers are waited for until the server gives them up, which takes
    many minutes; else they end their connections at last."""
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    with skep.Machine(folder, elf=skep.build_exists(), **place) as machine:
        machine.wait_api()
        for server in servers:
            Soak(machine, server, patient, say).run(count)
