"""What must be there after a power cut, as far as the machine under test has said so."""

import functools
import hashlib

import skep

BLOCK = 4096
SECTOR = 512
ZERO = bytes(BLOCK)
_MASK = (1 << 64) - 1


def _mix(value):
    value = (value ^ value >> 31) * 0x9E3779B97F4A7C15 & _MASK
    return value ^ value >> 29


@functools.cache
def pattern(seed, number):
    """The block that ci/guests/block.c writes under this number."""
    base = seed ^ number << 20
    return b"".join(_mix(base ^ i).to_bytes(8, "little") for i in range(BLOCK // 8))


def place(number, size):
    """Which block of a volume that guest writes it to."""
    blocks = 1 << (size // BLOCK).bit_length() - 1
    return number * 0x9E3779B1 & blocks - 1


def digest(elf):
    return "sha256:" + hashlib.sha256(elf.read_bytes()).hexdigest()


def volume_of_spec(name):
    """An element of a guest's spec, as the API completes it."""
    return {"name": name, "read_only": False}


STAYING = {"image": "stay", "args": [], "volumes": [], "files": [], "start_after": [], "desired_state": "running"}


class Content:
    """A volume's bytes: of each block what may be there. One possibility is a promise; of several any mixture of sectors
    may be."""

    def __init__(self, size, blocks=None):
        self.size = size
        self.blocks = dict(blocks or {})  # those of which something is known but that they are zero

    def copy(self, size=None):
        return Content(size or self.size, self.blocks)

    def may(self, index, data):
        """From now on this may be there as well."""
        before = self.blocks.get(index, (ZERO,))
        if data not in before:
            self.blocks[index] = (*before, data)

    def must(self, index, data):
        self.blocks[index] = (data,)

    def problem(self, data):
        """What is wrong with the bytes that were read, or None."""
        if len(data) != self.size:
            return f"{len(data)} bytes instead of {self.size}"
        for at in range(0, self.size, BLOCK):
            block = data[at : at + BLOCK]
            allowed = self.blocks.get(at // BLOCK, (ZERO,))
            if block not in allowed and not self._is_mixture(block, allowed):
                zero = " is zero and" if block == ZERO else ""
                return f"block {at // BLOCK}{zero} is none of {len(allowed)} that may be there"
        return None

    def wrote(self, seed, first, count):
        """Blocks of a guest's pattern are durable."""
        for number in range(first, count):
            self.must(place(number, self.size), pattern(seed, number))

    @staticmethod
    def _is_mixture(block, allowed):
        return len(allowed) > 1 and all(
            any(block[at : at + SECTOR] == other[at : at + SECTOR] for other in allowed)
            for at in range(0, BLOCK, SECTOR)
        )


class World:
    """The API's objects at a moment. Those that copy() shares are replaced, never changed, but contents."""

    def __init__(self):
        self.formatted = False
        self.volumes = {}  # name: what the API says of it that must not change
        self.contents = {}  # name: Content
        self.guests = {}  # name: the fields of the spec that were given
        self.images = {}  # name: its digest and labels
        self.tokens = {}  # name: the fields that were given
        self.apps = {}  # name: its labels, guests and volumes, as these are above; None for what is missing
        self.unsettled = []  # of what was observed: apps whose change isn't made yet, with what keeps it
        self.durable = {}  # guest: number of blocks that it said to be durable

    def copy(self):
        other = World()
        other.formatted = self.formatted
        for name in ("volumes", "guests", "images", "tokens", "apps", "durable"):
            setattr(other, name, dict(getattr(self, name)))
        other.contents = {name: content.copy() for name, content in self.contents.items()}
        return other

    # ---- changes ----

    def add_volume(self, name, size, copy_of=None, kind="volume", content=None):
        content = self.contents[copy_of].copy(size) if copy_of else content or Content(size)
        self.volumes[name] = {"kind": kind, "size_bytes": size, "copy_of": copy_of, "labels": {}}
        self.contents[name] = content

    def grow(self, name, size):
        self.volumes[name] = {**self.volumes[name], "size_bytes": size}
        self.contents[name].size = size

    def label(self, kind, name, labels):
        """Of a volume or image."""
        things = getattr(self, kind)
        things[name] = {**things[name], "labels": labels}

    def put_image(self, name, file):
        """A file says nothing of labels."""
        self.images[name] = {"labels": {}, **self.images.get(name, {}), "digest": file}

    def delete_volume(self, name):
        del self.volumes[name], self.contents[name]

    def delete_guest(self, name):
        del self.guests[name]
        self.durable.pop(name, None)

    def put_app(self, name, label, parts, size):
        """Of each part a guest and the volume that it has; those of parts that it had and names no more are gone."""
        former = self.apps.get(name, {"guests": {}})["guests"]
        for part in former.keys() - set(parts):
            self.delete_guest(part)
            self.delete_volume(part)
        for part in parts:
            if part not in former:
                self.add_volume(part, size)
            self.guests[part] = {**STAYING, "args": [label], "volumes": [volume_of_spec(part)]}
        self.apps[name] = {
            "labels": {"label": label},
            "guests": {part: self.guests[part] for part in parts},
            "volumes": {part: self.volumes[part] for part in parts},
        }

    def delete_app(self, name):
        self.put_app(name, "", [], 0)
        del self.apps[name]

    def may_write(self, name, seed, count):
        """A guest is about to write its pattern."""
        content = self.contents[name]
        for number in range(count):
            content.may(place(number, content.size), pattern(seed, number))

    def wrote(self, guest, name, seed, count):
        """That guest said that so many blocks are durable."""
        self.contents[name].wrote(seed, self.durable.get(guest, 0), count)
        self.durable[guest] = max(count, self.durable.get(guest, 0))

    def may_upload(self, name, data):
        for at in range(0, len(data), BLOCK):
            self.contents[name].may(at // BLOCK, data[at : at + BLOCK])

    def upload(self, name, data):
        for at in range(0, len(data), BLOCK):
            self.contents[name].must(at // BLOCK, data[at : at + BLOCK])

    def may_discard(self, name):
        for index in list(self.contents[name].blocks):
            self.contents[name].may(index, ZERO)

    def discard(self, name):
        self.contents[name].blocks.clear()

    # ---- comparison ----

    def differences(self, seen):
        """What the API tells otherwise: lines of text."""
        lines = []
        for kind in ("volumes", "guests", "images", "tokens", "apps"):
            wanted, there = getattr(self, kind), getattr(seen, kind)
            for name in sorted(wanted.keys() | there.keys()):
                if name not in there:
                    lines.append(f"{kind}/{name} is missing")
                elif name not in wanted:
                    lines.append(f"{kind}/{name} should not be there")
                elif wanted[name] != there[name]:
                    lines.append(f"{kind}/{name} is {there[name]} instead of {wanted[name]}")
        if self.formatted != seen.formatted:
            lines.append(f"the disk is {'' if seen.formatted else 'not '}formatted")
        return lines


# What is compared of the API's objects.
VOLUME_FIELDS = ("kind", "size_bytes", "copy_of", "labels")
TOKEN_FIELDS = ("role", "scope", "expires_at")
APP_UNDERWAY = ("changing", "deleting")
SPEC_FIELDS = ("image", "args", "volumes", "files", "desired_state", "start_after")


def settled(api):
    """The world as the API tells it when what was left to do of apps is done."""
    seen = observe(api)
    if seen.unsettled:
        skep.wait_for(lambda: not observe(api).unsettled, "; ".join(seen.unsettled))
        seen = observe(api)
    return seen


def observe(api):
    """The world as the API tells it."""
    seen = World()
    apps = api.ok("GET", "/v1/apps")["items"]  # first: what follows is as those that are settled have made it
    (disk,) = api.ok("GET", "/v1/disks")["items"]
    assert disk["state"] in ("online", "unformatted"), f"the disk is {disk['state']}: {disk}"
    seen.formatted = disk["state"] == "online"
    for item in api.ok("GET", "/v1/volumes")["items"]:
        seen.volumes[item["name"]] = {key: item[key] for key in VOLUME_FIELDS}
        assert item["status"]["state"] == "online", item
    for item in api.ok("GET", "/v1/images")["items"]:
        seen.images[item["name"]] = {key: item[key] for key in ("digest", "labels")}
    for item in api.ok("GET", "/v1/tokens")["items"]:
        seen.tokens[item["name"]] = {key: item[key] for key in TOKEN_FIELDS}
    for item in api.ok("GET", "/v1/guests")["items"]:
        # Lists leave out what files contain.
        spec = api.ok("GET", f"/v1/guests/{item['name']}")["spec"] if item["spec"]["files"] else item["spec"]
        seen.guests[item["name"]] = {key: spec[key] for key in SPEC_FIELDS}
    for item in apps:
        status = item["status"]
        seen.apps[item["name"]] = {
            "labels": item["labels"],
            "guests": {name: seen.guests.get(name) for name in status["guests"]},
            "volumes": {name: seen.volumes.get(name) for name in status["volumes"]},
        }
        if status["state"] in APP_UNDERWAY:
            seen.unsettled.append(f"apps/{item['name']} is still {status['state']}: {status['error']}")
    return seen
