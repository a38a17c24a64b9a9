"""Cuts the power at moments of a workload, starts Skep with what that may have left, and looks whether all is there."""

import concurrent.futures
import random
import re
import shutil
import subprocess
import time

import nbd
import records
import skep
import workload
import world

FSCK = skep.ROOT / "build-host/skep-fsck"
LOGS = skep.ROOT / "build-logs/powercut"
READ_MAX = 8 * workload.MIB  # more takes the API too long
UP = ("running", "exited")
PAUSED = ("paused", "created")  # one that is wished so before it first runs is not started


def choose_cuts(work, count, chooser):
    """The end with nothing but what was flushed comes first. Of the others a third are anywhere, a third right behind an
    answer of the API, and a third right behind the answer to a guest's flush: what was said a moment ago has had no time
    to become durable by itself."""
    entries, end = work.disk.entries, work.disk.moment
    marks = [entry.came for entry in entries if entry.kind is nbd.Kind.MARK]
    flushes = list(work.answers())
    yield nbd.Cut(work.disk.base, entries, end, seed=0, share=0)
    for number in range(1, count):
        moment = (chooser.randint(0, end), chooser.choice(marks), chooser.choice(flushes))[number % 3]
        yield nbd.Cut(work.disk.base, entries, moment, chooser.randrange(1 << 32))


class Trial:
    """One cut."""

    def __init__(self, folder, elf, work, number, cut):
        self.folder, self.elf, self.number, self.cut = folder, elf, number, cut
        self.moment = work.moments[int((cut.marks() or ["0"])[-1])]
        self.worlds = [one.copy() for one in self.moment.worlds()]
        for guest, (volume, seed, count) in work.flushed(cut).items():
            for one in self.worlds:
                if guest in one.guests and volume in one.contents:
                    one.wrote(guest, volume, seed, count)
        self.image = folder / "disk.img"
        self.title = f"cut {number}: {self.moment.title}"

    def run(self):
        """What is wrong, or None. The image of a cut that shows something stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.image.write_bytes(self.cut.image())
        try:
            self._check_disk()
            disks = [f"{self.image},cache=unsafe"]
            with skep.Machine(self.folder, elf=self.elf, cpus=1 + self.number % 2, disks=disks) as machine:
                try:
                    self._check_machine(machine.wait_api())
                    machine.check_alive()
                except (AssertionError, OSError) as error:
                    raise AssertionError(f"{error}\n{machine.serial_tail(15)}") from error
            self._check_disk()
        except (AssertionError, OSError) as error:
            # As it was: Skep's start has changed it.
            self.image.write_bytes(self.cut.image())
            return f"{self.cut}: {error}\nthe disk: {self.image}"
        shutil.rmtree(self.folder)
        return None

    def _check_disk(self):
        """The checker, from outside."""
        done = subprocess.run([FSCK, self.image], capture_output=True, text=True, timeout=60)
        allowed = {0 if one.formatted else 2 for one in self.worlds}
        assert done.returncode in allowed, f"skep-fsck ends with {done.returncode}: {done.stdout}{done.stderr}"

    def _check_machine(self, api):
        seen = world.settled(api)
        lines = [one.differences(seen) for one in self.worlds]
        fitting = [one for one, different in zip(self.worlds, lines) if not different]
        assert fitting, " or: ".join("; ".join(some) for some in lines)
        up = [name for name in seen.guests if self._may_start(seen, name)]
        for name in up:
            self._check_guest(api, fitting, name)
        used = {volume["name"] for name in up for volume in seen.guests[name]["volumes"]}
        for name in seen.volumes.keys() - used:
            if seen.volumes[name]["size_bytes"] > READ_MAX:
                continue  # its guest reads what is in it
            data = api.ok("GET", f"/v1/volumes/{name}/data")
            problems = [one.contents[name].problem(data) for one in fitting]
            assert not all(problems), f"volume {name}: {problems[0]}"
        self._check_that_all_goes_on(api, fitting, seen)

    @staticmethod
    def _may_start(seen, name):
        spec = seen.guests[name]
        return spec["desired_state"] != "stopped" and all(other in seen.guests for other in spec["start_after"])

    def _check_guest(self, api, fitting, name):
        """It is up, and one that writes has found what it said to be durable."""
        spec = fitting[0].guests[name]
        wanted = PAUSED if spec["desired_state"] == "paused" else UP
        status = api.wait_state(name, "crashed", *wanted)
        assert status["state"] in wanted and not status["exit_code"], f"{name}: {status} {api.log(name)}"
        if spec["args"][:1] != ["resume"]:
            return
        found = skep.wait_for(lambda: re.search(rb"^found (\d+)\n", api.log(name), re.M), f"{name} has looked")
        durable = min(one.durable.get(name, 0) for one in fitting)
        assert int(found[1]) >= durable, f"{name} finds {int(found[1])} of {durable} durable blocks"
        if spec["image"] == "records" and self.number % 4 == 0:  # it takes a while
            self._check_files(api, name, spec)

    @staticmethod
    def _check_files(api, name, spec):
        """After Skep's replay, and all that the guest has done since."""
        status = api.wait_state(name, "exited", "crashed")
        assert status["exit_code"] == 0, f"{name}: {status} {api.log(name)}"
        volume, (seed, count) = spec["volumes"][0]["name"], map(int, spec["args"][1:])
        data = api.ok("GET", f"/v1/volumes/{volume}/data")
        problem = records.Files(len(data), seed, count).problem(data)
        assert not problem, f"{volume} after {name}: {problem}"

    def _check_that_all_goes_on(self, api, fitting, seen):
        """Guests that waited get up, and the disk takes changes."""
        if not seen.formatted:
            api.ok("PUT", "/v1/disks/0", json={"format": True})
        waiting = [name for name in seen.guests if not self._may_start(seen, name)]
        if waiting:
            api.create(workload.GATE, image="stay", memory_bytes=2 * workload.MIB)
        for name in waiting:
            self._check_guest(api, fitting, name)
        path = "/v1/volumes/after"
        api.ok("PUT", path, json={"size_bytes": 1 << 16, "overcommit": True}, status=201)
        data = bytes(range(256)) * 256
        api.ok("PUT", f"{path}/data", data=data)
        assert api.ok("GET", f"{path}/data") == data, "a new volume holds something else than was written"
        api.ok("DELETE", path, status=204)
        # The checker's second look is at another world than before the cut: that of a disk that is formatted.
        formatted = world.World()
        formatted.formatted = True
        self.worlds = [formatted]


