"""What docs/posix.md says of the C library, compared with the library: ci/check posix."""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess

# What a guest links, by the targets that make it; newlib's libraries are found by the compile command.
TARGETS = {
    "guestlib": "guestlib/libguestlib.a",
    "libc-shim": "libc-shim/liblibc-shim.a",
    "net": "net/libnet.a",
    "lwip": "liblwip.a",
}
VOLUMES = {"files": "libc-shim/libfiles.a", "ext2fs": "libext2fs.a"}

# POSIX.1-2017 has so many interfaces in its volume of system interfaces.
POSIX_COUNT = 1191

# What each state says: that a header declares the name, that the library has it.
STATES = {
    "yes": (True, True),
    "part": (True, True),
    "fails": (True, True),
    "broken": (True, True),
    "declared": (True, False),
    "no": (False, False),
}


class Row:
    def __init__(self, part, header, names, state, note):
        self.part, self.header, self.names, self.state, self.note = part, header, names, state, note


def read_rows(document):
    """The rows of the tables below the titles "POSIX.1-2017" and "Beside POSIX"."""
    rows, problems, part = [], [], None
    for line in document.read_text().splitlines():
        if line.startswith("## "):
            part = {"POSIX.1-2017": "posix", "Beside POSIX": "beside"}.get(line[3:])
        cells = [cell.strip() for cell in line[1:-1].split("|")]
        if part is None or not line.startswith("| `<") or len(cells) != 4:
            continue
        header, state, names, note = cells
        row = Row(part, header.strip("`<>"), re.findall(r"`(\w+)`", names), state.strip(), note)
        if row.state not in STATES:
            problems.append(f"<{row.header}>: no such state: {row.state}")
        elif (row.state in ("part", "fails", "broken")) == (row.note == ""):
            problems.append(f"<{row.header}> {row.state}: a note says what differs, and only then")
        else:
            rows.append(row)
    return rows, problems


class Compiler:
    """The compiler as it compiles guests."""

    def __init__(self, build):
        self.build = build
        database = json.loads((build / "compile_commands.json").read_text())
        entry = next(e for e in database if e["file"].endswith("/ci/guests/events.c"))
        words = shlex.split(entry["command"])
        for option in ("-o", "-c", "-MF", "-MT"):
            if option in words:
                del words[words.index(option) : words.index(option) + 2]
        self.words = [w for w in words if not w.startswith("-W") and not w.endswith("ccache")]
        folders = [w for w in self.words if w.endswith("/include") and "/newlib/" in w]
        self.newlib = os.path.join(os.path.dirname(folders[0]), "lib")

    def run(self, arguments, text):
        return subprocess.run(
            [*self.words, "-w", "-fmax-errors=0", "-fdiagnostics-color=never", "-x", "c", "-", "-x", "none",
             *arguments],
            cwd=self.build, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def libraries(self, with_volumes):
        own = {**(VOLUMES if with_volumes else {}), **TARGETS}
        return [*(str(self.build / path) for path in own.values()),
                *(os.path.join(self.newlib, name) for name in ("libc.a", "libm.a"))]  # fmt: skip


def declared(compiler, header, names):
    """Which of the names the header declares."""
    lines = [f"#if __has_include(<{header}>)", f"#include <{header}>", "#endif", "void use(void)", "{"]
    place = {}
    for name in names:
        place[len(lines) + 2] = name
        lines += [f"#ifndef {name}", f"    (void)&{name};", "#endif"]
    result = compiler.run(["-fsyntax-only"], "\n".join([*lines, "}", ""]))
    at = {int(number) for number in re.findall(r"^<stdin>:(\d+):\d+: error", result.stdout, re.M)}
    if at - place.keys() or (result.returncode and not at):
        raise RuntimeError(f"<{header}> doesn't compile:\n{result.stdout}")
    return set(names) - {place[number] for number in at}


def macros(compiler, headers):
    lines = [f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in headers]
    defines = compiler.run(["-E", "-dM"], "".join(lines)).stdout
    return set(re.findall(r"^#define (\w+)", defines, re.M))


def defined(libraries):
    listed = subprocess.run(
        ["nm", "--extern-only", "--defined-only", "--format=posix", *libraries],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
    ).stdout  # fmt: skip
    return {line.split()[0] for line in listed.splitlines() if line.count(" ") >= 2}


def unresolved(compiler, names, with_volumes):
    """Links one program with all of the functions, and returns what isn't there for them, or twice."""
    result = compiler.run(
        ["-o", os.devnull, "-nostdlib", "-static-pie", "-Wl,--entry=_start", "-Wl,--undefined=_start",
         *(f"-Wl,--undefined={name}" for name in sorted(names)),
         "-Wl,--start-group", *compiler.libraries(with_volumes), "-lgcc", "-Wl,--end-group"],
        "int main(void) { return 0; }\n",
    )  # fmt: skip
    wrong = set(re.findall(r"(?:undefined reference to|multiple definition of) `(\w+)'", result.stdout))
    if result.returncode and not wrong:
        raise RuntimeError(f"a program with all functions doesn't link:\n{result.stdout}")
    return wrong


def check_row(row, there, library):
    """A sentence for each name of which the row isn't true."""
    should_be_declared, should_be_defined = STATES[row.state]
    for name in row.names:
        is_declared, is_defined = name in there, name in library
        if (is_declared, is_defined) != (should_be_declared, should_be_defined):
            found = f"{'' if is_declared else 'not '}declared, {'' if is_defined else 'not '}in the library"
            yield f"<{row.header}> {name}: \"{row.state}\", but it is {found}"


def check_counts(rows):
    names = [(row.header, name) for row in rows if row.part == "posix" for name in row.names]
    single = {name for _, name in names}
    if len(names) != POSIX_COUNT:
        yield f"POSIX.1-2017 has {POSIX_COUNT} interfaces, the table {len(names)}"
    if len(single) != len(names):
        yield f"more than once: {sorted(n for n in single if sum(n == other for _, other in names) > 1)}"


def check(document, build):
    """What is wrong, as sentences."""
    rows, problems = read_rows(document)
    compiler = Compiler(build)
    libraries = {volumes: defined(compiler.libraries(volumes)) for volumes in (False, True)}
    names = {}
    for row in rows:
        names.setdefault(row.header, []).extend(row.names)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        facts = dict(zip(names, pool.map(lambda h: declared(compiler, h, names[h]), names)))
        wanted = {n for row in rows if row.state in ("yes", "part", "fails") for n in row.names}
        links = list(pool.map(
            lambda volumes: unresolved(compiler, wanted & libraries[volumes], volumes), libraries
        ))  # fmt: skip
    as_macros = macros(compiler, names)
    for row in rows:
        problems += check_row(row, facts[row.header], libraries[False] | as_macros)
    problems += check_counts(rows)
    for wrong, volumes in zip(links, libraries):
        problems += [f"{n} is missing, or there twice, in a program with{'' if volumes else 'out'} FILESYSTEM"
                     for n in sorted(wrong)]  # fmt: skip
    return problems
