"""Downloads from a web guest over a tap device, in a network namespace of their own: python3 segments.py FOLDER CARD."""

import contextlib
import http.client
import os
import pathlib
import socket
import subprocess
import sys

import skep

TAP, GATEWAY, HOST, GUEST = "segments0", "10.78.0.1", "10.78.0.15", "10.78.0.20"
SETUP = f"ip link set lo up && ip tuntap add {TAP} mode tap && ip addr add {GATEWAY}/24 dev {TAP} && ip link set {TAP} up"
PERIOD = bytes(range(251))

# What the card can do; what clients say that they take in a segment and have room for; how much they download.
CARDS = {"cuts": (), "can't cut": ("-global", "virtio-net-pci.host_tso4=off")}
CLIENTS = ((None, None, 32 << 20), (600, None, 2 << 20), (100, None, 256 << 10), (None, 4096, 1 << 20))


def run_inside(folder, card):
    """Starts this file in a namespace that has the tap."""
    command = ["unshare", "--net", "--", "/bin/sh", "-c", SETUP + ' && exec "$@"', "sh", sys.executable, __file__]
    return subprocess.run(
        [*command, str(folder), card],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def packets():
    """How many the tap has taken from the machine."""
    lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[2]) for line in lines if line.split()[0] == f"{TAP}:")


def download(size, mss, window):
    with contextlib.closing(socket.socket()) as client:
        client.settimeout(60)
        if mss:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if window:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        client.connect((GUEST, 80))
        client.sendall(f"GET /bytes/{size} HTTP/1.1\r\nHost: web\r\n\r\n".encode())
        answer = http.client.HTTPResponse(client)
        answer.begin()
        body = answer.read()
        assert len(body) == size, f"{len(body)} bytes of {size}"
        assert body == (PERIOD * (size // len(PERIOD) + 1))[:size], "other bytes than were sent"


def main():
    folder, card = pathlib.Path(sys.argv[1]), sys.argv[2]
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    with skep.Machine(folder, forwards=[GUEST], extra=CARDS[card], **place) as machine:
        api = machine.wait_api()
        api.upload("httpd", skep.BUILD / "examples/httpd.elf")
        net = {"address": f"{GUEST}/24", "gateway": GATEWAY}
        api.create("web", image="httpd", memory_bytes=16 << 20, networks=[net], desired_state="running")
        machine.wait_page(GUEST)
        for mss, window, size in CLIENTS:
            before = packets()
            download(size, mss, window)
            each = size // (packets() - before)
            print(f"{card}: segments of {mss}, window {window}: {each} bytes a packet")
            long = card == "cuts" and mss != 100 and window is None
            assert each > 4 * 1460 if long else each <= 1460, "packets of another length"
        machine.check_alive()


if __name__ == "__main__":
    main()
