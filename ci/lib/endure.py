"""Handshakes and requests by the thousand, and what the control service's memory is before, amid and after them.

openssl s_time makes the handshakes, full and resumed, of TLS 1.2 and 1.3, each kind in turn with the others; wrk the requests, over 24 connections that stay open: reads and changes
by callers of 16 names, since each name has a limit. How many there were, the service's own counters say.
"""

import contextlib
import re
import subprocess
import time

import skep
from helpers import MIB, example, frames

CALLERS = 16
CONNECTIONS = 24  # of 32
SHAKES = [[resumed, version] for resumed in ("-new", "-reuse") for version in ("-tls1_2", "-tls1_3")]
GUEST = {"image": "hello", "memory_bytes": 2 * MIB, "restart": "never", "labels": {"turn": "0"}}
# Until the rings are full that keep what was last: of events, of the audit trail without a disk.
EVENTS_BEFORE = 1100
HANDSHAKES_BEFORE = 100  # more than linger in TIME_WAIT
SLICE_SECONDS_MAX = 60
# In a machine whatever the service has is in frames: its heap, and all of lwIP's connections and buffers, which come from
# it. What is left of the heap's frames when nobody is connected goes by what happens to lie at its end, so their peak under
# load is compared. That reaches a new height when several threads happen to need it at once: 64 frames, which is 52 bytes
# for each handshake in half of a long run, and half a byte for each request. What is in use of the heap is told in bytes,
# and is compared when nobody is connected.
HEAP = "heap in use, bytes"
FRAMES_GROWTH = {"guest": 64, "pagetable": 1}
HEAP_GROWTH = {HEAP: 4096}
SAMPLE_SECONDS = 0.2

SCRIPT = """
local tokens = {%s}
local turn = 0
local reads = {"/healthz", "/v1/guests/endure", "/v1/images", "/v1/guests", "/v1/host", "/v1/tokens", "/v1/audit?limit=3"}

function init(words)
    if words[1] == "changes" then
        reads = {}
    end
end

function request()
    turn = turn + 1
    wrk.headers["Authorization"] = "Bearer " .. tokens[turn %% #tokens + 1]
    local read = reads[turn %% (#reads + 1)]
    if read then
        return wrk.format("GET", read)
    end
    wrk.headers["Content-Type"] = "application/json"
    return wrk.format("PATCH", "/v1/guests/endure", nil, '{"labels":{"turn":"' .. turn .. '"}}')
end
"""


def counts(api):
    """The metrics without labels, and handshakes."""
    text = api.ok("GET", "/metrics").decode()
    found = dict(re.findall(r"^(skep_[a-z_]+) (\S+)$", text, re.M))
    for result in ("full", "resumed"):
        found[result] = re.search(rf'^skep_tls_handshakes_total{{result="{result}"}} (\d+)$', text, re.M)[1]
    found["handshakes"] = int(found["full"]) + int(found["resumed"])
    found["requests"] = found["skep_http_request_duration_seconds_count"]
    return {name: float(value) for name, value in found.items()}


def machine_memory(api):
    """Frames by what they hold, and what the control service has of its heap."""
    held = {kind: count for kind, count in frames(api).items() if kind != "free"}
    return held | {HEAP: int(counts(api)["skep_control_heap_used_bytes"])}


