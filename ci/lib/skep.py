"""A Skep in QEMU and its API, for demo, benches and tests."""

import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import random
import secrets
import signal
import socket
import ssl
import subprocess
import time

import requests
import requests.adapters

import qemu

ROOT = qemu.ROOT
BUILD = ROOT / "build"
DEBUG_BUILD = ROOT / "build-debug"

# Emulated machines on busy hosts are slow, so bounds are generous: they end what hangs, and measure nothing.
BOOT_SECONDS = 90
WAIT_SECONDS = 60

# The control service's last line before it accepts connections.
READY = "the API is served on port"

PR_SET_PDEATHSIG = 1  # of prctl(2)


class NotInTime(AssertionError):
    """A condition didn't come true within its bound."""


def wait_for(condition, what, seconds=WAIT_SECONDS, interval=0.05):
    """Returns the first true value of condition(), asked until the bound."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {seconds} s: {what}")
        time.sleep(interval)


def free_ports(count):
    """Ports that nobody listens on. Below those that outgoing connections get, and others for each of pytest's workers:
    what one has been told is free is taken a moment later."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    candidates = range(20000 + worker, 32000, workers)
    with contextlib.ExitStack() as stack:
        ports = []
        for port in random.sample(candidates, len(candidates)):
            if len(ports) == count:
                return ports
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                ports.append(port)
    raise qemu.Missing(f"no {count} free ports on 127.0.0.1")


def end_with_parent():
    """In the child: have the kernel end it when this process ends in whatever way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_process(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


class PinnedAdapter(requests.adapters.HTTPAdapter):
    """Accepts one certificate, whoever signed it."""

    def __init__(self, fingerprint):
        self.fingerprint = fingerprint
        super().__init__(pool_maxsize=64)

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, assert_fingerprint=self.fingerprint, **kwargs)


class Api(requests.Session):
    """The API of one Skep. Paths are as in its reference: api.get("/v1/host")."""

    # Sees each answer; tests check there that it is as docs/openapi.json says.
    observer = None

    def __init__(self, port, token, fingerprint=None, host="127.0.0.1"):
        super().__init__()
        self.base = f"https://{host}:{port}"
        self.port = port
        self.verify = False
        self.trust_env = False
        self.fingerprint = fingerprint or self.presented_fingerprint(port, host=host)
        self.mount("https://", PinnedAdapter(self.fingerprint))
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    @staticmethod
    def presented_certificate(port, seconds=10, host="127.0.0.1"):
        """The certificate (DER) that the server shows now."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection((host, port), timeout=seconds) as plain:
            with context.wrap_socket(plain) as wrapped:
                return wrapped.getpeercert(binary_form=True)

    @classmethod
    def presented_fingerprint(cls, port, seconds=10, host="127.0.0.1"):
        return hashlib.sha256(cls.presented_certificate(port, seconds, host)).hexdigest()

    def request(self, method, path, **kwargs):
        kwargs.setdefault("timeout", 30)
        response = super().request(method, self.base + path, **kwargs)
        if not kwargs.get("stream") and response.raw.length_remaining:
            raise requests.ConnectionError(f"{method} {path}: the answer was cut off")  # requests itself takes it as whole
        if self.observer:
            self.observer(response)
        return response

    def ok(self, method, path, *, status=(200, 201, 202, 204), **kwargs):
        """The decoded answer; an assertion tells what came instead of success."""
        response = self.request(method, path, **kwargs)
        expected = (status,) if isinstance(status, int) else status
        assert response.status_code in expected, (
            f"{method} {path}: {response.status_code} {response.text}"
        )
        kind = response.headers.get("Content-Type", "")
        return response.json() if "json" in kind and response.content else response.content

    def host(self):
        return self.ok("GET", "/v1/host")

    def upload(self, name, elf):
        data = pathlib.Path(elf).read_bytes() if not isinstance(elf, bytes) else elf
        return self.ok("PUT", f"/v1/images/{name}", data=data)

    def create(self, name, **spec):
        return self.ok("PUT", f"/v1/guests/{name}", json=spec)

    def status(self, name):
        return self.ok("GET", f"/v1/guests/{name}")["status"]

    def wait_state(self, name, *states, seconds=WAIT_SECONDS):
        """Waits until the guest's state is one of these; returns its status."""
        seen = {}

        def reached():
            seen.update(self.status(name))
            return seen["state"] in states

        try:
            wait_for(reached, f"{name} in state {' or '.join(states)}", seconds)
        except NotInTime as error:
            raise NotInTime(f"{error}; it is {seen.get('state')}: {json.dumps(seen)}") from None
        return seen

    def log(self, name, offset=None):
        """What a guest printed, from an offset or from the oldest byte kept."""
        params = None if offset is None else {"offset": offset}
        return self.ok("GET", f"/v1/guests/{name}/log", params=params)

    def delete_guest(self, name):
        """Deletes a guest and waits until its name is free."""
        self.ok("DELETE", f"/v1/guests/{name}")
        wait_for(
            lambda: self.get(f"/v1/guests/{name}").status_code == 404, f"guest {name} is gone"
        )