def judge(work, arguments, chooser, results):
    """Several cuts at a time: one starts while another is looked at."""

    def look_at(numbered):
        trial = Trial(LOGS / f"cut-{numbered[0]}", arguments.elf, work, *numbered)
        return trial.title, trial.run()

    cuts = enumerate(choose_cuts(work, arguments.cuts, chooser))
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            for done, outcome in enumerate(pool.map(look_at, cuts), 1):
                results.add(*outcome)
                if done % 20 == 0:
                    print(f"{done} cuts, {results.failed()} failed", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def run(arguments, results):
    chooser = random.Random(arguments.seed)
    shutil.rmtree(LOGS, ignore_errors=True)
    begin = time.monotonic()
    work = workload.Workload(LOGS, chooser)
    try:
        work.run()
    except AssertionError as error:
        results.add("the workload", str(error))
        return
    kinds = [entry.kind for entry in work.disk.entries]
    print(
        f"{len(work.moments)} moments, {kinds.count(nbd.Kind.WRITE)} writes, {kinds.count(nbd.Kind.FLUSH)} flushes"
        f" in {time.monotonic() - begin:.1f} s",
        flush=True,
    )
    results.add("the workload")
    begin = time.monotonic()
    judge(work, arguments, chooser, results)
    seconds = time.monotonic() - begin
    print(f"{arguments.cuts} cuts in {seconds:.1f} s, {seconds / arguments.cuts:.2f} s each", flush=True)
