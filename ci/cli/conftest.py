"""Fixtures of skepctl's tests: the control service as a Linux program, and skepctl, both sanitized. Tests run two at
once; each of the two processes that do so has a service of its own."""

import concurrent.futures
import contextlib
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import native  # noqa: E402
import skep  # noqa: E402
import traces  # noqa: E402
from described import CONTRACT, as_described  # noqa: E402, F401

HOST_BUILD = skep.ROOT / "build-host"
SKEPCTL = HOST_BUILD / "skepctl"
SECONDS = 60  # of one command; an emulated or busy host is slow
DISK_BYTES = 64 << 20


class Service(native.Native):
    """The control service with a disk for volumes, which is up when it is entered."""

    def __init__(self, folder, **more):
        super().__init__(folder, volume_bytes=DISK_BYTES, **more)
        self.url = f"https://127.0.0.1:{self.port}"

    def __enter__(self):
        self.start().wait_ready()
        traces.HOSTS.add(f"127.0.0.1:{self.port}")
        self.fingerprint = re.search(r"fingerprint ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})", self.text())[1]
        return self


class Cli:
    """skepctl with a folder of contexts of its own."""

    def __init__(self, folder, program=SKEPCTL):
        self.folder = folder
        self.program = program
        self.config = folder / "skepctl/config.json"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SKEP_")}
        self.environment = {
            **kept,
            **{"XDG_CONFIG_HOME": str(folder), "NO_PROXY": "*", "TERM": "xterm"},
            # Looking for leaks takes as long as all the rest of a short program; test_leaks.py does.
            "ASAN_OPTIONS": "detect_leaks=0",
        }

    def start(self, *arguments, environment=None, **options):
        return subprocess.Popen(
            [self.program, *map(str, arguments)],
            env={**self.environment, "SKEP_TRACE": traces.make(self.folder), **(environment or {})},
            **{"text": True, **options},
        )

    def run(self, *arguments, input="", code=0, environment=None):
        """What it printed; an assertion tells what happened if its exit code is another one."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = self.start(*arguments, environment=environment, **pipes)
        try:
            out, err = process.communicate(input, timeout=SECONDS)
        finally:
            process.kill()
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        self.errors = err
        return out

    @contextlib.contextmanager
    def terminal(self, *arguments, environment=None):
        """A Terminal on which it runs."""
        ours, theirs = pty.openpty()
        ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
        process = self.start(*arguments, environment=environment, **ends)
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    def login(self, service, name="lab"):
        return self.run(
            *("login", service.url, "--name", name, "--token-stdin"),
            *("--fingerprint", service.fingerprint),
            input=service.token + "\n",
        )


class Terminal:
    def __init__(self, process, descriptor):
        self.process = process
        self.descriptor = descriptor
        self.text = ""

    def _read(self, seconds):
        """Whether something came, or the end did."""
        if not select.select([self.descriptor], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.descriptor, 4096)
        except OSError:
            return False  # the program has ended
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait(self, text):
        """Until this is on the screen."""
        deadline = time.monotonic() + SECONDS
        while text not in self.text:
            assert time.monotonic() < deadline and self._read(0.1), f"no {text!r} in {self.text!r}"

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def end(self):
        """The exit code; the rest of what it printed is read."""
        deadline = time.monotonic() + SECONDS
        while self._read(0.1):
            assert time.monotonic() < deadline, f"still running: {self.text!r}"
        return self.process.wait(SECONDS)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)


def at_once(function, items):
    """function of each item, two at a time; the first exception of them."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))


@pytest.fixture(autouse=True)
def traces_as_described(as_described):  # noqa: F811
    """What skepctl was answered by a service is looked at, too."""
    yield
    traces.note(CONTRACT)


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service")) as running:
        running.api.ok("PUT", "/v1/disks/0", json={"format": True})
        running.api.upload("hello", skep.BUILD / "examples/hello.elf")
        yield running
        running.check_alive()


@pytest.fixture
def fresh(tmp_path):
    """skepctl that knows no Skep."""
    return Cli(tmp_path)


@pytest.fixture(scope="session")
def logged_in(service, tmp_path_factory):
    cli = Cli(tmp_path_factory.mktemp("config"))
    cli.login(service)
    return cli


@pytest.fixture
def cli(service, logged_in):
    """skepctl that is logged in. Guests and volumes are gone when the test has ended."""
    yield logged_in
    for kind in ("guests", "volumes"):
        for item in service.api.ok("GET", f"/v1/{kind}")["items"]:
            service.api.ok("DELETE", f"/v1/{kind}/{item['name']}")
    skep.wait_for(lambda: not service.api.ok("GET", "/v1/guests")["items"], "guests are gone")
