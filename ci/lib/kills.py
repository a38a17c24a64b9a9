"""The control service is killed at any moment while clients make changes: what was acknowledged is there afterwards, what was
under way is there as a whole or not at all, and nothing else is.

Each client changes things of its own, one after the other, and notes before each what it is about to be and after each what
was said. When the service is gone it stops; once it is back all of it is compared.
"""

import contextlib
import hashlib
import random
import sys
import threading
import time

import requests

import skep

sys.path[:0] = [str(skep.ROOT / folder) for folder in ("ci/powercut.d", "ci/system")]

import world  # noqa: E402
from helpers import MIB, example  # noqa: E402

CLIENTS = 4
NAMES = 3  # of each kind that a client has
DELAY_SECONDS = (0.02, 3)
# What waits for an answer of a service that died hears nothing from a machine: the next one knows no such connection.
ANSWER_SECONDS = 5
NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
SIZE_MAX = 8 * MIB  # of a volume
KINDS = ("guests", "volumes", "images", "tokens", "apps")
# The service starts without the specs after three ends in a minute (control.c), on a machine; the native one always goes on.
WINDOW_SECONDS = 61
KILLS_IN_WINDOW = 2


class Client:
    """One that changes things until it gets no answer. known: of each of its names what may be there, None = nothing."""

    def __init__(self, number, seed):
        self.random = random.Random(f"{seed} {number}")
        self.known = {(kind, f"kills-{number}-{i}"): [None] for kind in KINDS for i in range(NAMES)}
        self.secrets = {}  # of tokens whose making was acknowledged
        self.changes = 0
        self.wrong = None

    def run(self, api):
        try:
            while True:
                self.change(api)
        except NO_ANSWER:
            pass  # what was under way may be done or not
        except Exception as error:  # noqa: BLE001: who joins this thread raises it
            self.wrong = error

    def change(self, api):
        (kind, name), (before,) = self.random.choice(list(self.known.items()))
        if before is not None and self.random.random() < 0.4:
            self.ask(api, kind, name, before, None, "DELETE")
        else:
            wish, body = getattr(self, f"{kind}_wish")(name, before)
            self.ask(api, kind, name, before, wish, "PUT", **body)

    def ask(self, api, kind, name, before, after, method, **body):
        if kind == "tokens" and before is None:
            self.secrets.pop(name, None)
        self.known[kind, name] = [before, after]
        answer = api.request(method, f"/v1/{kind}/{name}", timeout=ANSWER_SECONDS, **body)
        assert answer.ok, f"{method} {kind}/{name}: {answer.status_code} {answer.text}"
        self.known[kind, name] = [after]
        self.changes += 1
        if kind == "tokens" and before is None:
            self.secrets[name] = answer.json()["token"]
        if answer.status_code == 202:
            skep.wait_for(lambda: self.is_done(api, kind, name), f"{kind}/{name} is as it was asked for", interval=0.01)

    @staticmethod
    def is_done(api, kind, name):
        answer = api.get(f"/v1/{kind}/{name}", timeout=ANSWER_SECONDS)
        return answer.status_code == 404 or (kind == "apps" and answer.json()["status"]["state"] not in world.APP_UNDERWAY)

    # What is wished, as the API tells it afterwards, and how it is asked for.

    def guests_wish(self, _, before):
        spec = {"image": "hello", "args": [str(self.random.randrange(1000))], "volumes": [], "files": [], "start_after": []}
        spec["desired_state"] = self.random.choice(("running", "stopped"))
        if before and before["desired_state"] == "running":
            spec = {**before, "desired_state": "stopped"}
        return spec, {"json": {**spec, "memory_bytes": 2 * MIB, "stop_grace_ms": 0}}

    def volumes_wish(self, _, before):
        size = min((before["size_bytes"] if before else 0) + MIB, SIZE_MAX)
        body = {"size_bytes": size, "labels": {"wish": str(self.random.randrange(1000))}}
        return {"kind": "volume", "copy_of": None, **body}, {"json": body}

    def images_wish(self, *_):
        data = example("hello").read_bytes() + self.random.randbytes(64)
        return {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "labels": {}}, {"data": data}

    def tokens_wish(self, *_):
        wish = {"role": self.random.choice(("viewer", "operator")), "scope": None, "expires_at": None}
        return wish, {"json": wish}

    def apps_wish(self, name, _):
        """Guests with a volume each; which ones, and what they are, differs from wish to wish."""
        labels = {"wish": str(self.random.randrange(1000))}
        parts = [f"{name}-{part}" for part in ("a", "b", "c") if self.random.random() < 0.6]
        guests = {part: {**self.guests_wish(part, None)[0], "volumes": [world.volume_of_spec(part)]} for part in parts}
        volumes = {part: {"kind": "volume", "size_bytes": MIB, "copy_of": None, "labels": {}} for part in parts}
        body = {
            "labels": labels,
            "guests": {part: {**spec, "memory_bytes": 2 * MIB, "stop_grace_ms": 0} for part, spec in guests.items()},
            "volumes": {part: {"size_bytes": MIB} for part in parts},
        }
        return {"labels": labels, "guests": guests, "volumes": volumes}, {"json": body}

    # What there is after all.

    def differences(self, seen):
        lines = []
        for (kind, name), values in self.known.items():
            there = getattr(seen, kind).get(name)
            if there not in values:
                lines.append(f"{kind}/{name} is {there}, and may be {' or '.join(map(str, values))}")
        return lines

    def learn(self, seen):
        for kind, name in self.known:
            self.known[kind, name] = [getattr(seen, kind).get(name)]

    def check_secrets(self, client):
        """A token is good as long as it is there, and no longer."""
        for name, secret in list(self.secrets.items()):
            (there,) = self.known["tokens", name]
            with client(secret) as api:
                status = api.get("/v1/caller").status_code
            assert status == (200 if there else 401), f"token {name}: {status}, and it is {there}"
            if not there:
                del self.secrets[name]


