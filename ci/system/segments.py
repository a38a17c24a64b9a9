"""What needs a card that cuts segments, over a tap device, in a network namespace of its own: downloads from a web guest,
by a client outside and by another guest, and attacks; python3 segments.py FOLDER CARD|attacks."""

import contextlib
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys

import skep

TAP, GATEWAY, HOST, GUEST, OTHER = "segments0", "10.78.0.1", "10.78.0.15", "10.78.0.20", "10.78.0.21"
GUEST6, OTHER6, GATEWAY6 = "fd79::20", "fd79::21", "fd79::1"
IPV6 = os.path.exists("/proc/net/if_inet6")
SETUP6 = f" && ip -6 addr add {GATEWAY6}/64 dev {TAP} nodad" if IPV6 else ""
SETUP = f"ip link set lo up && ip tuntap add {TAP} mode tap && ip addr add {GATEWAY}/24 dev {TAP} && ip link set {TAP} up{SETUP6}"
PERIOD = bytes(range(251))

# What the card can do; what clients say that they take in a segment and have room for; how much they download.
CARDS = {"cuts": (), "can't cut": ("-global", "virtio-net-pci.host_tso4=off", "-global", "virtio-net-pci.host_tso6=off")}
CLIENTS = ((None, None, 32 << 20), (600, None, 2 << 20), (100, None, 256 << 10), (None, 4096, 1 << 20))


def run_inside(folder, card, program=__file__):
    """Starts this file, or another one, in a namespace that has the tap."""
    path = [*sys.path, str(skep.ROOT / "ci/hostile.d")]
    command = ["unshare", "--net", "--", "/bin/sh", "-c", SETUP + ' && exec "$@"', "sh", sys.executable, program]
    return subprocess.run(
        [*command, str(folder), card],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
    )


def packets():
    """How many the tap has taken from the machine."""
    lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[2]) for line in lines if line.split()[0] == f"{TAP}:")


def network(address, address6):
    more = {"address6": f"{address6}/64", "gateway6": GATEWAY6} if IPV6 else {}
    return {"address": f"{address}/24", "gateway": GATEWAY} | more


def download(address, size, mss, window):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as client:
        client.settimeout(60)
        if mss:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if window:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        client.connect((address, 80))
        client.sendall(f"GET /bytes/{size} HTTP/1.1\r\nHost: web\r\n\r\n".encode())
        answer = http.client.HTTPResponse(client)
        answer.begin()
        body = answer.read()
        assert len(body) == size, f"{len(body)} bytes of {size}"
        assert body == (PERIOD * (size // len(PERIOD) + 1))[:size], "other bytes than were sent"


def download_by_guest(api, card, address, size=32 << 20, rounds=2):
    """From one guest to another; the first round may find buffers that were never used."""
    before = api.status("web")["networks"][0]
    spec = {"memory_bytes": 16 << 20, "networks": [network(OTHER, OTHER6)]}
    arguments = [address, str(size), str(rounds), "check"]
    api.create("other", image="download", args=arguments, desired_state="running", **spec)
    status = api.wait_state("other", "exited", "crashed", seconds=100)
    assert status["exit_code"] == 0, api.log("other")
    assert status["networks"][0]["rx_dropped"] == 0, status
    assert len(re.findall(rb"bytes in", api.log("other"))) == rounds
    # Of parts, each is acknowledged, and the window's growth is told; of frames, every second one at least.
    acknowledged = api.status("web")["networks"][0]["rx_packets"] - before["rx_packets"]
    each = rounds * size // acknowledged
    api.delete_guest("other")
    print(f"{card}: from guest to guest by {address}: {each} bytes a packet that comes back")
    assert each > 8 * 1460 if card == "cuts" else each <= 2 * 1460, "parts of another length"


def attack(folder, place):
    """Those of ci/hostile; here the attackers' segments get there."""
    import attacks  # from ci/hostile.d
    import results
    import runner

    outcome = results.Results()
    with skep.Machine(folder, elf=skep.BUILD / "skep.elf", cpus=2, **place) as machine:
        api = machine.wait_api()
        session = runner.Session(machine, outcome, seed=1, patience=60, disk=None)
        for each in attacks.attacks_of("segments"):
            session.attack([each])
        machine.check_alive()
        assert not api.ok("GET", "/v1/guests")["items"]
    sys.exit(outcome.finish(None))


def main():
    folder, card = pathlib.Path(sys.argv[1]), sys.argv[2]
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    if card == "attacks":
        attack(folder, place)
    with skep.Machine(folder, forwards=[GUEST], extra=CARDS[card], **place) as machine:
        api = machine.wait_api()
        api.upload("httpd", skep.BUILD / "examples/httpd.elf")
        api.upload("download", skep.BUILD / "guests/download.elf")
        net = network(GUEST, GUEST6)
        api.create("web", image="httpd", memory_bytes=16 << 20, networks=[net], desired_state="running")
        machine.wait_page(GUEST)
        clients = [(GUEST, *client) for client in CLIENTS] + [(GUEST6, *CLIENTS[0])] * IPV6
        for address, mss, window, size in clients:
            before, counted = packets(), api.status("web")["networks"][0]
            download(address, size, mss, window)
            each = size // (packets() - before)
            now = api.status("web")["networks"][0]
            sent, copied = (now[key] - counted[key] for key in ("tx_bytes", "tx_copied_bytes"))
            print(f"{card}: {address}, segments of {mss}, window {window}: {each} bytes a packet")
            long = card == "cuts" and mss != 100 and window is None
            assert each > 4 * 1460 if long else each <= 1460, "packets of another length"
            # The card reads payload where the guest has it; small frames are cheaper to copy whole.
            assert sent >= size and (mss is not None or window or copied < sent / (50 if long else 10)), f"{copied} of {sent} copied"
        for address in [GUEST] + [GUEST6] * IPV6:
            download_by_guest(api, card, address)
        machine.check_alive()


if __name__ == "__main__":
    main()
