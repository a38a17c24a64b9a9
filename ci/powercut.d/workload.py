"""The changes that are made before the power is cut, and what was said of each."""

import contextlib
import functools
import re

import helpers
import nbd
import records
import requests
import skep
import world

MIB = 1 << 20
DISK_BYTES = 56 * MIB
FLUSH = 16  # blocks, after which the guests flush
# Of a guest's spec, as they are shown: the secret's content is not.
FILES = [
    {"path": "/etc/app.conf", "secret": False, "content": "x" * 3000},
    {"path": "/etc/key", "secret": True},
]
SCOPE = {
    "prefix": "ci-",
    "quotas": {"guests": 3, "memory_bytes": None, "vcpus": None, "volume_bytes": 1 << 30},
}
GATE = "gate"  # guests that start after it wait until the judge has looked at their volumes


APP_VOLUME_BYTES = MIB // 4
RECORDS = 24  # that a guest keeps in files
PASSPHRASE = {"Skep-Passphrase": "what was there before the cut"}


class Moment:
    """What holds from a mark in the disk's log on."""

    def __init__(self, title, settled, pending=None):
        self.title = title
        self.settled = settled.copy()
        self.pending = pending and pending.copy()  # what is underway: it may be there, as a whole

    def worlds(self):
        return [self.settled] + ([self.pending] if self.pending else [])


