"""The attacks that guests make, read from their sources, and how each must end."""

import dataclasses
import json
import pathlib
import re
import shlex

import skep

GUESTS = skep.ROOT / "ci/hostile.d/guests"
MIB = 1 << 20
ADDRESSES = ("10.0.2.30", "10.0.2.31")  # of an attacker's two network devices

# Ends that ring 0 chose for what a hypercall or a queue said; all others are the CPU's own faults.
BY_CALL = {"bad-hypercall", "bad-ring", "abort", "out-of-memory"}


# Rows of floods.c and blockfloods.c, which don't end by themselves.
FLOODS = {"flood", "measure"}


class Wrong(AssertionError):
    """An attack did not end as it must."""


@dataclasses.dataclass
class Attack:
    program: str
    name: str  # the guest's argument
    function: str  # that makes it
    expect: str
    exact: bool  # the function begins with the attacking instruction
    spec: dict
    number: int = None  # among repetitions, and the argument of each
    random: int = None  # amount of random work, with a seed before it

    @property
    def title(self):
        return f"{self.program}/{self.name}" + ("" if self.number is None else f"-{self.number}")

    def arguments(self, seed):
        """The program's arguments behind the attack's name."""
        if self.random is not None:
            return [(seed + (self.number or 0)) % (1 << 32), self.random]
        return [] if self.number is None else [self.number]


def options_of(source):
    """The spec that a source's header asks for: a line ` * guest: memory=8 vcpus=2 network volumes`."""
    line = re.search(r"^ \* guest: (.*)$", source, re.M)
    words = dict(word.partition("=")[::2] for word in shlex.split(line[1])) if line else {}
    spec = {"memory_bytes": int(words.get("memory", 2)) * MIB, "vcpus": int(words.get("vcpus", 1))}
    if "network" in words or "network6" in words:
        spec["networks"] = [{"address": f"{address}/24", "gateway": "10.0.2.2"} for address in ADDRESSES]
    if "network6" in words:
        for network, address in zip(spec["networks"], ("fd5e::30/64", "auto")):
            network["address6"] = address
    if "volumes" in words:
        spec["volumes"] = True  # which, is known when it starts: Session.start()
    return spec


def repeated(attack):
    """The attacks of a row: `15x` stands for one with each of the arguments 0 to 14, `random=N` for seed and N."""
    match = re.fullmatch(r"(?:(\d+)x )?(?:random=(\d+) )?(.*)", attack.expect)
    attack.expect = match[3]
    attack.random = int(match[2]) if match[2] else None
    if not match[1]:
        yield attack
    for number in range(int(match[1] or 0)):
        yield dataclasses.replace(attack, number=number)


def attacks_of(program):
    source = (GUESTS / f"{program}.c").read_text()
    spec = options_of(source)
    table = source[source.index("const struct attack attacks[]") :]
    for name, function, expect in re.findall(
        r'\{"([\w-]+)",\s*(\w+),\s*"([^"]+)"\s*\}', table
    ):
        yield from repeated(Attack(program, name, function, expect, False, spec))
    for name, expect in re.findall(r'^\s*TRY\((\w+), "([^"]+)"', source, re.M):
        yield Attack(program, name, name, expect, True, spec)


def all_attacks():
    for path in sorted(GUESTS.glob("*.c")):
        if "const struct attack attacks[]" in path.read_text():
            yield from (attack for attack in attacks_of(path.stem) if attack.expect.split()[0] not in FLOODS)


def all_floods():
    programs = ("floods", "blockfloods")
    return [attack for name in programs for attack in attacks_of(name) if attack.expect.startswith("flood")]


def names_function(line, name):
    return re.search(rf" {re.escape(name)}\+0x", line) is not None


def check_place(attack, crash, words):
    """Whether the record says that it was this attack."""
    trace = crash["backtrace"]
    function = next((word[3:] for word in words if word.startswith("at=")), attack.function)
    if "lost" in words:
        return
    if crash["reason"] in BY_CALL:
        good = any(names_function(line, function) for line in trace)
    elif attack.exact and not {"near", "calls"} & set(words):
        good = trace[0].endswith(f" {function}+0x0")
    else:
        good = any(names_function(line, function) for line in trace[:2])
    if not good:
        raise Wrong(f"{function} isn't where the record says that it was: {trace}")


def said_address(text):
    return int(re.findall(r"^address (0x[0-9a-f]+)$", text, re.M)[-1], 16)


def matches(attack, status, text, alternative):
    """Whether the guest ended like this; raises Wrong when it did but the record has it otherwise."""
    reason, *words = alternative.split()
    if reason == "exit":
        return status["state"] == "exited" and status["exit_code"] == 0
    crash = status["crash"]
    if status["state"] != "crashed" or crash["reason"] != reason:
        return False
    for word in words:
        key, _, value = word.partition("=")
        if key in ("address", "error"):
            wanted = said_address(text) if value == "said" else int(value, 0)
            if int(crash[key], 16) != wanted:
                return False
    check_place(attack, crash, words)
    return True


def check(attack, status, text):
    """Raises Wrong unless the attack was made and ended as its row says."""
    if f"attack: {attack.name}\n" not in text:
        raise Wrong(f"it was never made: {text!r} {json.dumps(status)}")
    survived = f"survived: {attack.name}\n" in text
    if survived != (status["state"] == "exited" and status["exit_code"] == 0):
        raise Wrong(f"it ended unlike it said: {text!r} {json.dumps(status)}")
    if not any(matches(attack, status, text, way) for way in attack.expect.split(" | ")):
        raise Wrong(f"expected {attack.expect}: {text!r} {json.dumps(status)}")
