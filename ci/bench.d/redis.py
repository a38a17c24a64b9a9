"""ci/bench redis: Redis as a guest (examples/ports/redis) beside Debian's redis-server in Linux, of the same version.

Two machines with the same emulated CPU and memory, one CPU each, on the networks that ci/bench web has. Both keep their
data in memory alone, and answer redis-benchmark in turn, one at a time; the ratios are those of a round.
"""

import contextlib
import csv
import functools
import pathlib
import statistics
import subprocess

import linux
import qemu
import skep
import web

MIB = 1 << 20
PORT, CLIENTS, LOAD_SECONDS = 6379, 8, 300
ELF = skep.BUILD / "examples/redis-server.elf"
SERVER = pathlib.Path("/usr/bin/redis-check-rdb")  # which is Debian's redis-server by another name
LOADS = {1: 20_000, 16: 100_000}  # requests by how many are sent at once
START = """
ip link set lo up
ip link set eth0 up
ip addr add {address}/24 dev eth0
ip route add default via {gateway}
ln -s {server} /bin/redis-server
redis-server --bind '*' --protected-mode no --tcp-backlog 128 --save '' --daemonize yes
"""


@contextlib.contextmanager
def skep_side(folder, place):
    """Serving; gives where."""
    destination = f"{place.guest}:{PORT}"
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
        api.upload("redis-server", ELF)
        networks = [{"address": f"{place.guest}/24", "gateway": place.gateway}]
        spec = {"args": ["/redis.conf"], "memory_bytes": 64 * MIB, "networks": networks}
        api.create("redis", image="redis-server", desired_state="running", **spec)
        yield (place.guest, PORT) if place.tap else ("127.0.0.1", machine.ports[destination])
        machine.check_alive()


@contextlib.contextmanager
def linux_side(folder, place):
    port = PORT if place.tap else skep.free_ports(1)[0]
    start = START.format(address=place.address, gateway=place.gateway, server=f"/bin/{SERVER.name}")
    machine = linux.Linux(
        folder / "linux",
        [*linux.VIRTIO, *linux.NETWORK],
        [SERVER],
        {"/start": start.encode()},
        memory=web.MEMORY,
        cpus=1,
        **place.options or {"forwards": [(port, place.address, PORT)]},
    )
    with machine:
        yield place.address if place.tap else "127.0.0.1", port


SIDES = {"Skep": skep_side, "Linux": linux_side}


def tool(where, *words, name="redis-benchmark", check=True):
    command = [name, "-h", where[0], "-p", str(where[1]), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=LOAD_SECONDS).stdout


def wait_answer(where):
    def answers():
        return tool(where, "PING", name="redis-cli", check=False) == "PONG\n"

    skep.wait_for(answers, f"Redis at {where[0]} answers", skep.BOOT_SECONDS)


def rates(where, at_once):
    """Requests a second by command."""
    said = tool(where, "-c", CLIENTS, "-n", LOADS[at_once], "-P", at_once, "-t", "set,get", "--csv")
    return {row["test"]: float(row["rps"]) for row in csv.DictReader(said.splitlines())}


def add_row(table, name, ours, theirs, tapped):
    ratios = [a / b for a, b in zip(ours, theirs)]
    note = f"; a second: Skep {statistics.median(ours):,.0f}, Linux {statistics.median(theirs):,.0f}"
    table.add(
        f"{name}, {'tap' if tapped else 'user'}",
        round(statistics.median(ratios), 2),
        "times Linux' rate",
        min=round(min(ratios), 2),
        max=round(max(ratios), 2),
        count=len(ratios),
        rates={"Skep": ours, "Linux": theirs},
        note=note,
    )


def rows(options, table, folder):
    for program, remedy in (
        (ELF, "cmake --build build --target ports"),
        (SERVER, "apt-get install --no-install-recommends redis-tools"),
    ):
        if not program.is_file():
            raise qemu.Missing(f"{program} doesn't exist: {remedy}")
    tapped = web.is_tapped()
    places = [web.Place(number, tapped) for number in (1, 2)]
    measured = {}
    with contextlib.ExitStack() as stack:
        sides = {}
        for (name, side), place in zip(SIDES.items(), places):
            place.make()
            sides[name] = stack.enter_context(side(folder, place))
            wait_answer(sides[name])
        for _ in range(options.rounds):
            for at_once in LOADS:
                for name, where in sides.items():
                    for command, rate in rates(where, at_once).items():
                        measured.setdefault((command, at_once), {}).setdefault(name, []).append(rate)
    for (command, at_once), values in measured.items():
        add_row(table, f"redis {command}, {CLIENTS} clients, {at_once} at once", values["Skep"], values["Linux"], tapped)


def sections(options):
    web.enter(options, packages=())
    return {"redis": functools.partial(rows, options)}
