"""ci/bench density: many small guests at once, created and deleted by the API over one connection."""

import statistics
import time

import skep
from counter import ADDRESS, CountedMachine

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
GUEST_BYTES = 2 * MIB
SAMPLES = 9
PAGE = 100  # guests of a list
GROWTH_PERCENT_MAX = 10


def machine_bytes(guests):
    """Enough for the promises of so many guests and the control service, and for the frame table."""
    return -(-(guests * GUEST_BYTES * 102 // 100 + 512 * MIB) // GIB) * GIB


def memory_option(guests):
    return f"{machine_bytes(guests) // GIB}G"


def name_of(index):
    return f"g{index}"


def create(api, index, image="stay", desired_state="running"):
    api.create(
        name_of(index), image=image, memory_bytes=GUEST_BYTES, desired_state=desired_state
    )


def create_some(api, first, end):
    for index in range(first, end):
        create(api, index)


def delete_all(api, guests):
    for index in range(guests):
        api.ok("DELETE", f"/v1/guests/{name_of(index)}")
    skep.wait_for(lambda: api.host()["counts"]["guests"] == 0, "all guests are gone")


def cost(machine, action):
    """What an action on the API costs until the machine is quiet again."""
    before = machine.wait_quiet()
    action()
    return machine.wait_quiet() - before


def create_costs(machine, api, first):
    return [cost(machine, lambda i=i: create(api, i)) for i in range(first, first + SAMPLES)]


def list_all(api, guests):
    names = [item["name"] for item in api.ok("GET", "/v1/guests")["items"]]
    assert sorted(names) == sorted(map(name_of, range(guests))), f"the list has {len(names)} guests"


def list_page(api, guests):
    """From the middle on, in the order of names."""
    middle = name_of(guests // 2)
    page = api.ok("GET", f"/v1/guests?limit={PAGE}&after={middle}")
    names = sorted(name for name in map(name_of, range(guests)) if name > middle)[:PAGE]
    assert [item["name"] for item in page["items"]] == names


def median(spans, key):
    return round(statistics.median(getattr(span, key) for span in spans))


def add_growth(table, name, early, late, key, goal=100 + GROWTH_PERCENT_MAX):
    percent = round(100 * median(late, key) / median(early, key), 1)
    table.add(name, percent, "%", goal, note=f": {median(early, key):,} and {median(late, key):,}")


def frames_settled(machine, api):
    machine.settle()
    return api.host()["frames"]


def add_memory(table, api, guests, before):
    """What each guest holds: of its own, of ring 0's, and of the control service's."""
    host, status = api.host(), api.status(name_of(guests - 1))
    each = {kind: (host["frames"][kind] - before[kind]) * 4 / guests for kind in before}
    table.add("memory of a guest", status["memory_used_bytes"], "bytes", 160 * KIB)
    table.add("of it ring 0's own", round(each["object"] * KIB), "bytes", 32 * KIB)
    for kind in ("pagetable", "console", "retained", "guest"):
        table.add(f"frames a guest: {kind}", round(each[kind], 2), "KiB")
    table.add("memory used in all", host["memory"]["used"], "bytes", 20 * GIB)


def add_rate(table, machine, counts_before, guests, seconds):
    counts = machine.counter.now() - counts_before
    table.add_counts("create, all told", counts, share=guests)
    table.add("creations in 10^9 instructions", round(10**9 * guests / counts.total), "guests")
    table.add("creations in a second of this host", round(guests / seconds), "guests")


def fill(table, machine, api, guests):
    """Creates all guests; the first and the last of them one by one, quietly."""
    create_some(api, 0, 10)
    early = create_costs(machine, api, 10)
    begin, before = time.monotonic(), machine.counter.now()
    create_some(api, 10 + SAMPLES, guests - SAMPLES)
    add_rate(table, machine, before, guests - 10 - 2 * SAMPLES, time.monotonic() - begin)
    late = create_costs(machine, api, guests - SAMPLES)
    table.add_spans("create, 10th", early)
    table.add_spans(f"create, {guests:,}th", late)
    add_growth(table, "ring 0's part of the last against the 10th", early, late, "ring0")
    add_growth(table, "the whole of the last against the 10th", early, late, "total")


# The control service's own memory is of these types, too. It is all that there is of them without guests, and moves
# by some pages with the connections that its threads have served, and with what its heap keeps: a page for each of eight
# guests would be seen.
CONTROLS_OWN = ("guest", "pagetable")


def add_leaks(table, before, after, guests):
    left = {kind: after[kind] - before[kind] for kind in before}
    own = sum(left[kind] for kind in CONTROLS_OWN)
    others = {
        kind: count
        for kind, count in left.items()
        if count and kind != "free" and kind not in CONTROLS_OWN
    }
    more = f": {others}" if others else ""
    table.add("frames not as before, by type", len(others), "types", 1, note=more)
    table.add("the control service's own growth", own, "frames", max(128, guests // 8))


def idle_second(machine, seconds=5):
    before = machine.calm()
    time.sleep(seconds)  # this is what is measured
    return machine.counter.now() - before


def repeat_until_level(machine, api, guests, rounds=3):
    """Creates and deletes them to no purpose until the control service's own memory grows no more, or nearly.
    Returns the frames by type then."""
    level = None
    for _ in range(rounds):
        create_some(api, 0, guests)
        api.ok("GET", "/v1/guests")
        delete_all(api, guests)
        before, level = level, frames_settled(machine, api)
        if before == level:
            break
    return level


def rows(guests, table, folder):
    with CountedMachine(
        folder / "density", memory=memory_option(guests), append=ADDRESS
    ) as machine:
        api = machine.wait_api()
        api.upload("stay", skep.BUILD / "guests/stay.elf")
        empty = frames_settled(machine, api)
        before = repeat_until_level(machine, api, guests)
        fill(table, machine, api, guests)
        add_memory(table, api, guests, empty)
        listed = cost(machine, lambda: list_all(api, guests))
        table.add_counts(f"list of {guests:,} guests", listed)
        table.add_counts(f"a page of {PAGE} of them", cost(machine, lambda: list_page(api, guests)))
        metrics = cost(machine, lambda: api.get("/metrics").raise_for_status())
        table.add_counts(f"metrics of {guests:,} guests, each", metrics, share=guests)
        table.add_counts(f"idle second, {guests:,} guests", idle_second(machine), 5_000, share=5)
        last = f"/v1/guests/{name_of(guests - 1)}"
        table.add_counts(f"delete, of {guests:,}", cost(machine, lambda: api.ok("DELETE", last)))
        create(api, guests - 1)
        delete_all(api, guests)
        add_leaks(table, before, frames_settled(machine, api), guests)
        machine.check_alive()
