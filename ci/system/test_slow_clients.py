"""Slow clients on a machine whose clock goes by executed instructions, one a nanosecond: what an answer takes of the machine
doesn't depend on how busy this host is."""

import http.client
import json
import ssl

import pytest

import skep
from slow import Attack, any_certificate

SECOND_NS = 1_000_000_000
# The shortest time-out that a slow client runs into, that of a header, is twice as long.
NO_TIMEOUT_NS = 5 * SECOND_NS


@pytest.fixture
def machine(tmp_path):
    with skep.Machine(tmp_path, cpus=1, kvm="off", extra=["-icount", "shift=0"]) as machine:
        machine.wait_api()
        yield machine
        machine.check_alive()


def host_as_seen(machine):
    """By a client that comes anew."""
    connection = http.client.HTTPSConnection("127.0.0.1", machine.api_port, timeout=60, context=any_certificate())
    connection.request("GET", "/v1/host", headers={"Authorization": f"Bearer {machine.token}"})
    answer = connection.getresponse()
    assert answer.status == 200
    host = json.loads(answer.read())
    connection.close()
    return host


def test_slow_clients_keep_nobody_out_for_a_second(machine):
    """Half of 200 are stuck in the handshake, others dribble a head or body or don't read what they are answered. From one
    answer to the next, so at least as long as the latter call takes, the machine has less than a second of work with all of
    them; and where it idles it waits for this client, and not for another one's time-out."""
    with Attack(machine.api_port, 200, ssl.TLSVersion.TLSv1_2) as attack:
        attack.wait_open(120)
        seen = [host_as_seen(machine) for _ in range(11)]
        attack.check()
    assert seen[-1]["control_restarts"] == 0
    for before, after in zip(seen, seen[1:]):
        all_ns = after["uptime_ns"] - before["uptime_ns"]
        idle_ns = after["cpu_times"][0]["idle_ns"] - before["cpu_times"][0]["idle_ns"]
        assert all_ns - idle_ns < SECOND_NS and all_ns < NO_TIMEOUT_NS, (all_ns, idle_ns)
