"""CPUs are shared as weights and caps say. Skep's own accounts and clock are the measure: how fast this host emulates
doesn't matter, and the bounds leave room for what it does besides."""

import pytest

import skep
from helpers import MIB, example

SECOND = 10**9


@pytest.fixture
def spinners(api):
    """Makes guests that compute for ever, on CPU 1 alone."""

    def make(**specs):
        for name, spec in specs.items():
            api.create(name, image="spin", memory_bytes=2 * MIB, cpu_affinity=[1], **spec)
        for name in specs:
            api.wait_state(name, "running")

    api.upload("spin", example("spin"))
    return make


def accounts(api, names):
    """The time, and each guest's CPU time. Read in this order, always: what reading takes then cancels out."""
    uptime = api.host()["uptime_ns"]
    items = api.ok("GET", "/v1/guests")["items"]
    times = {item["name"]: item["status"]["cpu_time_ns"] for item in items}
    return [uptime, *(times[name] for name in names)]


def window(api, names, total_ns):
    """The time that passed, and the CPU time that each got, while together they got a total."""
    before = accounts(api, names)

    def passed():
        now = [b - a for a, b in zip(before, accounts(api, names))]
        return now if sum(now[1:]) >= total_ns else None

    return skep.wait_for(passed, f"{total_ns} ns of CPU time for {names}")


def ratio(api, names):
    _, first, second = window(api, names, 3 * SECOND // 2)
    assert first > 0, (first, second)
    return second / first


def test_weights_share_a_cpu(api, spinners):
    """One to three; and three to one, as soon as the weights are changed."""
    spinners(low={"weight": 100}, high={"weight": 300})
    assert 2 <= ratio(api, ("low", "high")) <= 4.5
    api.ok("PATCH", "/v1/guests/low", json={"weight": 900}, status=200)
    assert 2 <= ratio(api, ("high", "low")) <= 4.5


def test_cap_holds_on_an_idle_cpu(api, spinners):
    """A fifth of a CPU that nobody else wants; all of it, when the cap is gone."""
    spinners(capped={"cpu_cap": 20})
    passed, got = window(api, ("capped",), 3 * SECOND // 10)
    assert 0.1 <= got / passed <= 0.3
    api.ok("PATCH", "/v1/guests/capped", json={"cpu_cap": 0}, status=200)
    passed, got = window(api, ("capped",), SECOND)
    assert got / passed > 0.4
