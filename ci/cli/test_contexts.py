"""Logging in, what is trusted from then on, and contexts."""

import json
import os

import pytest

from impostor import Impostor


@pytest.fixture
def impostor(tmp_path):
    with Impostor(tmp_path) as running:
        yield running


def test_nobody_to_ask_is_refused(service, fresh):
    fresh.run("login", service.url, "--token-stdin", input=service.token, code=2)
    assert service.fingerprint in fresh.errors and "--fingerprint" in fresh.errors
    assert not fresh.config.exists()


def test_login_by_fingerprint(service, fresh):
    fingerprint = service.fingerprint.replace(":", "").lower()
    said = fresh.run(
        *("login", service.url, "--token-stdin", "--fingerprint", "sha256:" + fingerprint),
        input=service.token + "\n",
    )
    assert service.token not in said + fresh.errors
    assert fresh.config.stat().st_mode & 0o777 == 0o600
    assert fresh.config.parent.stat().st_mode & 0o777 == 0o700
    name = service.url.removeprefix("https://")
    assert json.loads(fresh.config.read_text())["current"] == name
    assert "Skep 0" in fresh.run("host")


@pytest.mark.parametrize("fingerprint, code", [("00:" * 31 + "00", 3), ("ABCD", 2), ("x" * 64, 2)])
def test_a_wrong_fingerprint(service, fresh, fingerprint, code):
    fresh.run(
        *("login", service.url, "--token-stdin", "--yes", "--fingerprint", fingerprint),
        input=service.token,
        code=code,
    )
    assert not fresh.config.exists()


def test_a_wrong_token_is_not_kept(service, fresh):
    fresh.run("login", service.url, "--yes", "--token-stdin", input="wrong-token-wrong\n", code=4)
    assert "Send the right token" in fresh.errors
    assert not fresh.config.exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "https://", "https://host/path", "ftp://host"])
def test_addresses_that_are_none(fresh, url):
    fresh.run("login", url, "--yes", "--token-stdin", input="token", code=2)


def test_login_asks_on_a_terminal(service, fresh):
    with fresh.terminal("login", service.url) as terminal:
        terminal.wait("[y/N]")
        assert service.fingerprint in terminal.text
        terminal.type("n\n")
        assert terminal.end() == 1
    assert not fresh.config.exists()
    with fresh.terminal("login", service.url, "--name", "lab") as terminal:
        terminal.wait("[y/N]")
        terminal.type("y\n")
        terminal.wait("Token:")
        terminal.type(service.token + "\n")
        assert terminal.end() == 0
        assert service.token not in terminal.text  # no echo
    assert "Skep 0" in fresh.run("-c", "lab", "host")


def test_a_prompt_can_be_broken_off(service, fresh):
    with fresh.terminal("login", service.url, "--fingerprint", service.fingerprint) as terminal:
        terminal.wait("Token:")
        terminal.interrupt()
        assert terminal.end() == 1
    assert not fresh.config.exists()


def test_another_key_gets_no_token(service, fresh, impostor):
    fresh.login(service)
    config = json.loads(fresh.config.read_text())
    config["contexts"]["lab"]["url"] = impostor.url
    fresh.config.write_text(json.dumps(config))
    fresh.run("ps", code=3)
    assert "another key" in fresh.errors
    assert impostor.heads == []


def test_looking_at_a_certificate_sends_no_token(fresh, impostor):
    token = "a-token-that-stays-here"
    fresh.run("login", impostor.url, "--token-stdin", input=token, code=2)
    assert len(impostor.heads) == 1 and token not in impostor.heads[0]
    assert "Authorization" not in impostor.heads[0]


def test_the_environment_wins(service, fresh, impostor):
    fresh.login(service)
    context = json.loads(fresh.config.read_text())["contexts"]["lab"]
    # The context's pin and token are not for another address.
    fresh.run("ps", environment={"SKEP_URL": impostor.url}, code=2)
    fresh.run("ps", environment={"SKEP_URL": impostor.url, "SKEP_PIN": context["pin"]}, code=2)
    assert impostor.heads == []
    fresh.run("ps", environment={"SKEP_TOKEN": "wrong-token-wrong-token"}, code=4)
    fresh.run("ps", environment={"SKEP_PIN": "sha256//" + "A" * 43 + "="}, code=3)
    fresh.config.unlink()
    names = {"SKEP_URL": service.url, "SKEP_PIN": context["pin"], "SKEP_TOKEN": service.token}
    assert "Skep 0" in fresh.run("host", environment=names)


def test_contexts(service, fresh):
    fresh.run("ps", code=2)
    assert "login" in fresh.errors
    fresh.login(service, "one")
    fresh.login(service, "two")
    lines = fresh.run("context", "ls").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["one", service.url], ["→", "two"]]
    items = json.loads(fresh.run("context", "ls", "-o", "json"))["items"]
    assert [(item["name"], item["url"], item["current"]) for item in items] == [("one", service.url, False), ("two", service.url, True)]
    assert set(items[0]) == {"name", "url", "fingerprint", "current"}
    fresh.run("context", "use", "one")
    assert json.loads(fresh.config.read_text())["current"] == "one"
    fresh.run("context", "use", "three", code=2)
    fresh.run("-c", "three", "ps", code=2)
    fresh.run("context", "rm", "one")
    assert list(json.loads(fresh.config.read_text())["contexts"]) == ["two"]
    fresh.run("host", code=2)
    fresh.run("host", "--context", "two")


def test_a_file_that_others_can_read(service, fresh):
    fresh.login(service)
    os.chmod(fresh.config, 0o644)
    fresh.run("ps", code=2)
    assert "chmod 600" in fresh.errors


def test_nobody_listens(fresh):
    import skep

    (port,) = skep.free_ports(1)
    fresh.run("login", f"https://127.0.0.1:{port}", "--yes", "--token-stdin", input="x", code=3)
