"""Guests' files: ext4 on volumes, seen from inside the guest, and by ordinary tools from outside."""

import contextlib
import subprocess

import pytest

import helpers
import skep

MIB = 1 << 20


@pytest.fixture(scope="module")
def machine(folder, tmp_path_factory):
    """A Skep with a formatted disk."""
    disk = tmp_path_factory.mktemp("files") / "disk.img"
    with open(disk, "wb") as file:
        file.truncate(256 * MIB)
    with skep.Machine(folder / "files", elf=skep.build_exists(), disks=[disk], cpus=2) as machine:
        machine.wait_api().ok("PUT", "/v1/disks/0", json={"format": True})
        yield machine
        machine.check_alive()


@contextlib.contextmanager
def volume(api, name, size=32 * MIB):
    api.ok("PUT", f"/v1/volumes/{name}", json={"size_bytes": size})
    try:
        yield name
    finally:
        helpers.clear(api)


def run(api, name, *args, program="guest_files", vcpus=1, **mount):
    """Runs a program that tests files, with the volume."""
    mounted = {"name": name, "mount": "/data", **mount}
    elf = helpers.guest_program(program)
    status, text = helpers.run_to_end(api, "files", elf, args, 16 * MIB, volumes=[mounted], vcpus=vcpus)
    api.delete_guest("files")
    return status, text


def command(*words):
    """A tool's output; its exit code must be 0."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def exported(api, name, path):
    path.write_bytes(api.ok("GET", f"/v1/volumes/{name}/data"))
    return path


def test_posix_calls_on_a_new_volume(machine, tmp_path):
    api = machine.api
    with volume(api, "fresh"):
        status, text = run(api, "fresh", format=True)
        assert status["state"] == "exited" and status["exit_code"] == 0, (text, status)
        assert text.endswith("files: ok\n")
        # Again, on what the first one left.
        status, text = run(api, "fresh", format=True)
        assert status["exit_code"] == 0 and text.endswith("files: ok\n"), (text, status)
        command("/sbin/e2fsck", "-fn", exported(api, "fresh", tmp_path / "fresh.img"))


@pytest.mark.parametrize("vcpus", [1, 2])
def test_threads_use_one_volume(machine, tmp_path, vcpus):
    api = machine.api
    with volume(api, "threads"):
        status, text = run(api, "threads", program="filethreads", vcpus=vcpus, format=True)
        assert status["state"] == "exited" and status["exit_code"] == 0, (text, status)
        assert text == "filethreads: ok\n"
        command("/sbin/e2fsck", "-fn", exported(api, "threads", tmp_path / "threads.img"))


def test_a_volume_without_files_is_refused(machine):
    api = machine.api
    with volume(api, "raw"):
        status, text = run(api, "raw")
        assert status["state"] == "exited" and status["exit_code"] == 111, (text, status)
        assert "raw: can't be mounted: there is no ext4 on it" in text


def test_linux_makes_and_checks_what_guests_use(machine, tmp_path):
    """A folder becomes a file system on Linux, goes in by the API, is worked on by a guest, and comes out well."""
    api = machine.api
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/text").write_text("from Linux\n")
    (source / "large").write_bytes(bytes(range(256)) * 4096)
    image = tmp_path / "made.img"
    command("/sbin/mke2fs", "-q", "-t", "ext4", "-d", source, image, "32M")
    with volume(api, "made"):
        answer = api.ok("PUT", "/v1/volumes/made/data", data=image.read_bytes())
        assert answer["digest"].startswith("sha256:")
        status, text = run(api, "made")
        assert status["exit_code"] == 0 and text.endswith("files: ok\n"), (text, status)
        back = exported(api, "made", tmp_path / "back.img")
        command("/sbin/e2fsck", "-fn", back)
        assert command("/sbin/debugfs", "-R", "cat /deep/er/text", back) == "from Linux\n"
        dumped = tmp_path / "large"
        command("/sbin/debugfs", "-R", f"dump /large {dumped}", back)
        assert dumped.read_bytes() == (source / "large").read_bytes()


@contextlib.contextmanager
def mounted_by_linux(image, folder):
    """What the kernel of this host makes of an image."""
    folder.mkdir()
    command("/bin/mount", "-t", "ext4", "-o", "loop", image, folder)
    try:
        yield folder
    finally:
        command("/bin/umount", folder)


def may_mount(tmp_path):
    """Whether this host lets us: only root may, and not in every container."""
    empty = helpers.disk_image(tmp_path, "empty", MIB)
    command("/sbin/mke2fs", "-q", "-t", "ext4", empty)
    try:
        with mounted_by_linux(empty, tmp_path / "tried"):
            return True
    except AssertionError:
        return False


def test_linux_mounts_what_guests_use(machine, tmp_path):
    """Its kernel reads what a guest has written, and writes to it, and a guest goes on with that."""
    api = machine.api
    if not may_mount(tmp_path):
        pytest.skip("this host's kernel mounts nothing for us")
    with volume(api, "shared"):
        status, text = run(api, "shared", format=True)
        assert status["exit_code"] == 0, (status, text)
        back = exported(api, "shared", tmp_path / "back.img")
        listed = command("/sbin/debugfs", "-R", "ls -p /", back)
        names = {line.split("/")[5] for line in listed.splitlines() if line} - {".", ".."}
        with mounted_by_linux(back, tmp_path / "mounted") as folder:
            assert {path.name for path in folder.iterdir()} == names
            (folder / "by-linux").mkdir()
            (folder / "by-linux/text").write_text("from Linux\n" * 1000)
        command("/sbin/e2fsck", "-fn", back)
        api.ok("PUT", "/v1/volumes/shared/data", data=back.read_bytes())
        status, text = run(api, "shared")
        assert status["exit_code"] == 0 and text.endswith("files: ok\n"), (text, status)
        again = exported(api, "shared", tmp_path / "again.img")
        command("/sbin/e2fsck", "-fn", again)
        assert command("/sbin/debugfs", "-R", "cat /by-linux/text", again) == "from Linux\n" * 1000


def test_read_only_mounts(machine):
    api = machine.api
    with volume(api, "quiet"):
        assert run(api, "quiet", format=True)[0]["exit_code"] == 0
        status, text = run(api, "quiet", read_only=True)
        assert status["exit_code"] == 1 and "Read-only file system" in text, (text, status)
