"""skepctl on a Skep in QEMU: what the model of ring 0 can't show."""

import os
import re
import subprocess

import pytest

import skep
import traces
from authority import self_signed
from described import CONTRACT
from helpers import example

SKEPCTL = skep.ROOT / "build-host/skepctl"
SECONDS = 120


@pytest.fixture
def skepctl(machine, api, tmp_path):
    """Runs skepctl, logged in by the fingerprint of the serial log."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SKEP_")}
    environment = {**kept, "XDG_CONFIG_HOME": str(tmp_path), "NO_PROXY": "*"}
    traces.HOSTS.add(f"127.0.0.1:{machine.api_port}")

    def run(*arguments, code=0, **options):
        result = subprocess.run(
            [SKEPCTL, *map(str, arguments)],
            env={**environment, "SKEP_TRACE": traces.make(tmp_path)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            **options,
        )
        assert result.returncode == code, f"{arguments}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert traces.note(CONTRACT) > 0  # its mistakes are the test's
        return result

    fingerprint = re.search(r"SHA-256 fingerprint (\S+)", machine.serial_text())[1]
    run("login", api.base, "--token-stdin", "--fingerprint", fingerprint, input=machine.token)
    return run


def test_a_page_is_served(machine, skepctl):
    said = skepctl(
        *("run", example("httpd"), "-n", "web", "-m", "4M", "-a", "10.0.2.21/24", "-g", "10.0.2.2"),
    )
    assert said.stdout == "guest web is running at 10.0.2.21\n"
    assert b"Hello from skep" in machine.wait_page("10.0.2.21")
    assert re.search(r"^web +running +httpd +10\.0\.2\.21 ", skepctl("ps").stdout, re.M)
    assert "serving on port 80" in skepctl("logs", "web").stdout
    assert re.search(r"^web +running +\d+\.\d ", skepctl("top", "-n", "1", "-d", "500").stdout, re.M)
    skepctl("rm", "web")
    assert "web" not in skepctl("ps").stdout


def test_a_crash_has_a_backtrace(skepctl):
    said = skepctl("run", example("crash"), "-m", "4M", code=1)
    assert "page-fault at 0x0, read" in said.stderr
    assert re.search(r"^  0x[0-9a-f]+ main\+0x", said.stderr, re.M), said.stderr


def test_a_certificate_instead_of_a_token(machine, api, skepctl, tmp_path):
    key, file = self_signed(tmp_path, "robot")
    skepctl("client", "add", "robot", file, "--role", "operator", "--prefix", "ci-")
    fingerprint = re.search(r"SHA-256 fingerprint (\S+)", machine.serial_text())[1]
    options = ("--name", "robot", "--fingerprint", fingerprint, "--certificate", file, "--key", key.path)
    skepctl("login", api.base, *options)
    assert skepctl("whoami").stdout.split()[:6] == ["name", "robot", "role", "operator", "prefix", "ci-"]
    skepctl("token", "ls", code=4)
    api.ok("DELETE", "/v1/client-certificates/robot")
    skepctl("ps", code=4)