class Endurance:
    """machine: with an API that answers; memory: a function that returns figures by name; growth: by how much peaks of some
    may grow; rest: by how much others may when nobody is connected, 0 unless it is said."""

    def __init__(self, machine, memory, growth, rest, folder, say=print):
        self.machine, self.api, self.memory, self.growth, self.rest = machine, machine.api, memory, growth, rest
        self.say = say
        self.peaks = {}
        self.script = folder / "requests.lua"
        self.tokens = []

    def furnish(self):
        self.api.upload("hello", example("hello"))
        self.api.create("endure", **GUEST)
        for number in range(CALLERS):
            made = self.api.ok("PUT", f"/v1/tokens/endure-{number}", json={"role": "admin"})
            self.tokens.append(made["token"])
        self.script.write_text(SCRIPT % ", ".join(f'"{token}"' for token in self.tokens))

    def clear(self):
        for number in range(CALLERS):
            self.api.ok("DELETE", f"/v1/tokens/endure-{number}")
        self.api.delete_guest("endure")
        self.api.ok("DELETE", "/v1/images/hello")

    def wait(self, commands, seconds):
        """Runs them side by side for about so long, and looks at memory meanwhile; what they print."""
        end = time.monotonic() + seconds + 90
        with contextlib.ExitStack() as stack:
            running = [
                stack.enter_context(subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
                for command in commands
            ]
            while any(one.poll() is None for one in running):
                assert time.monotonic() < end, f"{commands[0][0]} doesn't end"
                figures = self.memory()
                self.peaks = {name: max(figures[name], self.peaks.get(name, 0)) for name in self.growth}
                time.sleep(SAMPLE_SECONDS)
            texts = [one.communicate()[0] for one in running]
            assert all(one.returncode == 0 for one in running), f"{' '.join(commands[0])}: {texts}"
        return texts

    def shake(self, seconds):
        command = ["openssl", "s_time", "-connect", f"127.0.0.1:{self.api.port}"]
        command += ["-www", "/healthz", "-time", str(seconds)]
        for text in self.wait([command + kind for kind in SHAKES], seconds):
            assert "error" not in text.lower(), text

    def request(self, seconds, *words):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(self.script)]
        (text,) = self.wait([[*command, f"https://127.0.0.1:{self.api.port}/", "--", *words]], seconds)
        assert not re.search("Non-2xx|Socket errors", text), text

    def until(self, what, goal, ask):
        """Asks on until so many more have been counted; how many a second there were."""
        begin, first, seconds = time.monotonic(), counts(self.api)[what], 1
        while True:
            ask(seconds)
            self.machine.check_alive()
            done, took = counts(self.api)[what] - first, time.monotonic() - begin
            if done >= goal:
                return done / took
            seconds = min(int((goal - done) * took / max(done, 1)) + 1, SLICE_SECONDS_MAX)

    def measure(self):
        """When no other connection is left; and the peaks since the last time."""
        skep.wait_for(lambda: counts(self.api)["skep_connections_open"] <= 1, "the clients' connections are closed")
        peaks, self.peaks = self.peaks, {}
        return self.memory() | {f"{name}, at most": peak for name, peak in peaks.items()}

    def run(self, handshakes, requests):
        """Measures before, between two halves, and after them; fails if the second half took more memory."""
        self.furnish()
        self.until("handshakes", HANDSHAKES_BEFORE, self.shake)
        self.until("skep_events_total", EVENTS_BEFORE, lambda seconds: self.request(seconds, "changes"))
        self.request(1)
        measured, begun = [self.measure()], counts(self.api)
        for _ in range(2):
            shaken = self.until("handshakes", handshakes / 2, self.shake)
            answered = self.until("requests", requests / 2, self.request)
            measured.append(self.measure())
            self.say(f"{shaken:.0f} handshakes a second, {answered:.0f} requests a second")
        ended = counts(self.api)
        self.say(", ".join(f"{ended[what] - begun[what]:,.0f} {what}" for what in ("handshakes", "requests")))
        assert min(ended[what] - begun[what] for what in ("full", "resumed")) > handshakes / 20, "one kind is missing"
        for what in ("skep_connections_evicted_total", "skep_connections_refused_total", "skep_control_restarts_total"):
            assert ended[what] == begun[what], f"{what}: {begun[what]:.0f}, then {ended[what]:.0f}"
        self.clear()
        self.check(*measured)

    def check(self, before, amid, after):
        """The first half does the same as the second, and may find a new height."""
        self.say(f"{'':24} {'before':>12} {'amid':>12} {'after':>12}")
        for name in sorted(after):
            self.say(f"{name:24} {before[name]:12,} {amid[name]:12,} {after[name]:12,}")
        allowed = {name: self.rest.get(name, 0) for name in self.memory() if name not in self.growth}
        allowed |= {f"{name}, at most": more for name, more in self.growth.items()}
        grown = [name for name, more in allowed.items() if after[name] - amid[name] > more]
        assert not grown, f"these grew: {', '.join(grown)}"
