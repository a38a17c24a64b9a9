"""A disk for attackers' volumes: each gets a clone of one volume, and that one to read; others' must stay as they are."""

import random

MIB = 1 << 20
DISK_BYTES = 192 * MIB
BASE_BYTES = 2 * MIB
CLONE_BYTES = 4 * MIB + 4096  # its last chunk is not a whole one
BASE, VICTIM = "base", "victim"


class Storage:
    """The disk of a machine under attack."""

    def __init__(self, folder):
        self.path = folder / "disk.img"
        self.api, self.before = None, {}
        folder.mkdir(parents=True, exist_ok=True)
        with open(self.path, "wb") as file:
            file.truncate(DISK_BYTES)

    def remove(self):
        self.path.unlink()

    def begin(self, api):
        """Formats the disk, and makes the volumes that attackers must not change."""
        self.api = api
        api.ok("PUT", "/v1/disks/0", json={"format": True})
        for name in (BASE, VICTIM):
            api.ok("PUT", f"/v1/volumes/{name}", json={"size_bytes": BASE_BYTES})
            self.before[name] = random.randbytes(BASE_BYTES)
            api.ok("PUT", f"/v1/volumes/{name}/data", data=self.before[name], timeout=60)
        # The victim shares its chunks, and so has a reason to be copied from.
        api.ok("PUT", f"/v1/volumes/{VICTIM}-snapshot", json={"snapshot_of": VICTIM})

    def give(self, guest):
        """The volumes of a guest's spec; the first one has its name."""
        self.api.ok("PUT", f"/v1/volumes/{guest}", json={"clone_of": BASE, "size_bytes": CLONE_BYTES})
        return [{"name": guest}, {"name": BASE, "read_only": True}]

    def take(self, guest):
        self.api.ok("DELETE", f"/v1/volumes/{guest}")

    def check(self):
        """Raises AssertionError when something is on the disk that shouldn't be, or isn't as it was."""
        names = {volume["name"] for volume in self.api.ok("GET", "/v1/volumes")["items"]}
        assert names == {BASE, VICTIM, f"{VICTIM}-snapshot"}, names
        for name in names:
            data = self.api.ok("GET", f"/v1/volumes/{name}/data", timeout=60)
            assert data == self.before[name.removesuffix("-snapshot")], f"volume {name} was changed"
        disk = self.api.ok("GET", "/v1/disks/0")
        assert disk["state"] == "online" and not disk["damage"] and not disk["errors"], disk
