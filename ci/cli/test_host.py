"""The machine by skepctl: its certificate, its events, and its end."""

import json
import re
import subprocess

import pytest

import skep
from conftest import Service


@pytest.fixture
def own(tmp_path, fresh):
    """A service of the test's own, which skepctl is logged in to."""
    with Service(tmp_path) as service:
        fresh.login(service)
        yield service


def test_the_host(service, cli):
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in cli.run("host").splitlines())
    assert lines["host name"] == "skep" and lines["power"] == "on" and lines["images"] == "1"
    flaws = service.api.host()["mitigations"]
    assert flaws and lines["mitigations"] == ", ".join(f"{flaw} {state}" for flaw, state in flaws.items())
    cli.run("host", "panic", code=4)
    assert json.loads(cli.run("host", "-o", "json"))["version"] in lines["version"]


def test_shutdown(own, fresh):
    fresh.run("host", "shutdown", "--grace-ms", "3600001", code=2)
    fresh.run("host", "shutdown", "--grace-ms", "0")
    skep.wait_for(lambda: own.process.poll() is not None, "the service has ended")
    fresh.run("host", code=3)


def pin(cli):
    return json.loads(cli.config.read_text())["contexts"]["lab"]["pin"]


def test_the_pin_follows_a_new_certificate(own, fresh):
    before = pin(fresh)
    assert before in fresh.run("cert")
    fresh.run("cert", "renew", "skep.example", "192.0.2.7")
    assert pin(fresh) != before
    shown = fresh.run("cert")  # by a new connection, whose key is the new one
    assert pin(fresh) in shown and "skep.example, 192.0.2.7" in shown
    assert "another key" not in fresh.errors
    # A script that has the pin in its environment is told the next one.
    fresh.run("cert", "renew", environment={"SKEP_PIN": pin(fresh)})
    told = re.search(r"SKEP_PIN to (sha256//\S+)", fresh.errors)[1]
    fresh.run("cert", code=3)
    fresh.run("cert", environment={"SKEP_PIN": told})


def test_a_certificate_is_installed(own, fresh, tmp_path):
    request = fresh.run("cert", "request", "skep.example", "--new-key")
    assert request.startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", str(key), "-out", str(chain), "-subj", "/CN=mine", "-days", "9")
    subprocess.run([*make, *files], check=True, capture_output=True)
    fresh.run("cert", "install", chain, code=4)  # for no key that Skep has
    fresh.run("cert", "install", chain, "-k", tmp_path / "none", code=6)
    assert "PRIVATE" not in fresh.run("cert", "install", chain, "-k", key)
    assert fresh.run("cert", "--pem") == chain.read_text()


def events_so_far(service):
    return service.api.get("/v1/guests").headers["Skep-Event-Id"]


def test_events(service, cli):
    after = events_so_far(service)
    service.api.create("web", image="hello", args=["exit=3", "after=1"])
    service.api.create("other", image="hello")
    service.api.wait_state("web", "exited")
    text = cli.run("events", "--after", after, "--name", "web", "--kind", "guests", "--count", "1")
    assert re.fullmatch(r"[-0-9]+ [:0-9]+  guests web  created .*image=hello.* \(admin 127\.0\.0\.1\)\n", text), text
    lines = cli.run("events", "--after", after, "--prefix", "we", "--count", "3", "-o", "json").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["type"] for event in events] == ["created", "state", "state"]
    assert events[2]["change"] == {"state": "exited", "exit_code": 3}
    cli.run("events", "--after", "nonsense", code=4)
    cli.run("events", "--kind", "bees", code=4)


def test_events_until_the_interrupt(service, cli):
    after = events_so_far(service)
    service.api.create("web", image="hello")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = cli.start("events", "--after", after, **pipes)
    try:
        assert "guests web  created" in process.stdout.readline()
        process.send_signal(2)  # Ctrl-C
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()


def test_a_stream_that_ends(own, fresh):
    """Skep goes away: the exit code says so."""
    after = events_so_far(own)
    own.api.upload("hello", skep.BUILD / "examples/hello.elf")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = fresh.start("events", "--after", after, **pipes)
    try:
        assert "images hello  uploaded" in process.stdout.readline()
        own.api.ok("POST", "/v1/host/shutdown", json={"grace_ms": 0})
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 3 and errors.startswith("skepctl: "), errors
    finally:
        process.kill()


def test_metrics(service, cli):
    service.api.create("web", image="hello")
    text = cli.run("metrics")
    assert re.search(r"^# TYPE skep_\w+ counter$", text, re.M) and '"web"' in text


def test_tokens(service, cli):
    limits = ("--prefix", "ci-", "--guests", "2", "--vcpus", "3", "-m", "64M", "--volumes", "1G")
    secret = cli.run("token", "create", "ci-bot", "-r", "operator", *limits, "--expires", "2100-01-31T00:00:00Z").strip()
    token = service.api.ok("GET", "/v1/tokens/ci-bot")
    assert token["scope"]["prefix"] == "ci-" and token["expires_at"].startswith("2100-01-31")
    quotas = {"guests": 2, "vcpus": 3, "memory_bytes": 64 << 20, "volume_bytes": 1 << 30}
    assert token["scope"]["quotas"] == quotas
    # It is told nowhere else, and is the one.
    row = cli.run("token", "ls").splitlines()[1]
    assert re.match(r"ci-bot +operator +ci- ", row) and "64 MiB memory" in row and secret not in row
    cli.run("run", "hello", "-n", "web", "--no-wait", environment={"SKEP_TOKEN": secret}, code=4)
    cli.run("run", "hello", "-n", "ci-web", "-m", "1M", "--no-wait", environment={"SKEP_TOKEN": secret})

    assert cli.run("whoami").split()[:4] == ["name", "admin", "role", "admin"]
    told = cli.run("whoami", environment={"SKEP_TOKEN": secret})
    assert re.search(r"name +ci-bot\nrole +operator\nprefix +ci-\n", told) and "64 MiB memory" in told

    cli.run("token", "create", "ci-bot", "-r", "viewer", code=1)
    other = cli.run("token", "rotate", "ci-bot").strip()
    assert other != secret and service.api.ok("GET", "/v1/tokens/ci-bot")["scope"] == token["scope"]
    cli.run("ps", environment={"SKEP_TOKEN": secret}, code=4)
    assert "ci-web" in cli.run("ps", environment={"SKEP_TOKEN": other})
    assert cli.run("token", "set", "ci-bot", "-r", "viewer") == ""
    changed = service.api.ok("GET", "/v1/tokens/ci-bot")
    assert changed["role"] == "viewer" and changed["expires_at"] is None
    cli.run("rm", "ci-web", environment={"SKEP_TOKEN": other}, code=4)
    assert cli.run("complete", "--", "token", "rm", "") == "ci-bot\n"
    cli.run("token", "rm", "ci-bot")
    cli.run("ps", environment={"SKEP_TOKEN": other}, code=4)
    for words in (("set", "ci-bot"), ("set", "ci-bot", "-r", "viewer"), ("rotate", "ci-bot")):
        cli.run("token", *words, code=2 if len(words) == 2 and words[0] == "set" else 4)
