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


def network(api_port, forwards, tap):
    if tap:
        return f"tap,id=net0,ifname={tap},script=no,downscript=no"
    rules = [(api_port, HOST_ADDRESS, 443), *forwards]
    return "user,id=net0" + "".join(
        f",hostfwd=tcp:127.0.0.1:{host}-{address}:{port}" for host, address, port in rules
    )


def command(
    elf=ROOT / "build/skep.elf",
    memory="512M",
    cpus=2,
    api_port=8443,
    forwards=(),
    token=None,
    disk=None,
    kvm="auto",
    tap=None,
    config=None,
    append="",
    extra=(),
    serial="stdio",
    reboot=False,
    machine="q35",
):
    """QEMU's command line; raises Missing when it couldn't be run."""
    if not shutil.which(QEMU):
        raise Missing(f"{QEMU} is not installed: run ci/deps --packages")
    for file, remedy in (
        (elf, "build it: cmake --preset release && cmake --build --preset release"),
        (config, "name a JSON file"),
        (disk, "create it: truncate -s 1G FILE"),
    ):
        if file and not pathlib.Path(file).is_file():
            raise Missing(f"{file} doesn't exist; {remedy}")
    words = [append] if append else []
    if token:
        words.append(f"token={token}")
    # Counting instructions, QEMU has its CPUs take turns in one thread.
    threads = 1 if "-icount" in extra else cpus
    line = [
        *(QEMU, "-machine", machine, "-cpu", "max", *accelerator(kvm, threads)),
        *("-m", memory, "-smp", str(cpus), "-kernel", str(elf)),
        *(() if reboot else ("-no-reboot",)),
        *("-nodefaults", "-display", "none", "-serial", serial),
        *("-netdev", network(api_port, forwards, tap)),
        *("-device", "virtio-net-pci,disable-legacy=on,netdev=net0"),
    ]
    if words:
        line += ["-append", " ".join(words)]
    if config:
        line += ["-initrd", str(config)]
    if disk:
        line += [
            *("-drive", f"if=none,id=disk0,format=raw,file={disk}"),
            *("-device", "virtio-blk-pci,disable-legacy=on,drive=disk0"),
        ]
    return line + list(extra)
