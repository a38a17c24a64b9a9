"""A Linux in QEMU to compare with: Debian's kernel and programs, and a shell on its serial console."""

import json
import os
import pathlib
import shutil
import stat
import subprocess

import qemu
import skep

CACHE = pathlib.Path(os.environ.get("SKEP_CACHE") or pathlib.Path.home() / ".cache/skep") / "linux"
KERNEL = "linux-image-amd64"
BUSYBOX = "/bin/busybox"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
BOOT_SECONDS, COMMAND_SECONDS = 120, 120
ENDED = "linux: ended "

# Modules in the order in which they can be loaded; below kernel/.
VIRTIO = (
    *("drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_legacy_dev"),
    *("drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci"),
)
DISK = (
    "drivers/block/virtio_blk",
    *("lib/crc16", "crypto/crc32c_generic", "fs/mbcache", "fs/jbd2/jbd2", "fs/ext4/ext4"),
)
NETWORK = ("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net")

INIT = f"""#!/bin/busybox sh
/bin/busybox --install /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo
for module in $(cat /modules); do
    insmod /$module.ko
done
[ -e /start ] && . /start
echo 'linux: up'
while read -r line; do
    eval "$line"
    echo "{ENDED}$?"
done
"""


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def package(name):
    """The folder with what is in Debian's package, from the cache or by apt, which checks its signature."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not list(CACHE.glob(f"{name}_*.deb")):
        subprocess.run(["apt-get", "-qq", "download", name], cwd=CACHE, capture_output=True)
    packages = sorted(CACHE.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
    if not packages:
        raise qemu.Missing(f"there is no {name} to compare with: run apt-get update, or put Debian's into {CACHE}")
    return unpacked(packages[-1])


def kernel():
    """The same of Debian's current kernel."""
    try:
        depends = output("apt-cache", "depends", KERNEL).split()
        return package(next(word for word in depends if word.startswith("linux-image-6")))
    except (OSError, subprocess.CalledProcessError, StopIteration):
        return package("linux-image-6*")


def unpacked(package):
    folder = CACHE / package.name.removesuffix(".deb")
    if not folder.is_dir():
        fresh = folder.with_suffix(f".{os.getpid()}")
        subprocess.run(["dpkg-deb", "-x", str(package), str(fresh)], check=True)
        fresh.rename(folder)
    return folder


def libraries(program, folders=()):
    """The shared libraries of a program, with its loader: where they are in Linux, and here; none of one that is linked
    statically, which ldd calls a failure. folders: unpacked packages that are searched before this host."""
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join(str(folder / LIBRARIES) for folder in folders)}
    said = subprocess.run(["ldd", program], capture_output=True, text=True, env=environment).stdout
    for line in said.splitlines():
        if "not found" in line:
            raise qemu.Missing(f"{program} wants a library that isn't there: {line.strip()}")
        path = next((word for word in line.split() if word.startswith("/")), None)
        if path:
            yield path if path.startswith(("/lib", "/usr")) else f"/{LIBRARIES}/{pathlib.Path(path).name}", path


class Archive:
    """An initramfs: a cpio archive of the "newc" kind (Linux, Documentation/driver-api/early-userspace)."""

    def __init__(self):
        self.parts = []
        self.folders = set()

    def entry(self, name, mode, data=b""):
        name = name.strip("/").encode() + b"\0"
        fields = (len(self.parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self.parts.append(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    def folder(self, name):
        if name not in ("", ".", "/") and name not in self.folders:
            self.folder(str(pathlib.PurePath(name).parent))
            self.folders.add(name)
            self.entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data):
        self.folder(str(pathlib.PurePath(name).parent))
        self.entry(name, stat.S_IFREG | 0o755, data)

    def data(self):
        self.entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def installed(program, package):
    """Where the program is on this host."""
    path = shutil.which(program)
    if not path:
        raise qemu.Missing(f"run: apt-get install --no-install-recommends {package}; Linux' side needs it")
    return path


def initramfs(system, modules, programs, files, packages):
    [folder] = system.glob("lib/modules/*/kernel")
    archive = Archive()
    for name in ("/proc", "/sys", "/dev", "/tmp", "/mnt", "/bin"):
        archive.folder(name)
    archive.file("/init", INIT.encode())
    archive.file("/modules", "\n".join(modules).encode())
    for module in modules:
        archive.file(f"/{module}.ko", (folder / f"{module}.ko").read_bytes())
    needed = {BUSYBOX: installed(BUSYBOX, "busybox-static")}
    for program in programs:
        needed.update(libraries(program, [package(name) for name in packages]))
        archive.file(f"/bin/{pathlib.Path(program).name}", pathlib.Path(program).read_bytes())
    for path, source in needed.items():
        archive.file(path, pathlib.Path(source).read_bytes())
    for path, data in files.items():
        archive.file(path, data)
    return archive.data()


class Linux:
    """A context manager that ends QEMU by its pid."""

    def __init__(self, folder, modules, programs, files=None, libraries=(), **options):
        """Makes all that a boot needs. programs: paths on this host. files: data by path; /start is a script that runs
        before it is up. libraries: Debian's packages with what the programs are linked with, beside this host's."""
        self.folder = pathlib.Path(folder)
        self.serial = self.folder / "serial.log"
        self.options = options
        self.process = None
        system = kernel()
        [self.kernel] = system.glob("boot/vmlinuz-*")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "initramfs").write_bytes(initramfs(system, modules, programs, files or {}, libraries))

    def __enter__(self):
        command = qemu.command(
            elf=self.kernel,
            config=self.folder / "initramfs",
            append="console=ttyS0 quiet panic=-1",
            api_port=skep.free_ports(1)[0],
            serial="stdio",
            kvm="off",
            **self.options,
        )
        with open(self.serial, "wb") as log, open(self.folder / "qemu.log", "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=errors,
                start_new_session=True,
                preexec_fn=skep.end_with_parent,
            )
        try:
            self.wait("linux: up", 0, BOOT_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        skep.end_process(self.process)

    def said(self, begin):
        return self.serial.read_bytes()[begin:].decode(errors="replace")

    def wait(self, text, begin, seconds):
        """All that it says from there on, up to a whole line that begins with the text."""

        def there():
            said = self.said(begin)
            assert self.process.poll() is None, f"QEMU ended: {said[-2000:]}"
            _, found, rest = said.partition(text)
            return found and "\n" in rest and said

        try:
            return skep.wait_for(there, f"Linux says {text!r}", seconds, interval=0.02)
        except skep.NotInTime as error:
            raise skep.NotInTime(f"{error}; it said: {self.said(begin)[-2000:]}") from None

    def run(self, command, seconds=COMMAND_SECONDS):
        """What the command prints; it must succeed."""
        begin = self.serial.stat().st_size
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        said, _, code = self.wait(ENDED, begin, seconds).partition(ENDED)
        assert code.split()[0] == "0", f"{command}: {code}: {said[-2000:]}"
        return said

    def fio(self, **options):
        """The result of the one job, as fio's JSON has it."""
        words = [f"--{name}={value}" for name, value in options.items()]
        said = self.run(" ".join(["fio --name=job --output-format=json", *words]))
        [job] = json.loads(said[said.index("{") : said.rindex("}") + 1])["jobs"]
        assert job["error"] == 0, said
        return job
