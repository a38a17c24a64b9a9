"""Guests that make as much work as they can, and what a neighbour feels of it.

The machine has one CPU whose clock goes by instructions (-icount), so that a time is a number of instructions. The
neighbour sleeps until a moment, over and over, then does as much as a web server does for a request, and says how late
it woke and how late it was done. The latter's 99th percentile may be twice that of a quiet machine.

While a CPU is halted QEMU's clock goes by the host's, so one guest of the least weight spins throughout. Nothing is asked
of the API while a measurement lasts, since answering is work.
"""

import re

import attacks
import skep

SLACK = 2
P99 = 2
SECONDS = 120  # that a measurement may take on this host


def measure(session, beside):
    """The percentiles that the neighbour tells of its wake-ups and of its responses, in instructions."""
    machine = session.machine
    # A new one each time: ring 0 logs four crashes of one name in ten seconds, and all of this takes fewer.
    neighbour = f"latency-{beside}"
    session.start(neighbour, "floods", ("latency",), memory_bytes=2 * attacks.MIB)

    def ended():
        machine.check_alive()
        return f"guest {neighbour}: crashed: abort" in machine.serial_text()

    try:
        skep.wait_for(ended, "the neighbour has measured", SECONDS)
    finally:
        _, text = session.end(neighbour)
    found = re.findall(r"^(delays|responses) p50=(\d+) p90=(\d+) p99=(\d+) max=(\d+)$", text, re.M)
    assert len(found) == 2, f"the neighbour didn't measure: {text!r}"
    return {what: [int(number) for number in numbers] for what, *numbers in found}


def show(title, times):
    numbers = [*times["delays"], *times["responses"]]
    print(f"{title:24}" + "".join(f"{number:8}" for number in numbers), flush=True)


def flood(session, attack):
    restart = "always" if attack.name == "crashes" else "never"
    session.start("flood", attack.program, (attack.name,), restart=restart, **attack.spec)

    def begun():
        """It runs, or has run and been started again; what it said first may have been pushed out of its log."""
        status = session.api.status("flood")
        assert restart == "always" or status["state"] == "running", f"the flood is over: {status['crash']}"
        return status["cpu_time_ns"] > 2000000 or status["restarts"]

    skep.wait_for(begun, f"{attack.name} begins")


def slack_of(attack):
    """SLACK, unless the row says that it is known to be worse: `flood slack=N`."""
    _, _, slack = attack.expect.partition(" slack=")
    return int(slack or SLACK)


def judged(session, attack, quiet):
    try:
        flood(session, attack)
        times = measure(session, attack.name)
        state = session.api.status("flood")["state"]
    finally:
        session.delete("flood")
    show(attack.title, times)
    if attack.name != "crashes" and state != "running":
        raise AssertionError(f"the flood was over: {state}")
    now, before = times["responses"][P99], quiet["responses"][P99]
    if now > slack_of(attack) * before:
        raise AssertionError(f"p99 of the responses is {now}, a quiet machine's is {before}")


def run(session, chosen, results):
    print("instructions until       woken: p50     p90     p99     max done:p50     p90     p99     max")
    session.start("spinner", "floods", ("spin",), memory_bytes=2 * attacks.MIB, weight=1)
    measure(session, "first")  # the first of everything is slower
    quiet = measure(session, "quiet")
    show("quiet", quiet)
    for attack in chosen:
        problem = None
        try:
            judged(session, attack, quiet)
        except AssertionError as error:
            session.machine.check_alive()
            problem = str(error)
        results.add(attack.title, problem)
