"""The longest stretches of ring 0 with interrupts off, while every hypercall is made in its most expensive way."""

import tempfile

import skep
from counter import WatchedMachine

MIB = 1 << 20
LIMIT = 20_000
SHOWN = 5
IMAGE_BYTES_MAX = 16 * MIB
VOLUME_BYTES = 192 * MIB
DISK_BYTES = 1024 * MIB
PACKETS = 2000  # of the largest size in the most pieces, both ways
CRASHES = ("crash", "ring")


def run_to_end(api, what, memory_bytes=64 * MIB, **spec):
    api.create(
        what, image="heavy", memory_bytes=memory_bytes, args=[what], desired_state="running", **spec
    )
    status = api.wait_state(what, "exited", "crashed", seconds=120)
    said = api.log(what)
    assert status["state"] == ("crashed" if what in CRASHES else "exited"), status
    assert what in CRASHES or b"heavy: done" in said, said
    api.delete_guest(what)


def largest_image(api):
    heavy = (skep.BUILD / "guests/heavy.elf").read_bytes()
    data = heavy + bytes(IMAGE_BYTES_MAX - len(heavy))
    api.ok("PUT", "/v1/images/largest", data=data, timeout=180)
    api.ok("DELETE", "/v1/images/largest")


def exchange_packets(api):
    """Two guests that send each other packets, and one that floods the wire."""
    peers = {"one": "52:54:00:00:00:02", "two": "52:54:00:00:00:01", "wire": "ff:ff:ff:ff:ff:ff"}
    for number, (name, peer) in enumerate(peers.items(), 1):
        mac, address = f"52:54:00:00:00:{number:02x}", f"10.0.2.{30 + number}/24"
        api.create(
            name,
            image="heavy",
            memory_bytes=4 * MIB,
            args=["packets", peer],
            networks=[{"address": address, "mac": mac}],
            desired_state="running",
        )

    def exchanged():
        counters = [api.status(name)["networks"][0] for name in ("one", "two")]
        return all(min(c["rx_packets"], c["tx_packets"]) > PACKETS for c in counters)

    skep.wait_for(exchanged, "packets are exchanged", 120)
    for name in peers:
        api.delete_guest(name)


def use_volumes(api):
    """Most of the largest volume's chunks that fit into one call are mapped; copies share them, and are written to."""
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    api.ok("PUT", "/v1/volumes/big", json={"size_bytes": VOLUME_BYTES})
    run_to_end(api, "blocks", volumes=[{"name": "big"}])
    # While it is open: ring 0 marks what is shared.
    api.ok("PUT", "/v1/volumes/kept", json={"snapshot_of": "big"}, timeout=60)
    api.ok("PUT", "/v1/volumes/copy", json={"clone_of": "kept"}, timeout=60)
    run_to_end(api, "blocks", volumes=[{"name": "copy"}, {"name": "kept", "read_only": True}])
    api.ok("PATCH", "/v1/volumes/copy", json={"size_bytes": 2 * VOLUME_BYTES})
    api.ok("GET", "/v1/volumes")


def exercise(api):
    api.upload("heavy", skep.BUILD / "guests/heavy.elf")
    largest_image(api)  # before there is a disk: it would have no room for the file
    use_volumes(api)
    run_to_end(api, "memory", memory_bytes=1280 * MIB)
    run_to_end(api, "calls")
    run_to_end(api, "vcpus", vcpus=32, env={"A": "x" * 3000})
    run_to_end(api, "crash")
    run_to_end(api, "ring", networks=[{"address": "10.0.2.31/24"}])
    exchange_packets(api)
    api.ok("GET", "/v1/guests")
    api.host()


def rows(table, folder):
    address = "address=10.0.2.15/24 gateway=10.0.2.2"
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.truncate(DISK_BYTES)
        measure(table, folder, address, disk.name)


def measure(table, folder, address, disk):
    options = {"cpus": 1, "memory": "2G", "append": address, "disks": [disk]}
    with WatchedMachine(folder / "longest", **options) as machine:
        exercise(machine.wait_api())
        machine.check_alive()
        for stretch in machine.stretches().all()[:SHOWN]:
            table.add(
                f"interrupts off: {stretch.kind}",
                stretch.length,
                "instructions",
                LIMIT,
                count=stretch.count,
                bytes=stretch.bytes,
                parts=stretch.parts,
                note=f": {stretch.hottest()}",
            )