class Workload:
    """Drives one disk through several boots of a debug build, whose control service can be told to die."""

    def __init__(self, folder, chooser):
        self.folder, self.chooser = folder, chooser
        self.disk = nbd.Disk(DISK_BYTES)
        self.world = world.World()
        self.moments = []
        self.writers = {}  # guest: (volume, seed)
        self.patterns = {}  # block: (guest, volume, seed, its number, blocks after which the guest flushes)
        self.api = None
        self._note("the start")

    def run(self):
        folder = self.folder / "disk"
        folder.mkdir(parents=True, exist_ok=True)
        with self.disk.serve(folder / "disk.sock") as socket:
            for number, (cpus, part) in enumerate(((1, self._begin), (2, self._work), (1, self._end))):
                with skep.Machine(
                    self.folder / f"workload-{number}",
                    elf=skep.build_exists(skep.DEBUG_BUILD),
                    cpus=cpus,
                    disks=[f"nbd:unix:{socket}"],
                ) as machine:
                    try:
                        self.machine, self.api, self.writers = machine, machine.wait_api(), {}
                        part()
                        machine.check_alive()
                    except (AssertionError, OSError) as error:
                        raise AssertionError(f"{error}\n{machine.serial_tail()}") from error

    def flushed(self, cut):
        """What guests knew to be durable when the power was cut, sooner than they could say so: a guest that flushes after
        16 blocks and writes its 17th has been told that the first 16 are. {guest: (volume, seed, number of blocks)}"""
        known = {}
        for entry in cut.entries:
            if entry.came > cut.moment:
                break
            if entry.kind is nbd.Kind.WRITE and entry.data in self.patterns:
                guest, volume, seed, number, every = self.patterns[entry.data]
                known[guest] = (volume, seed, max(number // every * every, known.get(guest, (0,))[-1]))
        return known

    def answers(self):
        """The moments at which guests have had an answer to a flush."""
        for entry in self.disk.entries:
            *_, number, every = self.patterns.get(entry.data, (1, 2))
            if entry.kind is nbd.Kind.WRITE and number % every == 0:
                yield entry.came

    # ---- the script ----

    def _begin(self):
        def formatted(new):
            new.formatted = True

        self._change("format", formatted, "PUT", "/v1/disks/0", json={"format": True})
        self._volume("a", MIB, limits={"iops": 400})
        self._volume("b", MIB // 2)
        self._volume("wide", 128 * MIB, limits={"iops": 300})  # three maps, all but empty
        self._token("ci-bot", "operator", scope=SCOPE)
        self._token("eye", "viewer")
        self._upload("b")
        self._copy("b-1", "b", "snapshot")
        self._upload("b")
        self._learn("b-1")

    def _work(self):
        assert self.api.host()["storage"]["state"] == "ready", "nothing would be kept"
        self._check_all()
        self._image("block", helpers.guest_program("block"))
        self._image("stay", helpers.guest_program("stay"))
        self._label("images", "block", tier="1")
        self._guest("steady", image="stay", files=FILES)
        self._restore_deleted("steady", "block")
        self._guest(GATE, image="stay")
        self._writer("on-a", "a", 224, start_after=[GATE])
        self._writer("on-wide", "wide", 128, start_after=[GATE])
        self._keeper()
        self._delete_guest(GATE)
        # While all write:
        self._copy("a-1", "a", "snapshot")
        self._patch_volume("a", 5 * MIB // 4)
        self._copy("c", "a-1", "clone")
        self._app("shop", "first", "shop-one", "shop-two")
        self._image("spare", helpers.example("hello"))
        self._label("images", "spare", team="edge")
        self._label("volumes", "a", team="edge", tier="1")
        self._copy("a-2", "a", "snapshot")
        self._image("spare", helpers.guest_program("stay"))
        self._die_amid_a_guest("guest's spec on the disk", "late-1")
        self._learn("a-1")
        self._full_copy("far", "a-1")
        self._volume("d", MIB // 2)
        self._delete_volume("d")
        self._token("eye", "operator", expires_at="2099-12-31T00:00:00.000Z")
        self._app("shop", "second", "shop-two", "shop-three")
        self._patch_guest("steady", "paused")
        self._die_amid_a_guest("guest created in ring 0", "late-2")
        self._until_written("on-wide")
        self._until_written("on-a")
        self._copy("files-1", "files", "snapshot")
        self._until_written("keeper")
        # A clone and its origin are written to; each has the other's chunks no more.
        self._writer("on-c", "c", 128)
        self._until_written("on-c")
        self._delete_guest("on-c")
        self._learn("c")
        self._delete_volume("a-1")
        self._upload("b")
        self._revoke("ci-bot")
        self._delete_image("spare")
        self._patch_guest("steady", "running")

    def _end(self):
        self._check_all()
        self.api.wait_state("steady", "running")
        self._delete_guest("on-a")
        self._app("shop", "third", "shop-three", amid="app's change on the disk")
        self._discard("a")
        self._delete_volume("c")
        # In what others gave back.
        self._volume("e", MIB // 2)
        self._writer("on-e", "e", 96)
        self._writer("again", "a", 64)
        self._until_written("on-e")
        self._until_written("again")
        self._delete_guest("again")
        self._learn("a-2")
        self._learn("a")
        self._upload("b")
        self._delete_app("shop")
        self._delete_guest("steady")

    # ---- marks ----

    def _note(self, title, pending=None):
        self.disk.mark(str(len(self.moments)))
        self.moments.append(Moment(title, self.world, pending))

    def _change(self, title, change, method, path, **body):
        """One call that changes something: until its answer has come, it may be there or not."""
        self._listen()
        pending = self.world.copy()
        change(pending)
        self._note(f"{title}, underway", pending)
        answer = self._ended(self.api.ok(method, path, **body))
        self.world = pending
        self._note(title)
        return answer

    def _ended(self, answer):
        """The same answer, or the operation's that it began, when that has ended."""
        if not answer or answer.get("kind") != "copy":
            return answer
        while answer["state"] == "running":
            answer = self.api.ok("GET", f"/v1/operations/{answer['id']}", params={"wait": 10})
        assert answer["state"] == "done", answer
        return answer

    def _change_amid_death(self, point, title, change, method, path, **body):
        """The same, and the service dies in it. Once it is back, it tells whether the change was made."""
        self._listen()
        pending = self.world.copy()
        change(pending)
        self._note(f"{title}, underway", pending)
        points = {item["name"]: item["at"] for item in self.api.ok("GET", "/v1/debug/points")["items"]}
        restarts = self.api.host()["control_restarts"]
        self.api.ok("POST", "/v1/debug/crash", json={"at": points[point]})
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            answer = self.api.request(method, path, timeout=5, **body)
            raise AssertionError(f"the service answers {answer.status_code} instead of dying")
        self.api = skep.Api(self.machine.api_port, self.machine.token, self.api.fingerprint)

        def back():
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                return self.api.host()["control_restarts"] == restarts + 1

        skep.wait_for(back, "the service is back")
        seen = world.settled(self.api)
        made = [one for one in (self.world, pending) if not one.differences(seen)]
        assert made, f"{title}: {'; '.join(pending.differences(seen))}"
        self.world = made[0]
        self._note(f"{title}, known after the service's death")

    def _listen(self):
        """Takes down what guests have said to be durable."""
        for guest, (volume, seed) in self.writers.items():
            said = re.findall(rb"^durable (\d+)\n", self.api.log(guest), re.M)
            count = int(said[-1]) if said else 0
            if count > self.world.durable.get(guest, 0):
                self.world.wrote(guest, volume, seed, count)
                self._note(f"{guest} has {count} blocks")

    # ---- volumes ----

    def _volume(self, name, size, content=None, **more):
        self._change(
            f"create {name}",
            lambda new: new.add_volume(name, size, content=content),
            *("PUT", f"/v1/volumes/{name}"),
            json={"size_bytes": size, "overcommit": True, **more},
        )

    def _copy(self, name, source, kind):
        size = self.world.volumes[source]["size_bytes"]
        self._change(
            f"{kind} {name} of {source}",
            lambda new: new.add_volume(name, size, source, "snapshot" if kind == "snapshot" else "volume"),
            *("PUT", f"/v1/volumes/{name}"),
            json={f"{kind}_of": source, "overcommit": True},
        )

    def _full_copy(self, name, source):
        size, content = self.world.volumes[source]["size_bytes"], self.world.contents[source].copy()
        self._change(
            f"full copy {name} of {source}",
            lambda new: new.add_volume(name, size, content=content),
            *("PUT", f"/v1/volumes/{name}"),
            json={"copy_of": source, "overcommit": True},
        )

    def _patch_volume(self, name, size):
        self._change(
            f"grow {name}",
            lambda new: new.grow(name, size),
            *("PATCH", f"/v1/volumes/{name}"),
            json={"size_bytes": size, "overcommit": True},
        )

    def _label(self, kind, name, **labels):
        self._change(
            f"labels of {kind} {name}",
            lambda new: new.label(kind, name, labels),
            *("PATCH", f"/v1/{kind}/{name}"),
            json={"labels": labels},
        )

    def _delete_volume(self, name):
        self._change(
            f"delete {name}", lambda new: new.delete_volume(name), "DELETE", f"/v1/volumes/{name}"
        )

    def _upload(self, name):
        """Random bytes with holes of various lengths."""
        data = bytearray()
        while len(data) < self.world.contents[name].size:
            run = world.BLOCK * self.chooser.randint(1, 40)
            data += self.chooser.randbytes(run) if self.chooser.random() < 0.7 else bytes(run)
        data = bytes(data[: self.world.contents[name].size])
        self.world.may_upload(name, data)
        path = f"/v1/volumes/{name}/data"
        self._change(f"upload to {name}", lambda new: new.upload(name, data), "PUT", path, data=data)

    def _learn(self, name):
        """Nobody writes to it any more: what it holds now is what it has to hold."""
        data = self.api.ok("GET", f"/v1/volumes/{name}/data")
        problem = self.world.contents[name].problem(data)
        assert not problem, f"{name} without any cut: {problem}"
        self.world.upload(name, data)
        self._note(f"{name} was read")

    def _check_all(self):
        """A start without a cut: all is there."""
        lines = self.world.differences(world.settled(self.api))
        assert not lines, f"after a reboot: {'; '.join(lines)}"

    # ---- tokens ----

    def _token(self, name, role, scope=None, expires_at=None):
        wish = {"role": role, "scope": scope, "expires_at": expires_at}
        self._change(
            f"token {name}",
            lambda new: new.tokens.__setitem__(name, wish),
            *("PUT", f"/v1/tokens/{name}"),
            json=wish,
        )

    def _revoke(self, name):
        self._change(f"revoke {name}", lambda new: new.tokens.pop(name), "DELETE", f"/v1/tokens/{name}")

    # ---- images and guests ----

    def _image(self, name, elf):
        answer = self._change(
            f"image {name}",
            lambda new: new.put_image(name, world.digest(elf)),
            *("PUT", f"/v1/images/{name}"),
            data=elf.read_bytes(),
        )
        assert answer["digest"] == self.world.images[name]["digest"]

    def _delete_image(self, name):
        self._change(f"delete image {name}", lambda new: new.images.pop(name), "DELETE", f"/v1/images/{name}")

    def _guest(self, name, **spec):
        spec = {"args": [], "volumes": [], "files": [], "start_after": [], "desired_state": "running", **spec}
        files = [{"content": "hidden", **file} for file in spec["files"]]
        self._change(
            f"guest {name}",
            lambda new: new.guests.__setitem__(name, spec),
            *("PUT", f"/v1/guests/{name}"),
            json={**spec, "files": files, "memory_bytes": 4 * MIB, "stop_grace_ms": 0},
        )
        self.api.wait_state(name, "running", "exited")

    # ---- apps ----

    def _app(self, name, label, *parts, amid=None):
        """Makes it, or another one of it, with this label. amid: the point at which the service dies."""
        spec = {**world.STAYING, "args": [label], "memory_bytes": 4 * MIB, "stop_grace_ms": 0}
        guests = {part: {**spec, "volumes": [world.volume_of_spec(part)]} for part in parts}
        volumes = {part: {"size_bytes": APP_VOLUME_BYTES, "overcommit": True} for part in parts}
        change = functools.partial(self._change_amid_death, amid) if amid else self._change
        change(
            f"app {name} {label}",
            lambda new: new.put_app(name, label, parts, APP_VOLUME_BYTES),
            *("PUT", f"/v1/apps/{name}"),
            json={"labels": {"label": label}, "guests": guests, "volumes": volumes},
        )
        for part in parts:
            self.api.wait_state(part, "running")

    def _delete_app(self, name):
        self._change(f"delete app {name}", lambda new: new.delete_app(name), "DELETE", f"/v1/apps/{name}")
        skep.wait_for(lambda: self.api.get(f"/v1/apps/{name}").status_code == 404, f"{name} is gone")

    def _die_amid_a_guest(self, point, name):
        spec = world.STAYING
        self._change_amid_death(
            point,
            f"guest {name}, dying",
            lambda new: new.guests.__setitem__(name, spec),
            *("PUT", f"/v1/guests/{name}"),
            json={**spec, "memory_bytes": 4 * MIB},
        )

    def _restore_deleted(self, guest, image):
        """A guest and an image that are deleted come back with a backup."""
        backup = self.api.ok("GET", "/v1/backup", params={"images": "true"}, headers=PASSPHRASE, timeout=60)
        before = self.world
        self._delete_guest(guest)
        self._delete_image(image)

        def restored(new):
            new.guests, new.images = dict(before.guests), dict(before.images)

        answer = self._change(
            "restore", restored, "PUT", "/v1/backup", data=backup, headers=PASSPHRASE, timeout=60
        )
        assert answer["restored"] == "now", answer
        self.api.wait_state(guest, "running")

    def _patch_guest(self, name, state):
        spec = {**self.world.guests[name], "desired_state": state}
        self._change(
            f"guest {name} {state}",
            lambda new: new.guests.__setitem__(name, spec),
            *("PATCH", f"/v1/guests/{name}"),
            json={"desired_state": state},
        )

    def _delete_guest(self, name):
        self.writers.pop(name, None)
        self._change(
            f"delete guest {name}", lambda new: new.delete_guest(name), "DELETE", f"/v1/guests/{name}"
        )
        skep.wait_for(lambda: self.api.get(f"/v1/guests/{name}").status_code == 404, f"{name} is gone")

    def _writer(self, name, volume, count, **spec):
        seed = self.chooser.randrange(1, 1 << 31)
        self.world.may_write(volume, seed, count)
        self._remember(name, volume, seed, count, FLUSH)
        args = ["resume", str(seed), str(count)]
        volumes = [world.volume_of_spec(volume)]
        self._guest(name, image="block", args=args, volumes=volumes, **spec)
        self.writers[name] = (volume, seed)

    def _remember(self, guest, volume, seed, count, every):
        for number in range(count):
            self.patterns[world.pattern(seed, number)] = (guest, volume, seed, number, every)

    def _keeper(self):
        """A guest that keeps records in files; it makes the file system itself."""
        seed = self.chooser.randrange(1, 1 << 31)
        self._volume("files", 8 * MIB, records.Files(8 * MIB))
        self._image("records", helpers.guest_program("records"))
        self._remember("keeper", "files", seed, RECORDS, 1)
        volumes = [{"name": "files", "read_only": False, "mount": "/data", "format": True}]
        args = ["resume", str(seed), str(RECORDS)]
        self._guest("keeper", image="records", args=args, volumes=volumes, start_after=[GATE])
        self.writers["keeper"] = ("files", seed)

    def _until_written(self, name):
        count = int(self.world.guests[name]["args"][2])

        def written():
            self._listen()
            return self.world.durable.get(name) == count

        skep.wait_for(written, f"{name} has written all", interval=0.01)
        status = self.api.wait_state(name, "exited", "crashed")
        assert status["exit_code"] == 0, self.api.log(name)

    def _discard(self, volume):
        self.world.may_discard(volume)
        volumes = [world.volume_of_spec(volume)]
        self._guest("discard", image="block", args=["discard"], volumes=volumes)
        status = self.api.wait_state("discard", "exited", "crashed")
        assert status["exit_code"] == 0, self.api.log("discard")
        self.world.discard(volume)
        self._note(f"{volume} was discarded")
        self._delete_guest("discard")
