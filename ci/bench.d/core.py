"""ci/bench core: ring 0's basic operations, with few and with many guests beside."""

import functools

import density
import skep
from counter import ADDRESS, CountedMachine

MIB = 1 << 20
ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
FEW = 10
A_200TH_OF_XEN = (337_000, 190_000, 96_000)  # creating, deleting, listing ten, by its toolstack


def guest(api, name, what, *args, **spec):
    api.create(
        name,
        image="basics",
        memory_bytes=4 * MIB,
        args=[what, *args],
        desired_state="running",
        **spec,
    )


def ended(api, *names):
    for name in names:
        status = api.wait_state(name, "exited", "crashed")
        assert status["exit_code"] == 0, (status, api.log(name))
        api.delete_guest(name)


def network(mac, address):
    return {"networks": [{"mac": mac, "address": address}]}


def alone(machine, api, what, start, end, **spec):
    """The spans of a guest that measures itself."""
    first = machine.counter.hit_count()
    guest(api, what, what, **spec)
    ended(api, what)
    return machine.counter.between(start, end, first)


def switches(machine, api):
    """Two guests that do nothing but yield. What changed no address space was no switch."""
    first = machine.counter.hit_count()
    guest(api, "one", "yields")
    guest(api, "two", "yields")
    ended(api, "one", "two")
    return [span for span in machine.counter.between(12, 13, first) if span.spaces]


def frames(machine, api, one={}, two={}):
    first = machine.counter.hit_count()
    guest(api, "two", "echo", ONE, **network(TWO, "10.0.2.32/24"), **two)
    skep.wait_for(lambda: b"ready" in api.log("two"), "the other guest listens")
    guest(api, "one", "ping", TWO, **network(ONE, "10.0.2.31/24"), **one)
    ended(api, "one")
    api.delete_guest("two")
    return machine.counter.between(16, 17, first)


def create_and_delete(table, machine, api, guests, say, goals=(None, None, None)):
    creates = density.create_costs(machine, api, guests)
    deletes = [
        density.cost(
            machine, lambda i=i: api.ok("DELETE", f"/v1/guests/{density.name_of(guests + i)}")
        )
        for i in range(density.SAMPLES)
    ]
    reads = [
        density.cost(machine, lambda: api.ok("GET", "/v1/guests", params={"limit": 10, "view": "basic"}))
        for _ in range(density.SAMPLES)
    ]
    table.add_spans(say("create, by API"), creates, goals[0], effects=True)
    table.add_spans(say("delete, by API"), deletes, goals[1], effects=True)
    # Into how many packets and wake-ups an answer turns, varies: the one that was disturbed least.
    table.add_counts(say("list of 10, by API"), min(reads, key=lambda counts: counts.total), goals[2], effects=True)


def rows(guests, table, folder):
    def say(what):
        return f"{what} ({guests:,} guests)"

    with CountedMachine(
        folder / f"core-{guests}",
        memory=density.memory_option(guests),
        append=ADDRESS,
        devices=True,
    ) as machine:
        api = machine.wait_api()
        isolated = api.host()["mitigations"]["meltdown (PTI)"] == "active"
        api.upload("stay", skep.BUILD / "guests/stay.elf")
        api.upload("basics", skep.BUILD / "guests/basics.elf")
        density.create_some(api, 0, guests)
        machine.settle()
        spans = alone(machine, api, "calls", 1, 2)
        table.add_spans(say("null hypercall"), spans, 130 if isolated else 100, effects=True)
        spans = alone(machine, api, "events", 10, 11, vcpus=2)
        table.add_spans(say("event and back, two vCPUs, one CPU"), spans, effects=True)
        table.add_spans(say("frame and back, two guests"), frames(machine, api), effects=True)
        table.add_spans(say("switch to another guest"), switches(machine, api), effects=True)
        spans = alone(machine, api, "faults", 14, 15)
        table.add_spans(say("page supply"), spans, effects=True)
        create_and_delete(table, machine, api, guests, say, A_200TH_OF_XEN)
        machine.check_alive()


def two_cpus(table, folder):
    """Each guest on a CPU of its own: interrupts instead of switches."""
    with CountedMachine(
        folder / "core-smp", cpus=2, append=ADDRESS, devices=True
    ) as machine:
        api = machine.wait_api()
        api.upload("basics", skep.BUILD / "guests/basics.elf")
        spans = frames(machine, api, {"cpu_affinity": [0]}, {"cpu_affinity": [1]})
        table.add_spans("frame and back, two guests, two CPUs", spans, effects=True)


def busy(table, folder):
    """Another guest has the CPU whenever both wait."""
    with CountedMachine(folder / "core-busy", append=ADDRESS, devices=True) as machine:
        api = machine.wait_api()
        api.upload("basics", skep.BUILD / "guests/basics.elf")
        api.upload("loop", skep.BUILD / "guests/loop.elf")
        density.create(api, 0, image="loop")
        spans = frames(machine, api)
        table.add_spans("frame and back, two guests, busy CPU", spans, 2 * 6_000, effects=True)


def kept(table, folder):
    """What it adds that guests are kept on a disk: each change is there, by a write and a flush, before it is answered."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / "core-disk.img"
    with open(disk, "wb") as file:
        file.truncate(256 * MIB)
    with CountedMachine(folder / "core-disk", append=ADDRESS, devices=True, disks=[disk]) as machine:
        api = machine.wait_api()
        api.ok("PUT", "/v1/disks/0", json={"format": True})
        api.upload("stay", skep.BUILD / "guests/stay.elf")
        density.create_some(api, 0, FEW)
        machine.settle()
        create_and_delete(table, machine, api, FEW, lambda what: f"{what}, kept on a disk ({FEW} guests)")


def sections(full):
    populations = [FEW, 1000] + [8000] * full
    return {"two CPUs": two_cpus, "busy": busy} | {
        f"{guests} guests": functools.partial(rows, guests) for guests in populations
    }
