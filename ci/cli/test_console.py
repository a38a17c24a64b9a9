"""A guest's console by skepctl: on a terminal, by pipes, and however it ends."""

import base64
import hashlib
import signal
import subprocess
import termios

import pytest

import skep
from conftest import Service
from impostor import Impostor

DETACH = "\x10\x11"  # ctrl-p ctrl-q
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@pytest.fixture
def echo(service, cli):
    """A guest that prints what it is given."""
    service.api.create("echo", image="hello", args=["echo"])
    service.api.wait_state("echo", "running")
    return cli


def modes(terminal):
    return termios.tcgetattr(terminal.descriptor)


def log(service):
    return service.api.log("echo").decode()


def test_on_a_terminal(service, echo):
    with echo.terminal("console", "echo") as terminal:
        terminal.wait("at the console of echo; ctrl-p,ctrl-q leaves it")
        terminal.wait("echo starts\r\n")
        terminal.type("one\rtwo")  # Enter is a line's end for the guest
        terminal.wait("one\r\ntwo")
        terminal.type("\x03\x1a\x04\x10x")  # what a terminal acts on otherwise, and half of the detach keys
        skep.wait_for(lambda: log(service).endswith("one\ntwo\x03\x1a\x04\x10x"), "keys have come")
        terminal.type("last" + DETACH + "never")
        assert terminal.end() == 0
        assert terminal.text.endswith("left the console of echo\r\n")
    assert log(service).endswith("xlast")
    assert service.api.status("echo")["state"] == "running"


def test_other_detach_keys(service, echo):
    keys = "a,a,ctrl-],b"
    with echo.terminal("console", "echo", "--detach-keys", keys) as terminal:
        terminal.wait(keys)
        terminal.type("ctrl" + DETACH + "aaa\x1da")  # not yet, though it begins so twice
        skep.wait_for(lambda: log(service).endswith("ctrl\x10\x11aaa\x1d"), "keys have come")
        terminal.type("a\x1d")
        terminal.type("b")
        assert terminal.end() == 0
    assert log(service).endswith("aaa\x1d")
    for wrong in ("", "a,", ",a", "ctrl", "ctrl-", "ctrl-1", "ctrl-A", "ab", "a b", "a,a,a,a,a,a,a,a,a"):
        echo.run("console", "echo", "--detach-keys", wrong, code=2)
        assert "--detach-keys" in echo.errors


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))
def test_the_terminal_comes_back(echo, number):
    with echo.terminal("console", "echo") as terminal:
        before = modes(terminal)
        terminal.wait("at the console")
        assert modes(terminal) != before
        terminal.process.send_signal(number)
        terminal.wait("left the console of echo")
        assert modes(terminal) == before
        assert terminal.end() == 0


def test_the_terminal_comes_back_when_the_guest_ends(service, echo):
    with echo.terminal("console", "echo") as terminal:
        before = modes(terminal)
        terminal.wait("at the console")
        service.api.ok("PATCH", "/v1/guests/echo", json={"desired_state": "stopped"})
        terminal.wait("the guest has ended")
        assert modes(terminal) == before
        assert terminal.end() == 0


def test_the_terminal_comes_back_when_skep_is_gone(tmp_path, fresh):
    with Service(tmp_path) as own:
        fresh.login(own)
        own.api.upload("hello", skep.BUILD / "examples/hello.elf")
        own.api.create("web", image="hello")
        with fresh.terminal("console", "web") as terminal:
            before = modes(terminal)
            terminal.wait("web starts")
            own.process.kill()
            terminal.wait("skepctl: the connection to the console of web is lost")
            assert modes(terminal) == before
            assert terminal.end() == 3


def test_it_can_be_left_amid_a_flood(service, cli):
    service.api.create("flood", image="hello", args=["tick=1"])
    with cli.terminal("console", "flood") as terminal:
        terminal.wait(200 * "tick\r\n")
        terminal.type(DETACH)
        assert terminal.end() == 0


def test_lines(service, echo):
    """The terminal's own echo and editing."""
    with echo.terminal("console", "echo", "--line") as terminal:
        terminal.wait("echo starts")
        terminal.type("onw\x7fe\n")
        skep.wait_for(lambda: log(service).endswith("one\n"), "a line has come")
        assert DETACH not in terminal.text
        terminal.interrupt()
        assert terminal.end() == 0


