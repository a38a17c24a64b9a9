"""Metrics, read by the parsers of Prometheus' own client library, against what the rest of the API tells."""

import contextlib
import re
import socket
import ssl
import threading

from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser

import skep
from conftest import NEIGHBOUR
from helpers import MIB, disk_image, example, guest_program, is_problem
from storage import format_disk, said, start, volume
from test_storage_boots import booted

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
HEAD = re.compile(r"# (HELP|TYPE) (\S+) \S.*")
SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"(,[a-z]+="[^"\\\n]*")*\})? (\d+|\d+\.\d{9})')


def check_text(text):
    """What the parsers let pass: each family once, HELP and TYPE before its samples, and all of its samples there."""
    name, seen = None, set()
    for line in text.removesuffix("# EOF\n").splitlines():
        head = HEAD.fullmatch(line)
        if head and head[1] == "HELP":
            name = head[2]
            assert name not in seen and name.startswith("skep_"), line
            seen.add(name)
        elif head:
            assert head[2] == name, line
        else:
            assert SAMPLE.fullmatch(line.replace('le="+Inf"', 'le="0"')), line
            assert line.startswith(name), f"{line}: in family {name}"


class Metrics:
    """One answer; values by name and labels."""

    def __init__(self, api, open_metrics=False):
        self.answer = api.get("/metrics", headers={"Accept": OPEN_METRICS if open_metrics else "text/plain"})
        assert self.answer.status_code == 200, self.answer.text
        check_text(self.answer.text)
        module = open_parser if open_metrics else parser
        self.families = {f.name: f for f in module.text_string_to_metric_families(self.answer.text)}
        self.samples = {}
        for family in self.families.values():
            known = family.name == "skep_guest_stat" or family.type not in ("unknown", "untyped")
            assert family.documentation and known, family
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, sample
                self.samples[key] = sample.value

    def __call__(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def get(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())))

    def all(self, name):
        return {labels: value for (n, labels), value in self.samples.items() if n == name}


def web_spec(**changes):
    networks = [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}]
    return {"image": "httpd", "memory_bytes": 4 * MIB, "networks": networks} | changes


def test_formats(machine, api):
    """The same families and samples in both; openmetrics needs its end."""
    plain, openly = Metrics(api), Metrics(api, open_metrics=True)
    assert plain.answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openly.answer.headers["Content-Type"] == kind
    assert openly.answer.text.endswith("\n# EOF\n") and "# EOF" not in plain.answer.text
    requests = {key for key in plain.samples | openly.samples if key[0] == "skep_http_requests_total"}
    assert set(plain.samples) - requests == set(openly.samples) - requests
    info = {name.removesuffix("_info") for name in plain.families}
    assert info == set(openly.families)
    for family in openly.families.values():
        if family.name != "skep_build":
            assert plain.families[family.name].type == family.type
    assert api.head("/metrics").content == b""
    anybody = skep.Api(machine.api_port, token=None, fingerprint=api.fingerprint)
    is_problem(anybody.get("/metrics"), 401)
    is_problem(api.post("/metrics"), 405)


def between(before, value, after):
    assert before <= value <= after, (before, value, after)


def test_the_host(api):
    first = api.host()
    metrics = Metrics(api)
    last = api.host()
    between(first["uptime_ns"] / 1e9, metrics("skep_uptime_seconds"), last["uptime_ns"] / 1e9)
    for kind in first["memory"]:
        if first["memory"][kind] == last["memory"][kind]:
            assert metrics("skep_memory_bytes", type=kind) == first["memory"][kind]
    assert sum(metrics.all("skep_frames").values()) == sum(first["frames"].values())
    assert set(first["frames"]) == {dict(labels)["type"] for labels in metrics.all("skep_frames")}
    for index, (old, new) in enumerate(zip(first["cpu_times"], last["cpu_times"])):
        cpu = str(index)
        for mode in ("idle", "guest", "core"):
            value = metrics("skep_cpu_seconds_total", cpu=cpu, mode=mode)
            between(old[f"{mode}_ns"] / 1e9, value, new[f"{mode}_ns"] / 1e9)
        for counter in ("traps", "hypercalls", "switches", "ipis"):
            between(old[counter], metrics(f"skep_cpu_{counter}_total", cpu=cpu), new[counter])
    assert metrics("skep_build_info", version=first["version"]) == 1
    assert metrics("skep_control_restarts_total") == first["control_restarts"]
    between(1, metrics("skep_control_heap_used_bytes"), 4096 * first["frames"]["guest"])
    assert metrics("skep_storage_state", state=first["storage"]["state"]) == 1


