"""Groups (multicast) of guests, and of a host on their network: a tap device in a network namespace of this run's own. Says
what was found, line by line."""

import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "ci/lib"), str(ROOT / "ci/system")]

import connections  # noqa: E402
import skep  # noqa: E402
from connections import GATEWAY, HOST, NET, TAP  # noqa: E402
from helpers import MIB, guest_program  # noqa: E402

NETWORK = "fd77::"
PORT = 5353
GROUP, GROUP6 = "239.239.1.2", "ff05::1:2"
NAMES = {"one": 20, "two": 21, "none": 22}  # last parts of the guests' addresses
IGMP, QUERY, REPORT = 2, 0x11, 0x16


def address(name):
    return f"{NET}.{NAMES[name]}"


class Host:
    """Says to groups, tells guests what to do, and hears what comes to the groups."""

    def __init__(self, api):
        self.api, self.ends = api, 0
        index = struct.pack("@I", socket.if_nametoindex(TAP))
        self.four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for s in self.four, self.six:
            s.settimeout(30)
        self.four.bind(("", PORT))
        self.four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(GATEWAY))
        self.four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        self.four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(GATEWAY))
        self.six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.six.bind(("::", PORT))
        self.six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        self.six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        self.six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, GROUP6) + index)

    def tell(self, name, command):
        """And has it done."""
        before = self.log(name).count(f"got {command} ")
        self.four.sendto(command.encode(), (address(name), PORT))
        skep.wait_for(lambda: self.log(name).count(f"got {command} ") > before, f"{name} did {command}")

    def say(self, text):
        self.four.sendto(text.encode(), (GROUP, PORT))
        self.six.sendto(text.encode(), (GROUP6, PORT))

    def log(self, name):
        text = self.api.log(name).decode()
        assert "FAILED" not in text, text
        return text

    def heard_by(self, text):
        """The guests that have got a text, by both families and once. A datagram that follows it to each comes later."""
        self.ends += 1
        for name in NAMES:
            self.tell(name, f".end {self.ends}")
        for name in NAMES:
            assert self.log(name).count(f"got {text} by IPv4") == self.log(name).count(f"got {text} by IPv6") <= 1, self.log(name)
        return [name for name in NAMES if f"got {text} by" in self.log(name)]

    def hears(self, text):
        return all(s.recv(1500) == text.encode() for s in (self.four, self.six))


def check_wire(host):
    host.say("early")
    assert host.heard_by("early") == []
    print("who has joined no group gets nothing", flush=True)
    host.tell("one", ".join")
    host.tell("two", ".join")
    host.say("from-the-wire")
    assert host.heard_by("from-the-wire") == ["one", "two"]
    print("members get what comes from the wire", flush=True)


def check_guests(host):
    for name in "one", "none":
        host.tell(name, f".say by-{name}")
        assert host.hears(f"by-{name}")
    assert host.heard_by("by-one") == ["one", "two"]  # its own by its library
    assert host.heard_by("by-none") == ["one", "two"]
    print("members and the wire get what a guest sends, and so does who sent it", flush=True)


def quiet(raw, seconds=1, most=100):
    """Takes what comes until nothing does for so long."""
    raw.settimeout(seconds)
    for _ in range(most):
        try:
            raw.recvfrom(1500)
        except TimeoutError:
            raw.settimeout(30)
            return
    raise AssertionError("it is never quiet")


def check_question(host):
    """As a router that asks who is in which group (RFC 2236): each member answers within the time that it says."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, IGMP) as raw:
        raw.settimeout(30)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(GATEWAY))
        # This host is a member, too: if it heard the question and answered first, no guest would have to.
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        packet = struct.pack("!BBH4x", QUERY, 10, 0)
        packet = struct.pack("!BBH4x", QUERY, 10, connections.checksum(packet))
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(GATEWAY))
        quiet(raw)  # what members say of themselves, when they join
        raw.sendto(packet, ("224.0.0.1", 0))
        askers = (address("one"), address("two"))
        while True:
            said, (sender, _) = raw.recvfrom(1500)
            body = said[(said[0] & 15) * 4 :]
            if sender in askers and body[0] == REPORT and body[4:8] == socket.inet_aton(GROUP):
                break
    print("a router's question is answered", flush=True)


def check_full(host):
    host.tell("one", ".fill")
    log = host.log("one")
    assert "refused as ENOBUFS" in log and "joined 28 more" in log, log  # 32, less two groups and all hosts' and nodes'
    print("a full table is told as ENOBUFS", flush=True)
    host.tell("one", ".leave")
    host.say("late")
    assert host.heard_by("late") == ["two"]
    print("who has left a group gets nothing more", flush=True)


def main():
    connections.enter([sys.executable, "-B", __file__])
    subprocess.run(["ip", "-6", "addr", "add", f"{NETWORK}1/64", "dev", TAP, "nodad"], check=True)
    subprocess.run(["ip", "route", "add", "224.0.0.0/4", "dev", TAP], check=True)
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    with tempfile.TemporaryDirectory() as folder, skep.Machine(folder, elf=skep.build_exists(), **place) as machine:
        api = machine.wait_api()
        api.upload("groups", guest_program("groups"))
        for name, part in NAMES.items():
            network = {"address": f"{NET}.{part}/24", "gateway": GATEWAY, "address6": f"{NETWORK}{part}/64"}
            api.create(name, image="groups", memory_bytes=4 * MIB, networks=[network], desired_state="running")
        host = Host(api)
        for name in NAMES:
            skep.wait_for(lambda name=name: "ready" in host.log(name), f"{name} is ready")
        check_wire(host)
        check_guests(host)
        check_question(host)
        check_full(host)
        machine.check_alive()


if __name__ == "__main__":
    main()
