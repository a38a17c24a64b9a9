"""What changes while a guest runs, pauses, ends by force, or ends again and again; and what is kept of crashes."""

import socket
import threading
import time

import pytest

import skep
from conftest import NEIGHBOUR
from helpers import MIB, example, guest_program, is_problem

SINK, SOURCE = NEIGHBOUR, "10.0.2.21"


def net(address):
    return [{"address": f"{address}/24", "gateway": "10.0.2.2"}]


@pytest.fixture
def web(api):
    api.upload("httpd", example("httpd"))
    api.create("web", image="httpd", memory_bytes=4 * MIB, networks=net(NEIGHBOUR), max_vcpus=4)
    return api


def patch(api, change="applied", **fields):
    answer = api.ok("PATCH", "/v1/guests/web", json=fields, status=200)
    assert answer["change"] == change, answer
    return answer


def test_live_changes(machine, web):
    """All live fields at once; the guest is the same one, and goes on serving."""
    machine.wait_page(NEIGHBOUR)
    started = web.status("web")["started_at"]
    answer = patch(
        web, weight=250, cpu_cap=80, cpu_affinity=[1], vcpus=2, memory_bytes=8 * MIB, stop_grace_ms=500
    )
    assert answer["status"]["memory_promised_bytes"] == 8 * MIB
    assert answer["status"]["vcpus"]["wanted"] == 2
    patch(web, "none", weight=250)
    machine.wait_page(NEIGHBOUR)
    assert web.status("web")["started_at"] == started
    patch(web, vcpus=1, memory_bytes=4 * MIB, cpu_cap=0, cpu_affinity=[])
    skep.wait_for(lambda: web.status("web")["vcpus"]["on"] == 1, "one vCPU is on")
    machine.wait_page(NEIGHBOUR)
    assert web.status("web")["started_at"] == started
    spec = web.ok("GET", "/v1/guests/web")["spec"]
    assert (spec["weight"], spec["cpu_cap"], spec["vcpus"]) == (250, 0, 1)


def test_refused_changes_change_nothing(machine, web):
    machine.wait_page(NEIGHBOUR)
    before = web.ok("GET", "/v1/guests/web")["spec"]
    used = web.status("web")["memory_used_bytes"]
    for fields, words in (
        ({"memory_bytes": 256 * 1024, "weight": 9}, ["262144"]),
        ({"memory_bytes": 1 << 40, "weight": 9}, [str(1 << 40)]),
        ({"cpu_affinity": [5], "weight": 9}, ["0 to 1"]),
        ({"vcpus": 5, "weight": 9}, ["max_vcpus is 4"]),
        ({"cpu_cap": 99999, "weight": 9}, ["cpu_cap"]),
        ({"desired_state": "on-demand"}, ["not available yet"]),
    ):
        detail = is_problem(web.patch("/v1/guests/web", json=fields), 409, 422)
        assert all(word in detail for word in words), detail
        if fields.get("memory_bytes") == 256 * 1024:
            held = [int(word) for word in detail.replace(".", " ").split() if word.isdigit()]
            assert max(held) >= used, detail
        assert web.ok("GET", "/v1/guests/web")["spec"] == before
    machine.wait_page(NEIGHBOUR)


def test_what_replaces(machine, web):
    machine.wait_page(NEIGHBOUR)
    started = web.status("web")["started_at"]
    patch(web, "replacing", env={"COLOUR": "red"}, weight=9)
    skep.wait_for(lambda: web.status("web")["started_at"] not in (None, started), "another one runs")
    machine.wait_page(NEIGHBOUR)


def test_killed(api):
    api.upload("deaf", guest_program("deaf"))
    api.create("deaf", image="deaf", memory_bytes=4 * MIB, stop_grace_ms=300)
    skep.wait_for(lambda: b"deaf" in api.log("deaf"), "it ignores the request")
    api.ok("PATCH", "/v1/guests/deaf", json={"desired_state": "stopped"})
    status = api.wait_state("deaf", "killed")
    assert status["exit_code"] is None and status["crash"] is None


