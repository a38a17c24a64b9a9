"""How soon something happens: from an interrupt to the guest that it wakes, from a stored image to its code."""

import time

import skep
import webguest
from client import OneRecordClient
from counter import ADDRESS, CountedMachine, Elf
from stretches import Symbols

MIB, PAGE = 1 << 20, 4096
WEB = webguest.ADDRESS
STUB_BYTES, DEVICE_VECTORS = 16, range(48, 52)  # entry.S, entry.h: the first message-signalled ones


def device_points(symbols):
    """Where the network card's interrupts enter ring 0."""
    stubs = symbols.addresses["entry_stubs"]
    return [f"at={stubs + STUB_BYTES * vector:#x}" for vector in DEVICE_VECTORS]


def build_symbols():
    return Symbols(skep.build_exists())


def woken(hits, device_count):
    """From the last device interrupt before the guest handles its events until then."""
    begin, spans = None, []
    for point, counts in hits:
        if point <= device_count:
            begin = counts
        elif begin:
            spans.append(counts - begin)
            begin = None
    return spans


def wake_rows(table, folder, requests=100):
    """A busy guest has the only CPU, a packet comes for another."""
    httpd = Elf(skep.BUILD / "examples/httpd.elf")
    devices = device_points(build_symbols())
    points = [*devices, httpd.point(httpd.symbol("skep_events_run"))]
    with CountedMachine(
        folder / "wake", points=points, append=ADDRESS, forwards=[WEB]
    ) as machine:
        api = machine.wait_api()
        api.upload("loop", skep.BUILD / "guests/loop.elf")
        webguest.create(api)
        machine.wait_page(WEB)
        api.create("loop", image="loop", memory_bytes=2 * MIB, desired_state="running")
        api.close()
        connection = webguest.connect(machine.ports[WEB])
        webguest.get(connection)
        time.sleep(0.2)  # the busy guest has its CPU for a while
        first = machine.counter.hit_count()
        for _ in range(requests):
            webguest.get(connection)
        connection.close()
        spans = woken(machine.counter.hits(first), len(devices))
        table.add_spans("interrupt to the woken guest, busy machine", spans, 6_000)


def replaced(machine, api, name, number):
    """A running guest is replaced by PATCH; the answer comes before the new one is created. Where the counts were
    when it was."""
    machine.wait_quiet()  # before, or points that its last start has yet to pass would be taken for the new one's
    first = machine.counter.hit_count()
    api.ok("PATCH", f"/v1/guests/{name}", json={"env": {"NUMBER": str(number)}})
    created = skep.wait_for(lambda: machine.counter.hit(1, first), "the guest is created anew")
    return first, created


def stored_rows(table, folder, rounds=9):
    """From ring 0's create call on, by a guest that is replaced: no API request is in between."""
    stay = Elf(skep.BUILD / "guests/stay.elf")
    symbols = build_symbols()
    points = [f"at={symbols.addresses['guest_create']:#x}"]
    points += [stay.point(stay.entry), stay.point(stay.symbol("main"))]
    with CountedMachine(folder / "stored", points=points, append=ADDRESS) as machine:
        api = machine.wait_api()
        api.upload("stay", stay.path)
        api.create("stay", image="stay", memory_bytes=2 * MIB, desired_state="running")
        entries, mains = [], []
        for number in range(rounds):
            first, created = replaced(machine, api, "stay", number)
            mains.append(
                skep.wait_for(lambda first=first: machine.counter.hit(3, first), "main") - created
            )
            entries.append(machine.counter.hit(2, first) - created)
            api.wait_state("stay", "running")  # not before: the request would be counted
        table.add_spans("stored image to the first instruction", entries, 30_000)
        table.add_spans("stored image to main", mains, 150_000)


def ask_once(machine):
    connection = webguest.connect(machine.ports[WEB])
    webguest.get(connection)
    return connection


def first_answer(machine):
    """What a connection to the web guest and its first answer cost."""
    machine.wait_page(WEB)
    before = machine.wait_quiet()
    connection = ask_once(machine)
    served = machine.wait_quiet() - before
    connection.close()
    return served


def replaced_to_listen(machine, api, number):
    """From the create call of a guest that is replaced: no API request is in between."""
    first = machine.counter.hit_count()
    api.ok("PATCH", "/v1/guests/web", json={"env": {"NUMBER": str(number)}})
    listens = skep.wait_for(lambda: machine.counter.hit(2, first), "it listens")
    return listens - machine.counter.hit(1, first)


def asked_to_listen(machine, client):
    """From the API's request on an open connection. Its answer is underway meanwhile."""
    first, before = machine.counter.hit_count(), machine.settle()
    client.put("/v1/guests/web", webguest.spec())
    listens = skep.wait_for(lambda: machine.counter.hit(2, first), "it listens")
    client.answer()
    return listens - before


def first_byte_rows(table, folder, rounds=5):
    """Until the guest listens, and from a connection's begin to its end."""
    httpd = Elf(skep.BUILD / "examples/httpd.elf")
    create = f"at={build_symbols().addresses['guest_create']:#x}"
    points = [create, httpd.point(httpd.symbol("inet_listen"))]
    with CountedMachine(
        folder / "first", points=points, append=ADDRESS, forwards=[WEB]
    ) as machine:
        api = machine.wait_api()
        api.upload("httpd", httpd.path)
        client = OneRecordClient(api)
        stored, asked = [], []
        for number in range(1 + rounds):
            asked.append(asked_to_listen(machine, client) + first_answer(machine))
            stored.append(replaced_to_listen(machine, api, number) + first_answer(machine))
            api.delete_guest("web")
        # The first round pays for what later ones find done.
        table.add_spans("stored image to httpd's first byte", stored[1:], 400_000)
        table.add_spans("create by API to httpd's first byte", asked[1:], 2_000_000)


def vcpu_rows(table, folder, more=8):
    """What further vCPUs take of ring 0's memory, before any runs."""
    with CountedMachine(folder / "vcpus", append=ADDRESS) as machine:
        api = machine.wait_api()
        api.upload("stay", skep.BUILD / "guests/stay.elf")

        def objects(name, vcpus):
            before = api.host()["frames"]["object"]
            api.create(
                name, image="stay", memory_bytes=4 * MIB, vcpus=vcpus, desired_state="paused"
            )
            return api.host()["frames"]["object"] - before

        own = (objects("many", 1 + more) - objects("one", 1)) * PAGE // more
        table.add("ring 0's memory a further vCPU", own, "bytes", 8192 + 1)