def test_guests(machine, api):
    api.upload("httpd", example("httpd"))
    api.upload("stay", guest_program("stay"))
    api.upload("crash", example("crash"))
    api.create("web", **web_spec())
    api.create("idle", image="stay", memory_bytes=2 * MIB, desired_state="paused")
    api.create("off", image="stay", memory_bytes=2 * MIB, desired_state="stopped")
    api.create("bad", image="crash", memory_bytes=2 * MIB)
    api.wait_state("bad", "crashed")
    machine.wait_page(NEIGHBOUR)
    before = {item["name"]: item["status"] for item in api.ok("GET", "/v1/guests")["items"]}
    metrics = Metrics(api)
    after = {item["name"]: item["status"] for item in api.ok("GET", "/v1/guests")["items"]}
    states = {dict(labels)["guest"]: dict(labels)["state"] for labels in metrics.all("skep_guest_state")}
    assert states == {name: status["state"] for name, status in after.items()}
    for state in set(states.values()):
        assert metrics("skep_guests", state=state) == list(states.values()).count(state)
    assert sum(metrics.all("skep_guests").values()) == len(states) == 4
    assert metrics.get("skep_guest_memory_used_bytes", guest="off") is None
    for name in ("web", "idle", "bad"):
        old, new = before[name], after[name]
        for metric, field, scale in (
            ("skep_guest_cpu_run_seconds_total", "cpu_time_ns", 1e9),
            ("skep_guest_cpu_ready_seconds_total", "ready_time_ns", 1e9),
            ("skep_guest_memory_used_bytes", "memory_used_bytes", 1),
            ("skep_guest_memory_peak_bytes", "memory_peak_bytes", 1),
            ("skep_guest_memory_promised_bytes", "memory_promised_bytes", 1),
            ("skep_guest_page_faults_total", "page_faults", 1),
            ("skep_guest_hypercalls_total", "hypercalls", 1),
            ("skep_guest_log_bytes_total", "log_end", 1),
        ):
            between(old[field] / scale, metrics(metric, guest=name), new[field] / scale)
        assert metrics("skep_guest_vcpus", guest=name) == new["vcpus"]["on"]
    old, new = before["web"]["networks"][0], after["web"]["networks"][0]
    for ours, direction in (("rx", "receive"), ("tx", "transmit")):
        for field, metric in (("packets", "packets"), ("bytes", "bytes"), ("dropped", "drop")):
            value = metrics(f"skep_guest_network_{direction}_{metric}_total", guest="web", device="0")
            between(old[f"{ours}_{field}"], value, new[f"{ours}_{field}"])
    assert metrics("skep_guest_network_receive_packets_total", guest="web", device="0") > 0


def test_counters_over_a_restart(api):
    """They go back only where the guest's start time tells that another one has taken its place."""
    api.upload("hello", example("hello"))
    api.create("again", image="hello", memory_bytes=2 * MIB, restart="always", restart_delay_ms=50)
    name, last, starts = "skep_guest_hypercalls_total", None, set()
    while len(starts) < 4:
        metrics = Metrics(api)
        now = {
            key: metrics.get(key, guest="again")
            for key in (name, "skep_guest_cpu_run_seconds_total", "skep_guest_page_faults_total")
        }
        own = [metrics(f"skep_guest_{key}_total", guest="again") for key in ("starts", "log_bytes")]
        start = metrics.get("skep_guest_start_time_seconds", guest="again")
        if start:
            starts.add(start)
        if last:
            assert own[0] >= last[2][0] and own[1] >= last[2][1]
        if last and start and start == last[1]:
            assert all(now[key] >= last[0][key] for key in now), (last, now)
        last = (now, start, own) if start else last


def told(api, name):
    """What a guest says of itself."""
    samples = Metrics(api, open_metrics=True).all("skep_guest_stat")
    return {dict(labels)["name"]: value for labels, value in samples.items() if dict(labels)["guest"] == name}


def test_what_guests_say_of_themselves(machine, api):
    """Their libraries' numbers and their own, as they change; what isn't a name is left out, and spoils nothing."""
    api.upload("stats", guest_program("stats"))
    api.upload("httpd", example("httpd"))
    for name in ("good", "bad"):
        api.create(name, image="stats", memory_bytes=2 * MIB, args=[name])
        skep.wait_for(lambda name=name: b"told" in api.log(name), f"{name} has told")
    api.create("web", **web_spec())
    machine.wait_page(NEIGHBOUR)
    good = told(api, "good")
    assert good["largest"] == 2**64 - 1 and good["twenty_three_characters"] == 23
    assert good["heap_bytes"] > 0 and len(good) == 32 and "n00" in good and "n39" not in good
    skep.wait_for(lambda: told(api, "good")["rounds"] > good["rounds"] + 2, "its number grows")
    assert told(api, "bad") == {"fine": 7}
    web = told(api, "web")
    assert web["sockets"] >= 1 and web["heap_bytes"] > 0
    skep.wait_for(lambda: told(api, "web").get("tcp_accepted", 0) >= 1, "its network's numbers are told")
    web = told(api, "web")
    assert 0 < web["heap_used_bytes"] <= web["heap_bytes"]
    assert web["tcp_segments_received"] >= 3 and web["tcp_segments_sent"] >= 3 and web["tcp_opened"] == 0
    for _ in range(3):
        machine.wait_page(NEIGHBOUR)
    skep.wait_for(lambda: told(api, "web")["tcp_accepted"] >= web["tcp_accepted"] + 3, "connections are counted")
    api.ok("PATCH", "/v1/guests/good", json={"desired_state": "stopped"})
    api.wait_state("good", "exited")
    assert told(api, "good") == {}


