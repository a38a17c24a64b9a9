"""Skep's own clock: from the real-time clock at boot, then from a server of the test's, by SNTP."""

import datetime
import socket
import struct
import subprocess
import threading
import time

import pytest

import skep

NTP_TO_UNIX = 2208988800


class TimeServer:
    """Answers SNTP questions as one whose clock is `ahead` seconds ahead. The first `silent` questions get none."""

    def __init__(self, ahead, silent=0):
        self.ahead, self.silent, self.questions = ahead, silent, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def stamp(self):
        now = time.time() + self.ahead + NTP_TO_UNIX
        return struct.pack("!II", int(now), int(now % 1 * 2**32))

    def answer(self, question, **changes):
        origin = changes.get("origin", question[40:48])
        head = struct.pack("!BBbb", 0x24, 1, 6, -20) + bytes(8) + b"TEST"
        return head + self.stamp() + origin + self.stamp() + self.stamp()

    def serve(self):
        while True:
            try:
                question, sender = self.socket.recvfrom(512)
            except OSError:
                return
            self.questions += 1
            if self.questions <= self.silent:
                continue
            # First one that repeats another question's time: it must not be believed.
            self.ahead += 86400
            self.socket.sendto(self.answer(question, origin=b"\x01" * 8), sender)
            self.ahead -= 86400
            self.socket.sendto(self.answer(question), sender)


def skew(api):
    """Seconds that Skep's clock is ahead of this machine's."""
    then = time.time()
    told = datetime.datetime.fromisoformat(api.host()["time"].replace("Z", "+00:00")).timestamp()
    return told - (then + time.time()) / 2


def boot(folder, name, words):
    return skep.Machine(folder / name, elf=skep.build_exists(), append=words)


def test_without_a_server(folder):
    with boot(folder, "no-server", "") as machine:
        api = machine.wait_api()
        host = api.host()
        assert host["sntp"]["server"] is None and host["sntp"]["last_answer_at"] is None
        assert abs(skew(api)) < 5, "the real-time clock has seconds"


@pytest.mark.parametrize("ahead", [7200.25, -86400.5])
def test_step(folder, ahead):
    """The API is up, and its certificate good, before the first answer; then the time is the server's."""
    with TimeServer(ahead) as server:
        with boot(folder, f"step{ahead}", f"ntp=10.0.2.2:{server.port}") as machine:
            api = machine.wait_api()
            skep.wait_for(lambda: api.host()["sntp"]["last_answer_at"], "an answer was taken")
            skep.wait_for(lambda: abs(skew(api) - ahead) < 1, "the time is the server's")
            assert server.questions == 1
            assert api.host()["sntp"]["server"] == f"10.0.2.2:{server.port}"
            assert api.get("/healthz").status_code == 200


def test_certificate_is_good_before_the_time_is_known(folder):
    """Made on a machine that believes it is 2000: for clients, who know better, it holds from 2025 on."""
    clock = ["-rtc", "base=2000-01-01T00:00:00"]
    with skep.Machine(folder / "early", elf=skep.build_exists(), extra=clock) as machine:
        api = machine.wait_api()
        assert api.host()["time"].startswith("2000-01-01")
        certificate = skep.Api.presented_certificate(machine.api_port)
        told = subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", "-startdate", "-enddate"],
            input=certificate,
            capture_output=True,
            check=True,
        ).stdout.decode()
        assert "notBefore=Jan  1 00:00:00 2025" in told and "notAfter=Dec 31 23:59:59 2049" in told


def test_nonsense_is_left_aside(folder):
    with boot(folder, "nonsense", "ntp=nobody") as machine:
        api = machine.wait_api()
        assert api.host()["sntp"]["server"] is None
        assert "ntp 'nobody'" in machine.serial_text()
