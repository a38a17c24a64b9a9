"""ci/bench api: what calls of the API take, in instructions and, on a machine that is as fast as it can be, in time.

Times are those of the client: from before it begins until it has all of the answer. Its own work is in them.
"""

import contextlib
import functools
import time

import density
import handshake
import instructions
import latency
import skep
import webguest
from client import OneRecordClient
from counter import ADDRESS, CountedMachine, Elf, TimedMachine

GUESTS = 1000
WEB = webguest.ADDRESS
POLL_SECONDS = 0.0002


def timed(action, rounds, first=2):
    """Seconds of each round; the first ones pay for what later ones find done."""
    out = []
    for _ in range(first + rounds):
        begin = time.monotonic()
        action()
        out.append(time.monotonic() - begin)
    return out[first:]


def handshake_rows(rounds, table, folder):
    handshake.rows(table, folder)
    with TimedMachine(folder / "handshake-times", append=ADDRESS) as machine:
        machine.wait_api().close()
        for version in handshake.VERSIONS:
            context = handshake.client_context(version)
            session = handshake.connect(machine, context)
            for kind, with_session in (("full", None), ("resumed", session)):
                connect = functools.partial(handshake.connect, machine, context, with_session)
                table.add_times(f"TLS {version} handshake, {kind}, time", timed(connect, rounds))


def list_rows(rounds, table, folder):
    for kind in (CountedMachine, TimedMachine):
        with kind(folder / kind.__name__, memory=density.memory_option(GUESTS), append=ADDRESS) as machine:
            api = machine.wait_api()
            api.upload("stay", skep.BUILD / "guests/stay.elf")
            density.create_some(api, 0, GUESTS)
            reads = {
                f"list of {GUESTS:,} guests": functools.partial(density.list_all, api, GUESTS),
                f"a page of {density.PAGE} of them": functools.partial(density.list_page, api, GUESTS),
            }
            for name, read in reads.items():
                read()
                if kind is CountedMachine:
                    table.add_counts(name, density.cost(machine, read))
                else:
                    table.add_times(f"{name}, time", timed(read, rounds))


def try_to_ask(machine):
    """None as long as the guest refuses connections: it is about to listen."""
    with contextlib.suppress(ConnectionError):
        return latency.ask_once(machine)


def begin_once(machine, client):
    """Seconds from an API request on an open connection, whose image is stored, to the guest's first instruction."""
    first, begin = machine.counter.hit_count(), time.monotonic()
    client.put("/v1/guests/hello", instructions.HELLO)
    client.answer()
    return skep.wait_for(lambda: machine.counter.moment(1, first), "the guest's first instruction") - begin


def serve_once(machine, client):
    """The same to the first page, for a client that asks as soon as the guest listens."""
    first, begin = machine.counter.hit_count(), time.monotonic()
    client.put("/v1/guests/web", webguest.spec())
    skep.wait_for(lambda: machine.counter.moment(2, first), "it listens", interval=POLL_SECONDS)
    connection = skep.wait_for(lambda: try_to_ask(machine), "a page", interval=POLL_SECONDS)
    served = time.monotonic() - begin
    connection.close()
    client.answer()
    return served


def create_times(rounds, table, folder):
    hello, httpd = (Elf(skep.BUILD / f"examples/{name}.elf") for name in ("hello", "httpd"))
    points = [hello.point(hello.entry), httpd.point(httpd.symbol("inet_listen"))]
    with TimedMachine(folder / "create-times", points=points, append=ADDRESS, forwards=[WEB]) as machine:
        api = machine.wait_api()
        client = OneRecordClient(api)
        entries, served = [], []
        for elf in (hello, httpd):
            api.upload(elf.path.stem, elf.path)
        for _ in range(1 + rounds):
            entries.append(begin_once(machine, client))
            served.append(serve_once(machine, client))
            for name in ("hello", "web"):
                api.delete_guest(name)
        # The first round pays for what later ones find done.
        table.add_times("create by API to the first instruction, time", entries[1:])
        table.add_times("create by API to httpd's first byte, time", served[1:])


def create_rows(rounds, table, folder):
    instructions.create_rows(table, folder)
    latency.first_byte_rows(table, folder)
    create_times(rounds, table, folder)


def sections(options):
    rounds = max(options.rounds, 3) * 7
    parts = {"handshake": handshake_rows, "list": list_rows, "create": create_rows}
    return {name: functools.partial(part, rounds) for name, part in parts.items()}
