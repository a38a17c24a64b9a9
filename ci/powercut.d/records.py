"""A volume with a file system, in which ci/guests/records.c keeps records: what e2fsprogs says of it."""

import pathlib
import subprocess
import tempfile

import world

FOLDERS, FILES, STEP = 3, 7, 8
FORMATTED = slice(0, world.BLOCK)  # zeroes there: the guest has not made a file system yet


def tool(image, name, *words):
    """Its exit code and what it says."""
    done = subprocess.run(
        [f"/sbin/{name}", *words, image], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


class Files:
    """In place of a Content: blocks mean nothing here."""

    def __init__(self, size, seed=0, count=0):
        self.size, self.seed, self.count = size, seed, count

    def copy(self, size=None):
        return Files(size or self.size, self.seed, self.count)

    def wrote(self, seed, first, count):
        self.seed, self.count = seed, max(count, self.count)

    def problem(self, data):
        """What is wrong with it after Linux' own tool has replayed the journal, or None."""
        if len(data) != self.size:
            return f"{len(data)} bytes instead of {self.size}"
        if not any(data[FORMATTED]):
            return self.count and f"it has no file system, and {self.count} durable records should be in it"
        with tempfile.TemporaryDirectory() as folder:
            image = pathlib.Path(folder) / "image"
            image.write_bytes(data)
            # 1: it has replayed the journal, and may have freed what had no name any more. Nothing else was to be mended.
            for words, codes in ((("-fp",), (0, 1)), (("-fn",), (0,))):
                code, said = tool(image, "e2fsck", *words)
                if code not in codes:
                    return f"e2fsck {words[0]} ends with {code}: {said}"
            return self._records_problem(image, pathlib.Path(folder))

    def _records_problem(self, image, folder):
        if self.count == 0:
            return None
        tool(image, "debugfs", "-R", f"rdump / {folder}")
        for number in range(self.count):
            path = folder / f"d{number % FOLDERS}/f{number % FILES}"
            at = number // (FOLDERS * FILES) * world.BLOCK
            there = path.read_bytes()[at : at + world.BLOCK] if path.is_file() else b""
            if there != world.pattern(self.seed, number):
                return f"record {number} of {self.count} that are durable is not in {path.relative_to(folder)}"
        current = folder / "current"
        said = int(current.read_text()) if current.is_file() else 0
        if said < self.count // STEP * STEP:
            return f"'current' says {said}, and {self.count} records are durable"
        return None