def test_by_pipes(service, echo):
    """Bytes as they are, both ways, more of them than any buffer has; the end of the input doesn't end the output."""
    data = bytes(range(256)) * 160 + b"the end\n"
    process = echo.start("console", "echo", text=False, **PIPES)
    try:
        process.stdin.write(data)
        process.stdin.close()
        expected = b"echo starts\n" + data
        assert process.stdout.read(len(expected)) == expected
        service.api.ok("PATCH", "/v1/guests/echo", json={"desired_state": "stopped"})
        process.stdin = None
        rest, errors = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, b""), errors
        assert errors == b"the guest has ended\n"
    finally:
        process.kill()
        process.wait()


def test_one_writes_and_others_look_on(service, echo):
    writer = echo.start("console", "echo", **PIPES)
    try:
        assert writer.stdout.readline() == "echo starts\n"
        echo.run("console", "echo", code=4)
        assert "Somebody else writes to this console" in echo.errors
        looker = echo.start("console", "echo", "--no-stdin", "--offset", "5", **{**PIPES, "stdin": subprocess.DEVNULL})
        try:
            assert looker.stdout.readline() == "starts\n"
            writer.stdin.write("to both\n")
            writer.stdin.flush()
            assert looker.stdout.readline() == writer.stdout.readline() == "to both\n"
        finally:
            looker.send_signal(signal.SIGINT)
            assert looker.communicate(timeout=60) == ("", "") and looker.returncode == 0
    finally:
        writer.kill()
        writer.communicate(timeout=60)


def test_a_reader_that_has_enough(echo):
    """As with any other program: SIGPIPE ends it."""
    process = echo.start("console", "echo", **PIPES)
    try:
        assert process.stdout.readline() == "echo starts\n"
        process.stdout.close()
        process.stdin.write("more\n")
        process.stdin.flush()
        assert process.wait(60) == -signal.SIGPIPE
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def test_refusals(service, cli):
    cli.run("console", "nobody", code=4)
    assert cli.errors == "skepctl: There is no guest 'nobody'.\n"
    service.api.create("web", image="hello")
    cli.run("console", "web", "--offset", "999999", code=4)
    cli.run("console", "web", environment={"SKEP_TOKEN": "wrong-token-wrong-token"}, code=4)
    cli.run("console", "web", environment={"SKEP_PIN": "sha256//" + 43 * "A" + "="}, code=3)
    assert "another key" in cli.errors
    secret = cli.run("token", "create", "looker", "-r", "viewer").strip()
    try:
        cli.run("console", "web", environment={"SKEP_TOKEN": secret}, code=4)
        assert "operator" in cli.errors
        process = cli.start("console", "web", "--no-stdin", environment={"SKEP_TOKEN": secret}, **PIPES)
        try:
            assert process.stdout.readline() == "web starts\n"
            cli.run("token", "rm", "looker")
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (4, "skepctl: the token has ended\n")
        finally:
            process.kill()
    finally:
        service.api.delete("/v1/tokens/looker")


def accept(handler):
    text = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()


@pytest.mark.parametrize(
    "header, frames, code",
    (
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"", 5),
        ("HTTP/1.1 101 Yes\r\n\r\n", b"", 5),
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: wrong\r\n\r\n", b"", 5),
        ("HTTP/1.1 404 No\r\nContent-Length: 1000\r\n\r\n{}", b"", 3),
        ("SSH-2.0\r\n", b"", 3),
        ("HTTP/1.1 101 " + 9000 * "x", b"", 3),
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n", b"", 3),
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n\r\n", b"", 3),
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n\r\n", b"\x82\x85abcdefghi", 3),  # masked
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n\r\n", b"\x82\x7f\x7f" + bytes(7), 3),  # endless
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n\r\n", b"\x82\x04bees\x88\x02\x03\xf3", 5),
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n\r\n", b"\x82\x04bees\x88\x04\x03\xe8ok", 0),
        ("HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {}\r\n\r\n", b"\x81\x01[\x82\x04bees\x88\x03\x03\xf0\x1b", 4),
    ),
)
def test_what_no_skep_would_say(tmp_path, fresh, header, frames, code):
    def answer(handler):
        handler.wfile.write(header.replace("{}", accept(handler) if "101" in header else "{}").encode() + frames)
        handler.close_connection = True

    with Impostor(tmp_path) as impostor:
        fresh.run("login", impostor.url, "--yes", "--token-stdin", input="token-of-the-impostor")
        impostor.answer = answer
        said = fresh.run("console", "web", "--no-stdin", code=code)
    assert said == ("bees" if b"bees" in frames else "")
    assert "\x1b" not in fresh.errors and (code == 0 or fresh.errors.startswith("skepctl: ") or "lost" in fresh.errors)
