"""Counts lines of C and assembly without blanks and comments."""

import re

import qemu

# Strings and characters are matched so that a comment's opening inside of one isn't taken for it.
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)


def code_lines(text):
    def blank(match):
        token = match[0]
        return "\n" * token.count("\n") if token.startswith("/") else token

    return sum(1 for line in TOKEN.sub(blank, text).splitlines() if line.strip())


def of_files(files):
    return sum(code_lines(file.read_text()) for file in files)


def sources(*folders):
    return sorted(
        file
        for folder in folders
        for suffix in ("*.c", "*.h", "*.S", "*.s")
        for file in (qemu.ROOT / folder).rglob(suffix)
    )


def ring0():
    return of_files(sources("hv/arch/x86_64", "hv/core", "hv/io") + [qemu.ROOT / "hv/arch/arch.h"])


def drivers():
    """Lines of each driver, its header included; what several share counts as one of its own."""
    counts = {}
    for file in sources("hv/drivers"):
        name = file.relative_to(qemu.ROOT / "hv/drivers").with_suffix("").parts[0]
        counts[name] = counts.get(name, 0) + of_files([file])
    return counts