class Kills:
    """machine: one whose API answers and whose disk is formatted, of a debug build. log: what it has said so far."""

    def __init__(self, machine, log, seed):
        self.machine, self.log = machine, log
        self.random = random.Random(seed)
        self.clients = [Client(number, seed) for number in range(CLIENTS)]
        self.ends = []
        machine.api.upload("hello", example("hello"))

    def client(self, token=None):
        former = self.machine.api
        return skep.Api(former.port, token or self.machine.token, former.fingerprint)

    def changes(self):
        return sum(client.changes for client in self.clients)

    def run(self, seconds, most=None, window=WINDOW_SECONDS):
        """Kills it until the time is over, or so often; no more than KILLS_IN_WINDOW times in each window."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (most is None or len(self.ends) < most):
            self.kill(window)
        return len(self.ends)

    def kill(self, window):
        starts = self.log().count(skep.READY)
        threads = [self.start(client) for client in self.clients]
        # The load goes on until it may end again.
        while window and sum(time.monotonic() - one < window for one in self.ends) >= KILLS_IN_WINDOW:
            assert not self.wrong(), self.wrong()
            time.sleep(0.1)
        self.arm(self.random.uniform(*DELAY_SECONDS))
        for thread in threads:
            thread.join(90)
            assert not thread.is_alive(), "a client still waits for an answer"
        self.ends.append(time.monotonic())
        assert not self.wrong(), self.wrong()
        skep.wait_for(lambda: self.log().count(skep.READY) > starts, "the service is back", 60)
        self.machine.check_alive()
        self.machine.api = self.client()
        self.judge()

    def arm(self, seconds):
        """The service may be gone before it has answered."""
        with self.client() as api, contextlib.suppress(*NO_ANSWER):
            api.ok("POST", "/v1/debug/crash", json={"after_ns": int(seconds * 1e9)}, timeout=ANSWER_SECONDS)

    def start(self, client):
        thread = threading.Thread(target=client.run, args=(self.client(),), daemon=True)
        thread.start()
        return thread

    def wrong(self):
        return [client.wrong for client in self.clients if client.wrong]

    def judge(self):
        """Guests whose deletion was under way take a moment to be gone, and what was left to do of an app goes on."""
        lines, seen = [], None

        def is_as_known():
            nonlocal seen
            seen = world.observe(self.machine.api)
            lines[:] = [line for client in self.clients for line in client.differences(seen)]
            lines.extend(seen.unsettled)
            mine = {one for client in self.clients for one in client.known}
            mine |= {(part, name) for app in seen.apps.values() for part in ("guests", "volumes") for name in app[part]}
            for kind in KINDS:
                others = {name for name in getattr(seen, kind) if name.startswith("kills-") and (kind, name) not in mine}
                lines.extend(f"{kind}/{name} should not be there" for name in others)
            return not lines

        try:
            skep.wait_for(is_as_known, "all is as it was acknowledged", 20)
        except skep.NotInTime:
            raise AssertionError(f"after {len(self.ends)} kills: " + "; ".join(lines)) from None
        for client in self.clients:
            client.learn(seen)
            client.check_secrets(self.client)

    def clear(self):
        """Revokes the tokens; all else is gone when the tests' machine is cleared."""
        for client in self.clients:
            for (kind, name), (there,) in client.known.items():
                if kind == "tokens" and there:
                    self.machine.api.ok("DELETE", f"/v1/tokens/{name}")