def test_the_service_counts_itself(machine, api):
    before = Metrics(api)
    for _ in range(5):
        is_problem(api.get("/v1/guests/none"), 404)
    api.ok("GET", "/v1/images")
    other = skep.Api(machine.api_port, machine.token, api.fingerprint)
    with other.get("/v1/events", stream=True) as stream:
        assert stream.status_code == 200
        after = Metrics(api)

        def more(name, **labels):
            return after(name, **labels) - (before.get(name, **labels) or 0)

        assert after("skep_streams") == 1
        assert after("skep_connections_open") >= 2
    route = "/v1/guests/{name}"
    assert more("skep_http_requests_total", method="GET", route=route, code="4xx") == 5
    assert more("skep_http_requests_total", method="GET", route="/v1/images", code="2xx") == 1
    assert more("skep_http_request_duration_seconds_count") == 7  # the first answer of metrics, too
    assert more("skep_tls_handshakes_total", result="full") >= 1
    assert more("skep_http_sent_bytes_total") > len(before.answer.text)
    buckets = [value for _, value in sorted(
        (float(dict(labels)["le"]), value)
        for labels, value in after.all("skep_http_request_duration_seconds_bucket").items()
    )]
    assert buckets == sorted(buckets) and buckets[-1] == after("skep_http_request_duration_seconds_count")
    skep.wait_for(lambda: Metrics(api)("skep_streams") == 0, "the stream has ended")


def test_handshakes(machine, api):
    """Full ones, resumed ones, and what was none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its ticket comes with the handshake
    before = Metrics(api)
    session = None
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", machine.api_port), timeout=30) as plain:
            with context.wrap_socket(plain, session=session) as connection:
                assert connection.session_reused == (session is not None)
                session = connection.session
    with socket.create_connection(("127.0.0.1", machine.api_port), timeout=30) as plain:
        plain.sendall(b"\x16\x03\x01\x00\x04nope")
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(100):  # an alert may come before the end
                pass

    def more():
        after = Metrics(api)
        results = ("full", "resumed", "failed")
        name = "skep_tls_handshakes_total"
        return [after(name, result=result) - before(name, result=result) for result in results]

    skep.wait_for(lambda: more() == [1, 2, 1], "one full, two resumed, one failed")


def test_disks_and_volumes(folder, tmp_path):
    with booted(folder / "metrics-disk", [disk_image(tmp_path, "metrics", 64 * MIB)]) as machine:
        api = machine.api
        format_disk(api)
        volume(api, "db", size_bytes=4 * MIB)
        volume(api, "copy", clone_of="db")
        start(api, "writer", ["hold", "1", "64"], ["db"])
        said(api, "writer", "durable 64\n")
        metrics = Metrics(api)
        for item in api.ok("GET", "/v1/volumes")["items"]:
            name, status = item["name"], item["status"]
            assert metrics("skep_volume_state", volume=name, disk="0", state=status["state"]) == 1
            assert metrics("skep_volume_size_bytes", volume=name) == item["size_bytes"]
            for field in ("reads", "writes", "flushes", "discards", "errors", "read_bytes", "written_bytes"):
                assert metrics(f"skep_volume_{field}_total", volume=name) == status[field]
        assert metrics("skep_volume_writes_total", volume="db") > 0
        # Of its only guest so far, the device's counters are the volume's.
        for field in ("reads", "writes", "flushes", "discards", "read_bytes", "written_bytes"):
            of_device = metrics(f"skep_guest_block_{field}_total", guest="writer", device="0")
            assert of_device == metrics(f"skep_volume_{field}_total", volume="db"), field
        assert metrics("skep_volume_guests", volume="db") == 1
        found = api.ok("GET", "/v1/disks/0")
        between(0, metrics("skep_disk_writes_total", disk="0"), found["writes"])
        assert metrics("skep_disk_state", disk="0", state="online") == 1
        assert metrics("skep_disk_capacity_bytes", disk="0") == found["capacity_bytes"]
        assert metrics("skep_storage_state", state="ready") == 1


def test_while_guests_come_and_go(api):
    """Each answer is whole, has each guest once, and leaves none out that stays."""
    api.upload("hello", example("hello"))
    for index in range(12):
        api.create(f"stays-{index:02}", image="hello", memory_bytes=MIB, desired_state="stopped")
    stop, failures = threading.Event(), []

    def churn(seed):
        own = skep.Api(api.port, None, api.fingerprint)
        own.headers.update(api.headers)
        try:
            while not stop.is_set():
                own.create(f"m{seed}", image="hello", memory_bytes=2 * MIB)
                own.delete_guest(f"m{seed}")
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            names = Metrics(api, open_metrics=True).all("skep_guest_state")
            names = sorted(dict(labels)["guest"] for labels in names)
            assert names[-12:] == [f"stays-{index:02}" for index in range(12)]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not failures
