"""Runs the attacks on a booted Skep, a handful at a time, and says what became of them."""

import contextlib
import random
import sys
import time
import urllib3

import attacks
import floods
import helpers
import mutation
import results as outcome
import skep
import storage

NEIGHBOUR = "10.0.2.20"
ENTRY_PROGRAMS = ("faults", "instructions", "registers")  # what isolation makes a difference to
AT_ONCE = 8  # attackers that live at the same time
LOGS = skep.ROOT / "build-logs/hostile"


class Neighbour:
    """A web guest that must answer throughout, and whose counters must tell of nothing but that."""

    def __init__(self, machine):
        self.machine = machine
        machine.api.upload("neighbour", helpers.example("httpd"))
        machine.api.create(
            "neighbour",
            image="neighbour",
            memory_bytes=4 * attacks.MIB,
            networks=[{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}],
            desired_state="running",
        )
        machine.wait_page(NEIGHBOUR)
        self.watch = helpers.Watch(machine, NEIGHBOUR)
        with self.watch:
            self.watch.wait_answer()
        self.before = self.status()
        self.watch = helpers.Watch(machine, NEIGHBOUR)

    def status(self):
        return self.machine.api.status("neighbour")

    def check(self):
        """Raises AssertionError when it was touched."""
        self.watch.wait_answer()
        before, now = self.before, self.status()
        for key in ("state", "started_at", "crash", "restarts", "addresses", "memory_promised_bytes"):
            assert now[key] == before[key], f"the neighbour's {key}: {before[key]} -> {now[key]}"
        old, new = before["networks"][0], now["networks"][0]
        for key in ("rx_dropped", "tx_dropped"):
            assert new[key] == old[key], f"the neighbour's {key}: {old[key]} -> {new[key]}"
        # It touches a new thread's stack now and then; anything beyond that isn't its own doing.
        grown = now["memory_used_bytes"] - before["memory_used_bytes"]
        assert grown <= 512 << 10, f"the neighbour's memory grew by {grown} bytes"


class Session:
    """A booted Skep under attack."""

    def __init__(self, machine, results, seed, patience, disk):
        self.machine, self.api, self.results = machine, machine.api, results
        self.seed, self.patience, self.disk = seed, patience, disk
        self.uploaded = set()
        self.with_volumes = set()  # guests

    def program(self, name):
        return self.machine.options["elf"].parent / f"hostile/{name}.elf"

    def upload(self, name):
        if name not in self.uploaded:
            self.api.upload(name, self.program(name))
            self.uploaded.add(name)

    def start(self, guest, program, arguments, **spec):
        self.upload(program)
        if "volumes" in spec:
            spec["volumes"] = self.disk.give(guest)
            self.with_volumes.add(guest)
        self.api.create(
            guest,
            image=program,
            args=[str(argument) for argument in arguments],
            desired_state="running",
            **{"restart": "never", **spec},
        )

    def delete(self, guest):
        """Deletes a guest and what it was given."""
        self.api.delete_guest(guest)
        if guest in self.with_volumes:
            self.with_volumes.remove(guest)
            self.disk.take(guest)

    def end(self, guest):
        """Waits for a guest's end and deletes it. Its status, and what it printed."""
        try:
            status = self.api.wait_state(guest, "exited", "crashed", seconds=self.patience)
            return status, self.api.log(guest).decode(errors="replace")
        finally:
            self.delete(guest)

    def attack(self, batch):
        """Lets the attackers of a batch loose together."""
        for number, attack in enumerate(batch):
            arguments = (attack.name, *attack.arguments(self.seed))
            self.start(f"attacker-{number}", attack.program, arguments, **attack.spec)
        for number, attack in enumerate(batch):
            problem = None
            try:
                attacks.check(attack, *self.end(f"attacker-{number}"))
            except AssertionError as error:
                self.machine.check_alive()
                problem = str(error)
            self.results.add(attack.title, problem)


def may_join(batch, attack):
    """Attackers that may live together: those with a network have one address among them, and those that are many of
    one kind keep to themselves."""
    if len(batch) == AT_ONCE or "networks" in attack.spec:
        return False
    same = attack.name == batch[0].name or (attack.number is None and batch[0].number is None)
    return attack.program == batch[0].program and same


def batches(chosen):
    batch = []
    for attack in chosen:
        if batch and not may_join(batch, attack):
            yield batch
            batch = []
        batch.append(attack)
    if batch:
        yield batch


def run_attacks(session, neighbour, chosen):
    program, count, begin = None, 0, time.monotonic()

    def told():
        if program:
            print(f"{program:24} {count:4} attacks {time.monotonic() - begin:6.1f} s", flush=True)

    for batch in batches(chosen):
        if batch[0].program != program:
            told()
            program, count, begin = batch[0].program, 0, time.monotonic()
        session.attack(batch)
        count += len(batch)
        neighbour.watch.wait_answer()
    told()


