"""The control service's share of a busy machine: what GET /healthz takes in virtual time, quiet and busy.

The machine's clock goes by instructions, so time is what all of them together execute between the interrupt that
brings the request and the card's kick that sends the last of the answer.
"""

import statistics
import time

import density
import latency
import skep
from counter import ADDRESS, CountedMachine

REQUESTS = 40
GOAL_PERCENT = 120


def answer_time(machine, api, kick):
    """Of one request on the open connection."""
    first = machine.counter.hit_count()
    assert api.get("/healthz").status_code == 200
    begin = end = None
    for point, counts in machine.counter.hits(first):
        if point < kick:
            begin = begin or counts
        elif begin:
            end = counts
    return (end - begin) if begin and end else None


def answer_times(machine, api, kick):
    spans = []
    for _ in range(REQUESTS):
        span = answer_time(machine, api, kick)
        spans += [span] if span else []
        time.sleep(0.01)  # some turns of the busy guests
    return spans


def wait_all_run(machine, api, busy):
    """Until each of them has had the CPU."""

    def ran():
        return all(api.status(density.name_of(i))["cpu_time_ns"] > 0 for i in range(busy))

    skep.wait_for(ran, "all busy guests run", 120)


def rows(guests, table, folder):
    busy = guests // 4
    points = latency.device_points(latency.build_symbols())
    kick = len(points) + 1
    points.append(f"at={latency.build_symbols().addresses['net_kick']:#x}")
    with CountedMachine(
        folder / "reservation",
        points=points,
        memory=density.memory_option(guests),
        append=ADDRESS,
    ) as machine:
        api = machine.wait_api()
        api.upload("stay", skep.BUILD / "guests/stay.elf")
        api.upload("loop", skep.BUILD / "guests/loop.elf")
        for index in range(guests):
            image, state = ("loop", "paused") if index < busy else ("stay", "running")
            density.create(api, index, image=image, desired_state=state)
        machine.settle()
        quiet = answer_times(machine, api, kick)
        for index in range(busy):
            wish = {"desired_state": "running"}
            api.ok("PATCH", f"/v1/guests/{density.name_of(index)}", json=wish)
        wait_all_run(machine, api, busy)
        loaded = answer_times(machine, api, kick)
        table.add_spans(f"GET /healthz, {guests:,} guests, quiet", quiet)
        table.add_spans(f"GET /healthz, {guests:,} guests, {busy:,} of them busy", loaded)
        both = [statistics.median(span.total for span in spans) for spans in (quiet, loaded)]
        table.add("busy against quiet", round(100 * both[1] / both[0], 1), "%", GOAL_PERCENT)
        machine.check_alive()

