"""Takes ring 0's checks away, one at a time, in a copied tree, and looks whether the named test notices.

ci/hostile.d/mutants has an entry for each check:

    [name]
    file hv/core/hypercall.c
    in control_entry                 the function, when the text stands more than once in the file (optional)
    old if (!call->guest->is_control) {
    new if (false) {
    test hostile hypercalls/control-calls        or: test unit test_hypercall

`\\n` stands for the end of a line.

A mutant whose test passes all the same has survived: a test is missing.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import time

import skep

LIST = skep.ROOT / "ci/hostile.d/mutants"
COPY = skep.ROOT / "build-mutants"
BUILD_SECONDS = 600
TEST_SECONDS = 150

# For ci/test: unit tests, which build in seconds and need no booted machine.
SAMPLE = 6


@dataclasses.dataclass
class Mutant:
    name: str
    file: str = ""
    function: str = ""
    old: str = ""
    new: str = ""
    test: str = ""

    def apply(self, text):
        """The file's text without the check. ValueError when the check isn't there, or is there twice."""
        start, end = 0, len(text)
        if self.function:
            found = re.search(rf"^\w[^\n]*\b{self.function}\([^;{{]*\)\n{{.*?^}}", text, re.M | re.S)
            if not found:
                raise ValueError(f"there is no {self.function}() in {self.file}")
            start, end = found.span()
        part = text[start:end]
        if part.count(self.old) != 1:
            raise ValueError(f"{part.count(self.old)} times in {self.file}: {self.old}")
        return text[:start] + part.replace(self.old, self.new) + text[end:]


def read_list():
    mutants = []
    for line in LIST.read_text().splitlines():
        if match := re.fullmatch(r"\[([\w-]+)\]", line):
            mutants.append(Mutant(match[1]))
        elif match := re.fullmatch(r"(file|in|old|new|test) (.*)", line):
            key = "function" if match[1] == "in" else match[1]
            setattr(mutants[-1], key, match[2].replace("\\n", "\n"))
        elif line and not line.startswith("#"):
            raise ValueError(f"{LIST}: what is this? {line}")
    for mutant in mutants:
        if not (mutant.file and mutant.old and mutant.test):
            raise ValueError(f"{LIST}: [{mutant.name}] has no file, old or test")
    return mutants


class Failed(Exception):
    """Something that must work didn't; the message has the end of its output."""


def command(words, seconds):
    try:
        result = subprocess.run(
            words, cwd=COPY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words)}: not within {seconds} s") from None
    if result.returncode:
        raise Failed(f"{' '.join(words)}:\n{result.stdout[-1500:]}")
    return result.stdout


class Tree:
    """The copy: its sources are the project's own, but for the mutant's."""

    def __init__(self):
        self.configured = set()

    def copy(self):
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=skep.ROOT, text=True, capture_output=True, check=True,
        ).stdout  # fmt: skip
        COPY.mkdir(exist_ok=True)
        for name in sorted(set(listed.splitlines())):
            source, target = skep.ROOT / name, COPY / name
            if source.is_file() and not (
                target.is_file() and target.read_bytes() == source.read_bytes()
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    def configure(self, preset):
        if preset not in self.configured:
            command(["cmake", "--preset", preset, "-DSKEP_WERROR=OFF"], BUILD_SECONDS)
            self.configured.add(preset)

    def build(self, mutant):
        kind, name = mutant.test.split()
        preset, targets = ("host", [name]) if kind == "unit" else ("release", ["all"])
        self.configure(preset)
        folder = "build-host" if kind == "unit" else "build"
        command(["cmake", "--build", folder, "--parallel", str(os.cpu_count()), "--target", *targets], BUILD_SECONDS)

    def test(self, mutant):
        kind, name = mutant.test.split()
        if kind == "unit":
            command(["ctest", "--preset", "host", "-R", f"^{name}$"], TEST_SECONDS)
        else:
            command(["ci/hostile", "-k", name, "--pti", "off", "--patience", "20"], TEST_SECONDS)


def outcome_of(tree, mutant):
    """None when the mutant was killed, else what went wrong."""
    path = COPY / mutant.file
    original = path.read_text()
    try:
        path.write_text(mutant.apply(original))
        tree.build(mutant)
        try:
            tree.test(mutant)
        except Failed:
            return None
        return f"survived {mutant.test}"
    except (ValueError, Failed) as problem:
        return f"no mutant: {problem}"
    finally:
        path.write_text(original)


def check_clean(tree, mutants):
    """The named tests pass as long as nothing is taken away; else they would kill anything."""
    for test in sorted({mutant.test for mutant in mutants}):
        clean = Mutant("clean", test=test)
        tree.build(clean)
        tree.test(clean)


def choose(mutants, words, amount):
    chosen = [m for m in mutants if not words or any(word in f"{m.name} {m.file}" for word in words)]
    if amount == "sample":
        units = [mutant for mutant in chosen if mutant.test.startswith("unit ")]
        return units[:: max(1, len(units) // SAMPLE)][:SAMPLE]
    return chosen if amount == "all" else chosen[: int(amount)]


def check_apply(mutants, results):
    """A check that has moved is told of, whichever mutants are chosen."""
    for mutant in mutants:
        try:
            mutant.apply((skep.ROOT / mutant.file).read_text())
        except ValueError as problem:
            results.add(f"mutant {mutant.name}", f"no mutant: {problem}")


def run(words, amount, results):
    mutants = read_list()
    check_apply(mutants, results)
    chosen = choose(mutants, words, amount)
    tree = Tree()
    tree.copy()
    try:
        check_clean(tree, chosen)
    except Failed as problem:
        results.add("without a mutant", str(problem))
        return
    print(f"{len(chosen)} mutants; without one, their tests pass", flush=True)
    for mutant in chosen:
        begin = time.monotonic()
        problem = outcome_of(tree, mutant)
        results.add(f"mutant {mutant.name}", problem)
        if not problem:
            print(f"{mutant.name:40} killed by {mutant.test} {time.monotonic() - begin:6.1f} s", flush=True)