def problem_on_the_wire(path):
    """Whether a frame that no guest may send was seen on the wire; honest frames must have been."""
    frames = path.read_bytes()
    if b"SkepForgery" in frames:
        return f"a forged frame reached the wire: {path}"
    return None if b"GET / HTTP/1.1" in frames else f"nothing at all was seen on the wire: {path}"


def warm_up(api):
    """The first of everything leaves something behind that is kept on purpose."""
    api.upload("warm-up", helpers.example("hello"))
    api.create("warm-up", image="warm-up", memory_bytes=2 * attacks.MIB, desired_state="running")
    api.wait_state("warm-up", "exited")
    helpers.clear(api)


def check_leaks(api, frames):
    helpers.wait_frames(api, frames, helpers.CONTROL_GROWTH, seconds=60)


@contextlib.contextmanager
def disk_for(folder, chosen):
    """A disk, if one of the attacks needs it, and the machine's option for it."""
    if not any("volumes" in attack.spec for attack in chosen):
        yield None, {}
        return
    disk = storage.Storage(folder)
    try:
        yield disk, {"disks": [f"{disk.path},serial=hostile"]}
    finally:
        disk.remove()


def besiege(arguments, pti, chosen, results):
    """One boot under attack, with a disk if it needs one."""
    folder = LOGS / f"{arguments.build}-{pti}"
    with disk_for(folder, chosen) as (disk, options):
        besiege_machine(arguments, pti, chosen, results, folder, disk, options)


def besiege_machine(arguments, pti, chosen, results, folder, disk, disk_options):
    """One boot under attack. pti: whether ring 0 hides its pages from ring 3's page tables."""
    elf = skep.build_exists(skep.DEBUG_BUILD if arguments.build == "debug" else skep.BUILD)
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    print(f"{elf.relative_to(skep.ROOT)}, page-table isolation {pti}, seed {seed}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    wire = folder / "wire.pcap"
    extra = ["-object", f"filter-dump,id=wire,netdev=net0,file={wire}"]
    options = {"elf": elf, "cpus": 2, "append": f"pti={pti}", "extra": extra, **disk_options}
    with skep.Machine(folder, forwards=[NEIGHBOUR], **options) as machine:
        try:
            warm_up(machine.wait_api())
            state = machine.api.host()["mitigations"]["meltdown (PTI)"]
            results.add(f"isolation {pti}", None if (state == "active") == (pti == "on") else state)
            if disk:
                disk.begin(machine.api)
            frames = helpers.frames(machine.api)
            neighbour = Neighbour(machine)
            session = Session(machine, results, seed, arguments.patience, disk)
            with neighbour.watch:
                run_attacks(session, neighbour, chosen)
                results.add("neighbour", problem_of(neighbour.check))
            results.add("wire", problem_on_the_wire(wire))
            if disk:
                results.add("volumes", problem_of(disk.check))
            helpers.clear(machine.api)
            results.add("leaks", problem_of(check_leaks, machine.api, frames))
            machine.check_alive()
        except AssertionError as error:
            results.add("machine", f"{error}\n{machine.serial_tail()}")


def besiege_with_floods(arguments, chosen, results):
    """One CPU, and a clock that goes by instructions."""
    elf = skep.build_exists(skep.DEBUG_BUILD if arguments.build == "debug" else skep.BUILD)
    options = {"elf": elf, "cpus": 1, "kvm": "off", "extra": ["-icount", "shift=0"]}
    folder = LOGS / "floods"
    with disk_for(folder, chosen) as (disk, more), skep.Machine(folder, **options, **more) as machine:
        try:
            warm_up(machine.wait_api())
            if disk:
                disk.begin(machine.api)
            frames = helpers.frames(machine.api)
            floods.run(Session(machine, results, 0, floods.SECONDS, disk), chosen, results)
            helpers.clear(machine.api)
            results.add("leaks", problem_of(check_leaks, machine.api, frames))
        except AssertionError as error:
            results.add("machine", f"{error}\n{machine.serial_tail()}")


def problem_of(function, *arguments):
    try:
        function(*arguments)
    except AssertionError as error:
        return str(error)
    return None


def wanted(words, title):
    return not words or any(word in title for word in words)


def run(arguments):
    urllib3.disable_warnings()
    results = outcome.Results()
    if arguments.mutants:
        mutation.run(arguments.words, arguments.mutants, results)
        return results.finish(arguments.junit)
    known = attacks.all_floods() if arguments.floods else attacks.all_attacks()
    chosen = [attack for attack in known if wanted(arguments.words, attack.title)]
    if arguments.list:
        for attack in chosen:
            print(f"{attack.title:48} {attack.expect}")
        return 0
    if not chosen:
        sys.exit("ci/hostile: no attack has such a name (--list shows them)")
    if arguments.floods:
        besiege_with_floods(arguments, chosen, results)
        return results.finish(arguments.junit)
    for pti in ("off", "on"):
        at_entry = [attack for attack in chosen if pti == "off" or attack.program in ENTRY_PROGRAMS]
        if at_entry and arguments.pti in (pti, "both"):
            besiege(arguments, pti, at_entry, results)
    return results.finish(arguments.junit)
