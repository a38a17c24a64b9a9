"""ci/bench profile --only speedtest1, lua or qjs: where the instructions of a program that computes go, by function, as a
guest and in Linux.

The machines and the work are those of ci/bench ports. All that runs beside is counted, too: ring 0 and the control
service, which makes the guest and deletes it; Linux' kernel and the shell that starts the program.
"""

import functools
import pathlib
import subprocess

import linux
import ports
import profiles
import skep

WORKS = {name.split()[0]: work for name, work in ports.WORKS.items() if not work.volume}
KERNEL = 1 << 63
# Where Linux has a program that may lie anywhere, unless it draws by lot (ELF_ET_DYN_BASE, page-aligned).
PIE_BASE, PIE_END = 0x555555554000, 0x560000000000
SAME_PLACES = {"/start": b"echo 0 > /proc/sys/kernel/randomize_va_space\n"}


class Native(profiles.Program):
    """The program in Linux."""

    def function(self, address, code):
        return super().function(address - PIE_BASE if PIE_BASE <= address < PIE_END else address, code)

    @staticmethod
    def inside(address):
        return address


class Rest:
    """What nothing else has, between two addresses."""

    def __init__(self, name, first, end):
        self.name, self.range = name, range(first, end)

    def function(self, address, code):
        return ("all of it", False) if address in self.range else None


class ProfiledLinux(linux.Linux):
    def __init__(self, folder, *arguments, **options):
        self.profile = profiles.Profile(pathlib.Path(folder))
        super().__init__(folder, *arguments, extra=self.profile.options, **options)


def profile_of(programs, profile, run):
    """The second run's: the first has Linux load the program, and ring 0 store the image."""
    ports.found(run())
    before = profile.blocks()
    said = run()
    return ports.found(said)[1], profiles.by_function(programs, before, profile.blocks())[0]


def here(work, folder):
    programs = [
        profiles.Program("ring 0", skep.build_exists()),
        profiles.Program(work.program, work.elf),
        profiles.Program("control", skep.BUILD / "hv/control/skep-control.elf"),
    ]
    disk = ports.disk_image(folder / "skep.img")
    with profiles.ProfiledMachine(folder / "skep", disks=[disk], memory=ports.MEMORY) as machine:
        return profile_of(programs, machine.profile, ports.SkepSide(machine, work).run)


def there(work, folder):
    programs = [Native(work.program, work.native), Rest("libraries", 0, KERNEL), Rest("kernel", KERNEL, KERNEL * 2)]
    disk = ports.disk_image(folder / "linux.img")
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", disk], check=True)
    files = SAME_PLACES | ({f"/{work.script}": work.text.encode()} if work.script else {})
    modules = [*linux.VIRTIO, *linux.DISK]
    options = {"memory": ports.MEMORY, "cpus": 1, "disks": [disk]}
    with ProfiledLinux(folder / "linux", modules, [work.native], files, **options) as machine:
        return profile_of(programs, machine.profile, ports.LinuxSide(machine, work).run)


def rows(name, work, table, folder):
    ports.check_built(work)
    folder = pathlib.Path(folder) / name
    computed, ours = here(work, folder)
    expected, theirs = there(work, folder)
    assert computed == expected, f"it computed {computed} here and {expected} in Linux"
    for side, totals in (("Skep", ours), ("Linux", theirs)):
        profiles.add_totals(table, f"{name}, {side}", totals)
    ratio = sum(ours.values()) / sum(theirs.values())
    table.add(f"{name}, Skep : Linux", round(ratio, 3), "times")


def sections():
    return {name: functools.partial(rows, name, work) for name, work in WORKS.items()}
