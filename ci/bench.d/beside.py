"""What ci/bench redis, memcached and mosquitto share: a server as a guest beside Debian's of the same program in Linux.

Two machines with the same emulated CPU and memory, one CPU each, on the networks that ci/bench web has. They answer the same
client in turn, one at a time; the ratios are those of a round.
"""

import contextlib
import dataclasses
import os
import statistics
import struct
import subprocess
import typing

import counter
import linux
import qemu
import skep
import web

LOAD_SECONDS = 300
START = """
ip link set lo up
ip link set eth0 up
ip addr add {address}/24 dev eth0
ip route add default via {gateway}
{start}
"""


@dataclasses.dataclass
class Server:
    name: str
    port: int
    image: str  # below build/examples
    spec: dict  # the guest's
    programs: typing.Callable  # what Linux gets: paths on this host
    start: str  # how Linux starts it
    answers: typing.Callable  # (where): whether it does
    rates: typing.Callable  # (where, count at once): requests a second by what they are
    loads: tuple  # counts at once
    clients: int
    files: dict = dataclasses.field(default_factory=dict)  # Linux', by path
    libraries: tuple = ()  # Debian's packages with libraries of the programs

    @property
    def elf(self):
        return skep.BUILD / f"examples/{self.image}.elf"


@contextlib.contextmanager
def skep_side(server, folder, place):
    """Serving; gives where."""
    destination = f"{place.guest}:{server.port}"
    machine = skep.Machine(
        folder / "skep",
        forwards=[destination],
        host=place.address if place.tap else None,
        append=f"address={place.address}/24 gateway={place.gateway}",
        memory=web.MEMORY,
        cpus=1,
        kvm="off",
        **place.options,
    )
    with machine:
        api = machine.wait_api()
        api.upload(server.image, server.elf)
        networks = [{"address": f"{place.guest}/24", "gateway": place.gateway}]
        api.create(server.name, image=server.image, desired_state="running", networks=networks, **server.spec)
        yield (place.guest, server.port) if place.tap else ("127.0.0.1", machine.ports[destination])
        machine.check_alive()


@contextlib.contextmanager
def linux_side(server, folder, place):
    port = server.port if place.tap else skep.free_ports(1)[0]
    start = START.format(address=place.address, gateway=place.gateway, start=server.start)
    machine = linux.Linux(
        folder / "linux",
        [*linux.VIRTIO, *linux.NETWORK],
        server.programs(),
        {"/start": start.encode(), **server.files},
        libraries=server.libraries,
        memory=web.MEMORY,
        cpus=1,
        **place.options or {"forwards": [(port, place.address, server.port)]},
    )
    with machine:
        yield place.address if place.tap else "127.0.0.1", port


SIDES = {"Skep": skep_side, "Linux": linux_side}


def add_row(table, name, values, tapped):
    name = f"{name}, {'tap' if tapped else 'user'}"
    if "Linux" not in values:
        table.add_median(name, values["Skep"], "a second", digits=0, rates=values)
        return
    ours, theirs = values["Skep"], values["Linux"]
    ratios = [a / b for a, b in zip(ours, theirs)]
    note = f"; a second: Skep {statistics.median(ours):,.0f}, Linux {statistics.median(theirs):,.0f}"
    table.add_median(name, ratios, "times Linux' rate", rates=values, note=note)


def rows(server, options, table, folder):
    if not server.elf.is_file():
        raise qemu.Missing(f"{server.elf} doesn't exist: cmake --build build --target ports")
    tapped = web.is_tapped()
    places = [web.Place(number, tapped) for number in (1, 2)]
    measured = {}
    with contextlib.ExitStack() as stack:
        sides = {}
        for (name, side), place in zip(SIDES.items(), places):
            if name.lower() not in ("skep", options.peer):
                continue
            place.make()
            where = sides[name] = stack.enter_context(side(server, folder, place))
            skep.wait_for(lambda where=where: server.answers(where), f"{server.name} in {name} answers", skep.BOOT_SECONDS)
        for _ in range(options.rounds):
            for at_once in server.loads:
                for name, where in sides.items():
                    for what, rate in server.rates(where, at_once).items():
                        measured.setdefault((what, at_once), {}).setdefault(name, []).append(rate)
    for (what, at_once), values in measured.items():
        add_row(table, f"{server.name} {what}, {server.clients} clients, {at_once} at once", values, tapped)


# ---- a load whose answers are known beforehand ----


def lanes_rate(lanes, at_once, count):
    """Requests a second. A lane is a socket that sends, one that receives, and blocks of at_once requests and their answers;
    count requests are made in all, each of whose answers must be exactly that."""
    rounds = count // at_once // len(lanes)
    fds = [one.fileno() for sender, receiver, *_ in lanes for one in (sender, receiver)]
    words = [f"{sender.fileno()}:{receiver.fileno()}" for sender, receiver, *_ in lanes]
    blocks = b"".join(
        struct.pack("<II", len(requests), len(answers)) + requests + answers for *_, requests, answers in lanes
    )
    done = subprocess.run(
        [counter.program("lanes"), str(rounds), *words], input=blocks, pass_fds=fds, capture_output=True, timeout=LOAD_SECONDS
    )
    assert done.returncode == 0, done.stderr.decode()
    return rounds * at_once * len(lanes) / float(done.stdout)
