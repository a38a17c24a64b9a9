"""IPv6 of guests, seen from a host on their network: a tap device in a network namespace of this run's own, where routers'
advertisements come from here, too. Says what was found, line by line."""

import contextlib
import http.client
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "ci/lib"), str(ROOT / "ci/system")]

import connections  # noqa: E402
import skep  # noqa: E402
from connections import GATEWAY, HOST, NET, TAP  # noqa: E402
from helpers import MIB, example  # noqa: E402

NETWORK, ADVERTISED = "fd77::", "fd78::"
STATIC, AUTO, PROXY = 20, 21, 22  # last parts of the guests' addresses
ECHO, ECHO_REPLY, ROUTER_SOLICIT, ROUTER_ADVERT = 128, 129, 133, 134
NGINX = """
daemon off;
master_process off;
events { worker_connections 64; }
http { server { listen [::]:80 ipv6only=on; location / { proxy_pass http://web.test; } } }
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def page(address, path="/"):
    """What a web guest answers, None if it doesn't."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        client = http.client.HTTPConnection(address, 80, timeout=5)
        client.request("GET", path)
        return client.getresponse().read()
    return None


def identifier(mac):
    """The end of the addresses that are made of a MAC (RFC 4291, appendix A)."""
    parts = bytes.fromhex(mac.replace(":", ""))
    eui = bytes([parts[0] ^ 2]) + parts[1:3] + b"\xff\xfe" + parts[3:]
    return ":".join(f"{high << 8 | low:x}" for high, low in zip(eui[::2], eui[1::2]))


def ping(address, size):
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.settimeout(10)
        question = struct.pack("!BBHHH", ECHO, 0, 0, 77, size) + os.urandom(size)
        raw.sendto(question, (address, 0))
        while (answer := raw.recv(65536))[:1] != bytes([ECHO_REPLY]):
            pass
        assert answer[4:] == question[4:], "the echo differs"


class Router:
    """Says nothing until it is asked."""

    def __init__(self):
        index = socket.if_nametoindex(TAP)
        self.raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self.raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        self.raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::2") + struct.pack("@I", index))
        self.raw.settimeout(60)
        skep.wait_for(self.has_address, "this host's link-local address")

    def has_address(self):
        """Routers speak from their link-local address, which isn't used before nobody else has it."""
        shown = subprocess.run(["ip", "-6", "addr", "show", "dev", TAP, "scope", "link"], capture_output=True, text=True, check=True)
        return "inet6" in shown.stdout and "tentative" not in shown.stdout

    def wait_solicitation(self, client):
        """Of this guest: this host's own interface asks, too."""
        said, asker = b"", None
        while said[:1] != bytes([ROUTER_SOLICIT]) or asker != client:
            said, (asker, *_) = self.raw.recvfrom(1500)

    def advertise(self):
        prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0) + socket.inet_pton(socket.AF_INET6, ADVERTISED)
        self.raw.sendto(struct.pack("!BBHBBHII", ROUTER_ADVERT, 0, 0, 64, 0, 1800, 0, 0) + prefix, (f"ff02::1%{TAP}", 0))


class Names(threading.Thread):
    """A name server that knows one name, by its IPv6 address only (RFC 1035, RFC 3596)."""

    def __init__(self, name, address):
        super().__init__(daemon=True)
        self.question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        self.address = socket.inet_pton(socket.AF_INET6, address)
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind((f"{NETWORK}1", 53))
        self.start()

    def run(self):
        while True:
            question, client = self.socket.recvfrom(1500)
            known = question[12:] == self.question + b"\0\x1c\0\1"
            answer = b"\xc0\x0c\0\x1c\0\1" + struct.pack("!IH", 60, 16) + self.address
            head = struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, known, 0, 0)
            self.socket.sendto(question[:2] + head + question[12:] + (answer if known else b""), client)


def create(api, name, part, image="httpd", **more):
    files = more.pop("files", [])
    network = {"address": f"{NET}.{part}/24", "gateway": GATEWAY, **more}
    api.create(name, image=image, memory_bytes=4 * MIB, networks=[network], files=files, desired_state="running")
    return api.ok("GET", f"/v1/guests/{name}")["spec"]["networks"][0]


def check_static(api):
    address = f"{NETWORK}{STATIC}"
    shown = create(api, "web", STATIC, address6=f"FD77:0::{STATIC}/64", gateway6=f"{NETWORK}1")
    assert shown["address6"] == f"{address}/64" and shown["gateway6"] == f"{NETWORK}1", shown
    skep.wait_for(lambda: page(address), "a page over IPv6")
    assert page(f"{NET}.{STATIC}") == page(address) is not None
    print("one socket serves both", flush=True)
    assert page(f"fe80::{identifier(shown['mac'])}%{TAP}")
    print("the link-local address answers", flush=True)
    assert len(page(address, "/bytes/100000")) == 100000
    print("many segments come", flush=True)
    for size in (8, 1400, 5000):
        ping(address, size)
    print("echoes come, in fragments, too", flush=True)
    refused = api.put("/v1/guests/other", json={"image": "httpd", "networks": [{"address": f"{NET}.30/24", "address6": f"{address}/64"}]})
    assert refused.status_code == 409 and address in refused.json()["detail"], refused.text
    print("no other guest gets the address", flush=True)


def check_auto(api):
    router = Router()
    shown = create(api, "auto", AUTO, address6="auto")
    router.wait_solicitation(f"fe80::{identifier(shown['mac'])}")
    print("the guest asks for routers", flush=True)
    router.advertise()
    ip("-6", "addr", "add", f"{ADVERTISED}1/64", "dev", TAP, "nodad")
    address = f"{ADVERTISED}{identifier(shown['mac'])}"
    skep.wait_for(lambda: page(address), "a page from an autoconfigured address")
    print("an advertised network is joined", flush=True)
    assert not page(f"{NETWORK}{identifier(shown['mac'])}"), "it has an address that nobody gave it"


def check_nginx(api):
    api.upload("nginx", example("nginx"))
    Names("web.test", f"{NETWORK}{STATIC}")
    conf = {"path": "/etc/nginx/nginx.conf", "content": NGINX}
    create(api, "proxy", PROXY, image="nginx", address6=f"{NETWORK}{PROXY}/64", dns=f"{NETWORK}1", files=[conf])
    skep.wait_for(lambda: b"Hello" in (page(f"{NETWORK}{PROXY}") or b""), "a page through nginx")
    assert not page(f"{NET}.{PROXY}")
    print("nginx listens on IPv6 and fetches from another guest by its name", flush=True)


def main():
    connections.enter([sys.executable, "-B", __file__])
    ip("-6", "addr", "add", f"{NETWORK}1/64", "dev", TAP, "nodad")
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    with tempfile.TemporaryDirectory() as folder, skep.Machine(folder, elf=skep.build_exists(), **place) as machine:
        api = machine.wait_api()
        api.upload("httpd", example("httpd"))
        check_static(api)
        check_auto(api)
        check_nginx(api)
        machine.check_alive()


if __name__ == "__main__":
    main()
