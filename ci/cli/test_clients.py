"""Client certificates: made known by skepctl, and logged in with."""

import json
import os

import pytest

from authority import Key, self_signed

KIND = "/v1/client-certificates"


@pytest.fixture
def robot(tmp_path):
    return self_signed(tmp_path, "robot")


@pytest.fixture
def known(service, cli, robot):
    """skepctl knows the robot's certificate, and Skep does."""
    cli.run("client", "add", "robot", robot[1], "--role", "operator")
    yield robot
    for item in service.api.ok("GET", KIND)["items"]:
        service.api.ok("DELETE", f"{KIND}/{item['name']}")


def login(fresh, service, certificate, *more, code=0):
    return fresh.run(
        *("login", service.url, "--name", "lab", "--fingerprint", service.fingerprint, "--certificate", certificate),
        *more,
        code=code,
    )


def test_certificates_are_managed(service, cli, robot, tmp_path):
    key, file = robot
    _, other = self_signed(tmp_path, "other")
    limits = ("--prefix", "ci-", "--guests", "3", "-m", "64M", "--expires", "2099-01-31T00:00:00Z")
    said = cli.run("client", "add", "robot", file, "--role", "operator", *limits)
    seen = service.api.ok("GET", f"{KIND}/robot")
    assert said == f"client robot: SHA-256 fingerprint {seen['fingerprint']}\n"
    assert (seen["role"], seen["scope"]["prefix"], seen["expires_at"][:10]) == ("operator", "ci-", "2099-01-31")
    assert (seen["scope"]["quotas"]["guests"], seen["scope"]["quotas"]["memory_bytes"]) == (3, 64 << 20)
    head, row = (line.split() for line in cli.run("client", "ls").splitlines())
    assert head[0] == "NAME" and head[-1] == "FINGERPRINT"
    assert row[:3] == ["robot", "operator", "ci-"] and row[-1] == seen["fingerprint"]
    assert json.loads(cli.run("client", "ls", "-o", "json"))["items"] == [seen]
    assert cli.run("complete", "--", "client", "rm", "r") == "robot\n"

    cli.run("client", "add", "robot", other, "--role", "viewer", code=1)
    assert "there is a client certificate 'robot'" in cli.errors
    cli.run("client", "set", "robot", "--role", "viewer")
    again = service.api.ok("GET", f"{KIND}/robot")
    assert (again["role"], again["scope"], again["fingerprint"]) == ("viewer", None, seen["fingerprint"])
    cli.run("client", "set", "robot", other, "--role", "viewer")
    assert service.api.ok("GET", f"{KIND}/robot")["fingerprint"] != seen["fingerprint"]
    cli.run("client", "rm", "robot")
    cli.run("client", "rm", "robot", code=4)
    cli.run("client", "set", "robot", file, "--role", "viewer", code=4)
    assert service.api.ok("GET", KIND)["items"] == []


def test_a_private_key_is_not_sent(service, cli, robot, tmp_path):
    key, file = robot
    both = tmp_path / "both.pem"
    both.write_text(file.read_text() + key.pem())
    cli.run("client", "add", "robot", both, "--role", "viewer", code=2)
    assert "private key" in cli.errors
    cli.run("client", "add", "robot", key.path, "--role", "viewer", code=2)
    cli.run("client", "add", "robot", tmp_path / "none", "--role", "viewer", code=6)
    cli.run("client", "add", "robot", file, code=2)
    assert "--role" in cli.errors
    assert service.api.ok("GET", KIND)["items"] == []


def test_login_by_certificate(service, fresh, known, tmp_path, monkeypatch):
    key, file = known
    monkeypatch.chdir(tmp_path)
    login(fresh, service, file.name, "--key", key.path.name)
    context = json.loads(fresh.config.read_text())["contexts"]["lab"]
    assert (context["certificate"], context["key"]) == (str(file), str(key.path)) and "token" not in context
    monkeypatch.chdir("/")
    assert fresh.run("whoami").split()[:4] == ["name", "robot", "role", "operator"]
    fresh.run("token", "ls", code=4)  # an operator's no
    assert fresh.run("run", "hello", "-n", "web") == "guest web is running\n"
    assert fresh.run("run", "hello", "-n", "job", "-f", "--", "exit=0") == "job starts\n"
    assert fresh.run("console", "job", "--offset", "0") == "job starts\n"
    fresh.run("whoami", environment={"SKEP_TOKEN": "wrong-token-wrong-token"}, code=4)
    service.api.ok("DELETE", f"{KIND}/robot")
    fresh.run("ps", code=4)


def test_certificate_and_key_in_one_file(service, fresh, known, tmp_path):
    key, file = known
    both = tmp_path / "both.pem"
    both.write_text(file.read_text() + key.pem())
    login(fresh, service, both, code=2)
    assert f"{both}: has a private key, and others can read it: chmod 600 it" in fresh.errors
    both.chmod(0o600)
    login(fresh, service, both)
    assert "robot" in fresh.run("whoami")


def test_the_environment_names_a_certificate(service, cli, fresh, known):
    key, file = known
    pin = json.loads(cli.config.read_text())["contexts"]["lab"]["pin"]
    names = {"SKEP_URL": service.url, "SKEP_PIN": pin, "SKEP_CERTIFICATE": str(file), "SKEP_KEY": str(key.path)}
    assert "robot" in fresh.run("whoami", environment=names)
    assert "robot" in cli.run("whoami", environment={k: names[k] for k in ("SKEP_CERTIFICATE", "SKEP_KEY")})


def test_files_that_do_not_do(service, fresh, known, tmp_path):
    key, file = known
    other = Key(tmp_path / "another", "prime256v1")
    login(fresh, service, tmp_path / "none", code=6)
    login(fresh, service, file, "--key", tmp_path / "none", code=6)
    login(fresh, service, file, "--key", other.path, code=2)
    assert f"{file} and {other.path} are no certificate and its private key" in fresh.errors
    sealed = tmp_path / "sealed.key"
    sealed.write_text(key.encrypted())
    sealed.chmod(0o600)
    login(fresh, service, file, "--key", sealed, code=2)
    assert "without a pass phrase" in fresh.errors
    key.path.chmod(0o640)
    login(fresh, service, file, "--key", key.path, code=2)
    assert "chmod 600" in fresh.errors
    fresh.run("login", service.url, "--yes", "--key", key.path, code=2)
    login(fresh, service, file, "--key", key.path, "--token-stdin", code=2)
    _, unknown = self_signed(tmp_path, "stranger")
    login(fresh, service, unknown, "--key", unknown.with_suffix(".key"), code=4)
    assert not fresh.config.exists()
    # What was right when somebody logged in is looked at each time.
    key.path.chmod(0o600)
    login(fresh, service, file, "--key", key.path)
    key.path.chmod(0o644)
    fresh.run("ps", code=2)
    assert "chmod 600" in fresh.errors
    os.unlink(key.path)
    fresh.run("ps", code=6)
    assert str(key.path) in fresh.errors
