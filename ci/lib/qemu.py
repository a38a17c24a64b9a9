"""How Skep is started in QEMU: the command line, and whether KVM can be used."""

import argparse
import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
QEMU = "qemu-system-x86_64"

# User-mode networking: QEMU plays router, DHCP and DNS server of 10.0.2.0/24.
HOST_ADDRESS = "10.0.2.15"
GATEWAY = "10.0.2.2"


class Missing(Exception):
    """Something that must be there isn't; the message says what to do."""


def forward(text):
    """HOSTPORT:GUESTIP:PORT as a tuple."""
    match = re.fullmatch(r"(\d{1,5}):(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOSTPORT:GUESTIP:PORT")
    return int(match[1]), match[2], int(match[3])


# A firmware of 64 KiB whose first instructions tell QEMU to exit: mov $0x10,%al; out %al,$0xf4; hlt.
PROBE_RESET = b"\xb0\x10\xe6\xf4\xf4"
PROBE_EXIT_CODE = 0x10 << 1 | 1


@functools.cache
def kvm_works():
    """Whether a KVM guest truly runs here: a /dev/kvm that opens is not enough."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    if not re.search(r"^flags.*\b(vmx|svm)\b", flags, re.M):
        return False
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.NamedTemporaryFile(suffix=".bin") as firmware:
        firmware.write(b"\xf4" * 0xFFF0 + PROBE_RESET.ljust(16, b"\xf4"))
        firmware.flush()
        command = [
            *(QEMU, "-machine", "pc", "-accel", "kvm", "-m", "16M", "-nodefaults"),
            *("-display", "none", "-bios", firmware.name),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
        ]
        try:
            probe = subprocess.run(command, capture_output=True, timeout=10)
        except (subprocess.TimeoutExpired, OSError):
            return False
        return probe.returncode == PROBE_EXIT_CODE


def accelerator(kvm, threads):
    if kvm == "on" and not kvm_works():
        raise Missing("KVM doesn't run guests here; use --kvm auto or --kvm off")
    if kvm != "off" and kvm_works():
        return ["-accel", "kvm"]
    return ["-accel", "tcg,thread=" + ("multi" if threads > 1 else "single")]


def network(api_port, forwards, tap, queues, ipv6):
    if tap:
        several = f",queues={queues}" if queues > 1 else ""
        return f"tap,id=net0,ifname={tap},script=no,downscript=no{several}"
    rules = [(api_port, HOST_ADDRESS, 443), *forwards]
    return ("user,id=net0" if ipv6 else "user,id=net0,ipv6=off") + "".join(
        f",hostfwd=tcp:127.0.0.1:{host}-{address}:{port}" for host, address, port in rules
    )


# Of a disk's options, those that are the file's; all others are the device's.
DRIVE_OPTIONS = ("cache", "discard", "format", "readonly", "throttling.iops-total")


def file_of(disk):
    """The file that must be there for a disk; None for one that QEMU gets at in another way (nbd:unix:SOCKET)."""
    name = str(disk).split(",")[0]
    return None if re.match(r"[a-z]+:", name) else name


def disk_options(index, disk):
    """A virtio disk: FILE, or FILE,serial=X,logical_block_size=4096,readonly=on and the like."""
    name, *options = str(disk).split(",")
    drive = {"cache": "writeback", "discard": "unmap", "format": "raw"}
    device = {"disable-legacy": "on"}
    for option in options:
        key, _, value = option.partition("=")
        (drive if key in DRIVE_OPTIONS else device)[key] = value
    texts = ["".join(f",{key}={value}" for key, value in some.items()) for some in (drive, device)]
    return [
        *("-drive", f"if=none,id=disk{index},file={name}{texts[0]}"),
        *("-device", f"virtio-blk-pci,drive=disk{index}{texts[1]}"),
    ]


def command(
    elf=ROOT / "build/skep.elf",
    memory="512M",
    cpus=2,
    api_port=8443,
    forwards=(),
    token=None,
    disks=(),
    kvm="auto",
    tap=None,
    queues=1,
    ipv6=True,
    config=None,
    append="",
    extra=(),
    serial="stdio",
    reboot=False,
    machine="q35",
):
    """QEMU's command line; raises Missing when it couldn't be run. queues: pairs that the network card has; the tap must have
    been made with `multi_queue` for more than one."""
    if not shutil.which(QEMU):
        raise Missing(f"{QEMU} is not installed: run ci/deps --packages")
    for file, remedy in (
        (elf, "build it: cmake --preset release && cmake --build --preset release"),
        (config, "name a JSON file"),
        *((file_of(disk), "create it: truncate -s 1G FILE") for disk in disks),
    ):
        if file and not pathlib.Path(file).is_file():
            raise Missing(f"{file} doesn't exist; {remedy}")
    words = [append] if append else []
    if token:
        words.append(f"token={token}")
    # Two interrupts for each pair of queues, one for the control queue, one for the configuration.
    pairs = f",mq=on,vectors={2 * queues + 2}" if queues > 1 else ""
    # Counting instructions, QEMU has its CPUs take turns in one thread.
    threads = 1 if "-icount" in extra else cpus
    line = [
        *(QEMU, "-machine", machine, "-cpu", "max", *accelerator(kvm, threads)),
        *("-m", memory, "-smp", str(cpus), "-kernel", str(elf)),
        *(() if reboot else ("-no-reboot",)),
        *("-nodefaults", "-display", "none", "-serial", serial),
        *("-netdev", network(api_port, forwards, tap, queues, ipv6)),
        *("-device", f"virtio-net-pci,disable-legacy=on,netdev=net0{pairs}"),
    ]
    if words:
        line += ["-append", " ".join(words)]
    if config:
        line += ["-initrd", str(config)]
    for index, disk in enumerate(disks):
        line += disk_options(index, disk)
    return line + list(extra)