class Machine:
    """A Skep in QEMU with its serial console in a file. A context manager that ends QEMU by its pid."""

    def __init__(self, folder, forwards=(), token=None, host=None, **options):
        """forwards: addresses (with :port, 80 by default) of guests that get a port on this host. token: one is made
        if there is none; "" boots without. host: where a machine with the option `tap` is, and its guests beside it."""
        self.folder = pathlib.Path(folder)
        self.serial = self.folder / "serial.log"
        self.token = secrets.token_hex(16) if token is None else token
        self.options = options
        self.host = host
        self.api_port, *ports = free_ports(1 + len(forwards)) if host is None else (443, *forwards)
        self.ports = dict(zip(forwards, ports))
        self.process = None
        self.api = None

    def start(self):
        rules = []
        for destination, port in self.ports.items():
            address, _, guest_port = destination.partition(":")
            rules.append((port, address, int(guest_port or 80)))
        command = qemu.command(
            api_port=self.api_port,
            forwards=rules,
            token=self.token,
            serial=f"file:{self.serial}",
            **self.options,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.serial.write_bytes(b"")
        with open(self.folder / "qemu.log", "wb") as log:
            log.write(" ".join(command).encode() + b"\n")
            log.flush()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the script, which then ends QEMU
                preexec_fn=end_with_parent,
            )
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            end_process(self.process)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def serial_text(self):
        return self.serial.read_text(errors="replace")

    def serial_tail(self, lines=40):
        tail = self.serial_text().splitlines()[-lines:]
        noise = (self.folder / "qemu.log").read_text(errors="replace").splitlines()[1:]
        return "\n".join([*tail, *(f"qemu: {line}" for line in noise[-5:])])

    def check_alive(self):
        assert "PANIC" not in self.serial_text(), "Skep panicked:\n" + self.serial_tail()
        code = self.process.poll()
        assert code is None, f"QEMU ended with code {code}:\n" + self.serial_tail()

    def wait_serial(self, text, seconds=BOOT_SECONDS):
        def there():
            self.check_alive()
            return text in self.serial_text()

        wait_for(there, f"{text!r} on the serial console", seconds)

    def wait_api(self, seconds=BOOT_SECONDS):
        """Waits until the API answers; from then on self.api pins the certificate seen first."""

        def answers():
            self.check_alive()
            try:
                api = Api(self.api_port, self.token, host=self.host or "127.0.0.1")
                if api.get("/healthz", timeout=10).status_code == 200:
                    self.api = api
                    return True
            except (OSError, requests.RequestException):
                pass  # not listening yet
            return False

        # QEMU takes connections before anybody listens, and then tries again for seconds: don't come early.
        self.wait_serial(READY, seconds)
        try:
            wait_for(answers, "the API answers", seconds, interval=0.2)
        except NotInTime as error:
            raise NotInTime(f"{error}; the serial console ends with:\n{self.serial_tail()}") from None
        return self.api

    def url(self, destination):
        """Where a guest is reached from this host."""
        if self.host is not None:
            return f"http://{destination}/"
        return f"http://127.0.0.1:{self.ports[destination]}/"

    def fetch(self, destination, timeout=10):
        """The page a guest serves, or None when it doesn't (yet)."""
        session = requests.Session()
        session.trust_env = False
        try:
            with session.get(self.url(destination), timeout=timeout) as response:
                return response.content if response.status_code == 200 else None
        except (OSError, requests.RequestException):
            return None

    def wait_page(self, destination, seconds=WAIT_SECONDS):
        def served():
            self.check_alive()
            # Not long: a connection that came before the guest listened may hang for seconds.
            return self.fetch(destination, timeout=2)

        return wait_for(served, f"a page from {destination}", seconds)


def build_exists(folder=BUILD):
    elf = folder / "skep.elf"
    if not os.path.isfile(elf):
        raise qemu.Missing(f"{elf} doesn't exist: build it, or run ci/demo, which does")
    return elf