def test_crash_loop(api):
    api.upload("crash", example("crash"))
    api.create(
        "crash",
        image="crash",
        memory_bytes=2 * MIB,
        restart="always",
        restart_delay_ms=10,
        restart_delay_max_ms=60000,
    )

    def looping():
        # It crashes again at once, so what is seen is that it waits; from the tenth wait on long enough.
        status = api.status("crash")
        return status["state"] == "crash-looping" and status

    status = skep.wait_for(looping, "it is called crash-looping")
    loop = status["crash_loop"]
    assert loop["count"] >= 3 and loop["last_reason"] == "page-fault"
    assert loop["next_attempt_at"] == status["restart_at"]
    assert 0 <= loop["next_attempt_in_ns"] <= 60e9
    crash = status["crash"]
    assert crash["reason"] == "page-fault" and crash["registers"]


def test_restart_limit(api):
    api.upload("crash", example("crash"))
    api.create(
        "crash", image="crash", memory_bytes=2 * MIB, restart="on-failure", restart_limit=2,
        restart_delay_ms=1,
    )
    status = skep.wait_for(
        lambda: api.status("crash").get("error") and api.status("crash"), "it is given up"
    )
    assert status["state"] == "crashed" and status["restarts"] == 2


def test_crash_outlives_its_guest(api):
    api.upload("crash", example("crash"))
    api.create("gone", image="crash", memory_bytes=2 * MIB)
    api.wait_state("gone", "crashed")
    number = api.status("gone")["crash"]["id"]
    api.delete_guest("gone")
    assert {"id": number, "guest": "gone"}.items() <= api.ok("GET", "/v1/crashes")["items"][0].items()
    crash = api.ok("GET", f"/v1/crashes/{number}")
    assert crash["guest"] == "gone" and crash["image"] == "crash" and crash["at"]
    assert crash["reason"] == "page-fault" and crash["address"] == "0x0"
    assert crash["mapping"]["kind"] == "nothing" and crash["mapping"]["start"] == "0x0"
    assert any(" main+0x" in line for line in crash["backtrace"])
    assert crash["counters"]["page_faults"] > 0
    assert crash["console"] and crash["console_offset"] == 0
    assert {"fault", "hypercall"} & {record["kind"] for record in crash["trace"]}
    clocks = [record["clock_ns"] for record in crash["trace"]]
    assert clocks == sorted(clocks)
    is_problem(api.get("/v1/crashes/999999"), 404)
    is_problem(api.get("/v1/crashes/none"), 404)


def test_vcpus_and_trace(machine, web):
    machine.wait_page(NEIGHBOUR)
    vcpus = web.ok("GET", "/v1/guests/web/vcpus")["items"]
    assert [vcpu["vcpu"] for vcpu in vcpus] == [0, 1, 2, 3]
    assert vcpus[0]["run_ns"] > 0 and vcpus[0]["hypercalls"]["queue_setup"] == 2
    assert vcpus[1]["state"] == "off" and vcpus[1]["run_ns"] == 0
    trace = web.ok("GET", "/v1/guests/web/trace")["items"]
    clocks = [record["clock_ns"] for record in trace]
    assert clocks and clocks == sorted(clocks) and len(trace) <= 512
    assert {"run", "leave", "event"} <= {record["kind"] for record in trace}
    web.ok("PATCH", "/v1/guests/web", json={"desired_state": "stopped"})
    web.create("never", image="httpd", desired_state="stopped")
    is_problem(web.get("/v1/guests/never/vcpus"), 409)
    is_problem(web.get("/v1/guests/never/trace"), 409)
    is_problem(web.get("/v1/guests/nobody/trace"), 404)


def test_cpu_times_add_up(api):
    """Each CPU's three sums are its time; and what is charged to guests is the guest's and the service's own."""
    api.upload("spin", example("spin"))
    api.create("spin", image="spin", memory_bytes=4 * MIB)
    api.wait_state("spin", "running")

    def look():
        """The host, between two looks at the guest."""
        first = api.status("spin")["cpu_time_ns"]
        return first, api.host(), api.status("spin")["cpu_time_ns"]

    first, before, second = look()
    time.sleep(2)
    third, after, fourth = look()
    elapsed = after["uptime_ns"] - before["uptime_ns"]
    charged = 0
    for old, new in zip(before["cpu_times"], after["cpu_times"]):
        spent = {kind: new[kind] - old[kind] for kind in ("idle_ns", "guest_ns", "core_ns")}
        assert abs(sum(spent.values()) - elapsed) <= 0.005 * elapsed + 5e6, (spent, elapsed)
        charged += spent["guest_ns"]
        assert new["hypercalls"] >= old["hypercalls"]
    assert sum(cpu["hypercalls"] for cpu in after["cpu_times"]) > sum(
        cpu["hypercalls"] for cpu in before["cpu_times"]
    )  # the service's, at least
    assert len(after["cpu_times"]) == after["cpus"]
    service = after["control"]["cpu_time_ns"] - before["control"]["cpu_time_ns"]
    slack = 0.005 * elapsed + 5e6
    assert third - second - slack <= charged - service <= fourth - first + slack


