"""ICMP's messages that nobody listens at a port, true ones and forged ones, for datagrams of a guest; over a tap device, in
a network namespace of its own: python3 unreachable.py FOLDER all."""

import contextlib
import pathlib
import socket
import struct
import sys

import segments
import skep
from segments import GATEWAY, GATEWAY6, GUEST, GUEST6, HOST, IPV6, TAP

STRANGER, STRANGER6 = "10.78.0.99", "fd79::99"
UDP, TCP = 17, 6
UNREACHABLE, UNREACHABLE6 = (3, 3), (1, 4)  # type and code of "port unreachable"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def repeated(source, target, ports, protocol=UDP, fragment=0, words=5):
    """The beginning of a datagram, as its header tells of it: IPv4's, of so many words, and the ports."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, 33, 1, fragment, 64, protocol, 0)
    return head + addresses + bytes(4 * (words - 5)) + struct.pack("!HHHH", *ports, 13, 0)


def repeated6(source, target, ports, protocol=UDP):
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return struct.pack("!IHBB", 6 << 28, 13, protocol, 64) + addresses + struct.pack("!HHHH", *ports, 13, 0)


def message(what, about, damage=0):
    kind, code = what
    head = struct.pack("!BBHI", kind, code, 0, 0)
    sum_of_all = checksum(head + about) ^ damage
    return head[:2] + struct.pack("!H", sum_of_all) + head[4:] + about


def forgeries(mine, its):
    """Of a guest's socket at port `its`, which is connected to ours at `mine`."""
    ports, true = (its, mine), repeated(GUEST, GATEWAY, (its, mine))
    return {
        "our other port": message(UNREACHABLE, repeated(GUEST, GATEWAY, (its, mine ^ 1))),
        "its other port": message(UNREACHABLE, repeated(GUEST, GATEWAY, (its ^ 1, mine))),
        "ports the other way": message(UNREACHABLE, repeated(GUEST, GATEWAY, (mine, its))),
        "sent by a stranger": message(UNREACHABLE, repeated(STRANGER, GATEWAY, ports)),
        "sent to a stranger": message(UNREACHABLE, repeated(GUEST, STRANGER, ports)),
        "addresses the other way": message(UNREACHABLE, repeated(GATEWAY, GUEST, ports)),
        "of TCP": message(UNREACHABLE, repeated(GUEST, GATEWAY, ports, protocol=TCP)),
        "a later fragment": message(UNREACHABLE, repeated(GUEST, GATEWAY, ports, fragment=1)),
        "no ports": message(UNREACHABLE, true[:20]),
        "no header": message(UNREACHABLE, true[:12]),
        "ports beyond the end": message(UNREACHABLE, repeated(GUEST, GATEWAY, ports, words=15)[:28]),
        "a wrong checksum": message(UNREACHABLE, true, damage=1),
        "another code": message((3, 1), true),
        "another type": message((11, 0), true),
    }


def forgeries6(mine, its):
    """The kernel makes their checksums."""
    ports, true = (its, mine), repeated6(GUEST6, GATEWAY6, (its, mine))
    return {
        "our other port": message(UNREACHABLE6, repeated6(GUEST6, GATEWAY6, (its, mine ^ 1))),
        "its other port": message(UNREACHABLE6, repeated6(GUEST6, GATEWAY6, (its ^ 1, mine))),
        "sent by a stranger": message(UNREACHABLE6, repeated6(STRANGER6, GATEWAY6, ports)),
        "sent to a stranger": message(UNREACHABLE6, repeated6(GUEST6, STRANGER6, ports)),
        "of TCP": message(UNREACHABLE6, repeated6(GUEST6, GATEWAY6, ports, protocol=TCP)),
        "no ports": message(UNREACHABLE6, true[:40]),
        "another code": message((1, 3), true),
    }


def tell_apart(family, own, guest, start):
    """Sends what is forged, then what is true, each with a datagram behind it; `start` starts the guest."""
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    with (
        contextlib.closing(socket.socket(family, socket.SOCK_DGRAM)) as peer,
        contextlib.closing(socket.socket(family, socket.SOCK_RAW, protocol)) as raw,
    ):
        peer.settimeout(60)
        peer.bind((own, 0))
        mine = peer.getsockname()[1]
        start(mine)
        said, its = peer.recvfrom(16)
        assert said == b"begun"

        def answers_to(forged, count):
            raw.sendto(forged, (guest, 0))
            peer.sendto(b"ask", its)
            return [peer.recv(16) for _ in range(count)]

        all_forged = (forgeries6 if family == socket.AF_INET6 else forgeries)(mine, its[1])
        for name, forged in all_forged.items():
            assert answers_to(forged, 1) == [b"kept"], name
        about = (repeated6 if family == socket.AF_INET6 else repeated)(guest, own, (its[1], mine))
        true = message(UNREACHABLE6 if family == socket.AF_INET6 else UNREACHABLE, about)
        assert answers_to(true, 2) == [b"refused", b"kept"]
        peer.sendto(b"end", its)
    print(f"{len(all_forged)} forgeries by {own}: none was believed")


def main():
    folder = pathlib.Path(sys.argv[1])
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    families = [(socket.AF_INET, GATEWAY, GUEST)] + [(socket.AF_INET6, GATEWAY6, GUEST6)] * IPV6
    with skep.Machine(folder, elf=skep.BUILD / "skep.elf", **place) as machine:
        api = machine.wait_api()
        api.upload("unreached", skep.BUILD / "guests/unreached.elf")
        for family, own, guest in families:
            spec = {"memory_bytes": 4 << 20, "networks": [segments.network(GUEST, GUEST6)], "desired_state": "running"}
            tell_apart(
                family,
                own,
                guest,
                lambda port, own=own, spec=spec: api.create("asker", image="unreached", args=[own, str(port)], **spec),
            )
            assert api.wait_state("asker", "exited", "crashed")["exit_code"] == 0, api.log("asker")
            api.delete_guest("asker")
        machine.check_alive()


if __name__ == "__main__":
    main()
