"""Guests that are created, paused, resumed, changed and deleted at random, on a debug build whose CPUs are delayed at
random at each lock (chaos=SEED)."""

import random
import time

import skep
from helpers import CONTROL_GROWTH, MIB, clear, example, frames, guest_program, wait_frames

# What each guest runs: image, arguments, vCPUs. Those of `ENDING` end by themselves, and well.
KINDS = {
    "smp": (guest_program("smp"), [], 4),
    "threads": (guest_program("threads"), [], 2),
    "timer": (guest_program("timer"), [], 1),
    "memory": (guest_program("memory"), [], 1),
    "stay": (guest_program("stay"), [], 1),
    "spin": (example("spin"), ["3"], 3),
    "pages": (guest_program("heavy"), ["memory"], 1),
    "calls": (guest_program("heavy"), ["calls"], 1),
    "events": (guest_program("heavy"), ["vcpus"], 32),
}
ENDING = ("smp", "threads", "memory")
GUESTS = 10


class Soak:
    """What was asked of one machine so far."""

    def __init__(self, machine, seed):
        self.machine = machine
        self.api = machine.api
        self.random = random.Random(seed)
        self.counts = {}
        self.kinds = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def create(self, name):
        kind = self.random.choice(list(KINDS))
        _, args, vcpus = KINDS[kind]
        self.api.create(
            name,
            image=kind,
            args=args,
            vcpus=vcpus,
            memory_bytes=8 * MIB,
            restart="never",
            weight=self.random.choice((10, 100, 1000)),
            cpu_cap=self.random.choice((0, 0, 50)),
            desired_state=self.random.choice(("running", "running", "paused")),
        )
        self.kinds[name] = kind
        self.count("created")

    def delete(self, name):
        self.api.delete_guest(name)
        del self.kinds[name]
        self.count("deleted")

    def change(self, name):
        fields = self.random.choice(
            (
                {"desired_state": "paused"},
                {"desired_state": "running"},
                {"desired_state": "running"},
                {"weight": self.random.randint(1, 1000)},
                {"cpu_cap": self.random.choice((0, 30, 200))},
                {"cpu_affinity": self.random.choice(([], [0], [1]))},
            )
        )
        answer = self.api.patch(f"/v1/guests/{name}", json=fields)
        if answer.status_code == 409 and self.api.status(name)["state"] in ("exited", "crashed"):
            return self.count("came too late")  # it ended between the looks at it
        assert answer.status_code in (200, 202), f"{fields}: {answer.status_code} {answer.text}"
        return self.count("changed")

    def ended(self, name, status):
        """Nobody told it to end."""
        kind = self.kinds[name]
        if kind in ENDING:
            what = f"{kind}: {status}; it said {self.api.log(name)[-400:]}"
            assert (status["state"], status["exit_code"]) == ("exited", 0), what
            self.count(f"{kind} went through")
        self.delete(name)

    def step(self):
        name = f"guest-{self.random.randrange(GUESTS)}"
        if name not in self.kinds:
            return self.create(name)
        status = self.api.status(name)
        if status["state"] in ("exited", "crashed"):
            return self.ended(name, status)
        if self.random.randrange(12) == 0:
            return self.delete(name)
        return self.change(name)


def run(folder, cpus, seconds, seed):
    """Boots, goes on for so long, and looks for what is left. How often it did what."""
    options = {"elf": skep.build_exists(skep.DEBUG_BUILD), "cpus": cpus, "kvm": "off"}
    with skep.Machine(folder, append=f"chaos={seed} panic=halt", **options) as machine:
        api = machine.wait_api()
        for kind, (elf, _, _) in KINDS.items():
            api.upload(kind, elf)
        soak = Soak(machine, seed)
        for name in ("guest-0", "guest-1"):  # the first of everything leaves something behind on purpose
            soak.create(name)
            soak.delete(name)
        keep = {"images": list(KINDS)}
        baseline = frames(api)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                soak.step()
                machine.check_alive()
        except Exception:
            machine.check_alive()  # a panic explains what failed
            raise
        clear(api, keep)
        wait_frames(api, baseline, CONTROL_GROWTH)
        machine.check_alive()
        return soak.counts
