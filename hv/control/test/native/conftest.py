"""The control service as a Linux program ($SKEP_NATIVE), started for tests that are its clients."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[4]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "ci/lib"))

import skep  # noqa: E402

TOKEN = "0123456789abcdef"


class Native:
    """A service that runs; its log is in a file."""

    def __init__(self, folder, *options):
        self.log = folder / "service.log"
        (self.port,) = skep.free_ports(1)
        command = [os.environ["SKEP_NATIVE"], "--port", str(self.port), "--token", TOKEN, *options]
        self.starts = 0
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=skep.end_with_parent
            )
        self.wait_start()

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_start(self):
        """Waits for the next start of the service; from then on self.api pins the certificate that it has."""
        self.starts += 1

        def serves():
            assert self.process.poll() is None, self.text()
            return self.text().count(skep.READY) >= self.starts

        skep.wait_for(serves, "the service is up")
        self.api = self.new_api()

    def new_api(self, token=TOKEN):
        return skep.Api(self.port, token)

    def end(self):
        """The service must be there still, and what it says of itself without a complaint of the sanitizers."""
        alive = self.process.poll() is None
        skep.end_process(self.process)
        text = self.text()
        assert alive and "ERROR: AddressSanitizer" not in text and "runtime error:" not in text, text


@pytest.fixture
def start(tmp_path):
    """Starts services, which are ended and looked at with the test."""
    services = []

    def start(*options):
        folder = tmp_path / str(len(services))
        folder.mkdir()
        services.append(Native(folder, *options))
        return services[-1]

    yield start
    for service in services:
        service.end()


@pytest.fixture
def service(start):
    return start()