def test_panic_is_unknown(api):
    is_problem(api.get("/v1/host/panic"), 404)


def test_list_in_parts(api):
    api.upload("hello", example("hello"))
    names = [f"part-{i:02}" for i in range(21)]
    for name in names:
        api.create(name, image="hello", memory_bytes=2 * MIB, desired_state="stopped")
    assert [item["name"] for item in api.ok("GET", "/v1/guests")["items"]] == names
    got, after = [], ""
    while True:
        query = {"limit": 8} | ({"after": after} if after else {})
        part = api.ok("GET", "/v1/guests", params=query)["items"]
        got += [item["name"] for item in part]
        if len(part) < 8:
            break
        after = got[-1]
    assert got == names
    for bad in ("limit=0", "limit=x", "after=X", "after="):
        is_problem(api.get(f"/v1/guests?{bad}"), 400)
    assert api.head("/v1/guests").content == b""


#
# Pause and resume
#


@pytest.fixture
def sink(machine, api):
    api.upload("packets", guest_program("packets"))
    api.create("sink", image="packets", memory_bytes=4 * MIB, networks=net(SINK), args=["sink"])
    skep.wait_for(lambda: b"sink" in api.log("sink"), "the sink listens")
    return api


def pause(api, paused):
    api.ok("PATCH", "/v1/guests/sink", json={"desired_state": "paused" if paused else "running"})
    api.wait_state("sink", "paused" if paused else "running")


def test_stream_across_pauses(machine, sink):
    """Not a byte of a TCP connection is lost over three pauses in its midst."""
    data = bytes(i * 7 % 251 for i in range(1 << 20)) * 4
    connection = socket.create_connection(("127.0.0.1", machine.ports[SINK]), timeout=60)
    sent = 0

    def send():
        nonlocal sent
        for at in range(0, len(data), 65536):
            connection.sendall(data[at : at + 65536])
            sent = at
        connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send, daemon=True)
    pause(sink, True)
    thread.start()
    for part in range(1, 4):
        pause(sink, False)
        skep.wait_for(lambda part=part: sent >= part << 20, "some more was sent")
        pause(sink, True)
    pause(sink, False)
    answer = b""
    while piece := connection.recv(100):
        answer += piece
    thread.join(60)
    assert answer.decode() == f"{len(data)} {sum(data)}\n"


def test_datagrams_wait_for_a_paused_guest(machine, sink):
    """What the switch took for a guest while it was paused is there when it goes on."""
    count = 40
    sink.create(
        "source", image="packets", memory_bytes=4 * MIB, networks=net(SOURCE), args=["source", SINK]
    )
    skep.wait_for(lambda: b"source" in sink.log("source"), "the source knows the sink")
    pause(sink, True)
    before = sink.status("sink")["networks"][0]
    with socket.create_connection(("127.0.0.1", machine.ports[SOURCE]), timeout=30) as connection:
        connection.sendall(bytes([count]))
        assert connection.recv(10) == b"sent"

    def taken():
        now = sink.status("sink")["networks"][0]
        return now["rx_packets"] - before["rx_packets"], now["rx_dropped"] - before["rx_dropped"]

    skep.wait_for(lambda: taken()[0] >= count, "the datagrams were accepted")
    assert taken()[1] == 0 and b"datagrams 2\n" not in sink.log("sink")
    pause(sink, False)
    skep.wait_for(
        lambda: f"datagrams {count + 1}\n".encode() in sink.log("sink"), "all of them were received"
    )


