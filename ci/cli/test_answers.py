"""What skepctl makes of answers, good and bad, of pipes and terminals."""

import hashlib
import json
import re
import subprocess

import pytest

import skep
import traces
from conftest import CONTRACT, HOST_BUILD, at_once
from impostor import Impostor


@pytest.fixture
def impostor(tmp_path, fresh):
    """One that skepctl is logged in to."""
    with Impostor(tmp_path) as running:
        fresh.run("login", running.url, "--yes", "--token-stdin", input="token-of-the-impostor")
        yield running


def problem(status, detail):
    body = json.dumps({"title": "x", "status": status, "detail": detail}).encode()
    return lambda handler: Impostor.reply(handler, status, body, "application/problem+json")


@pytest.mark.parametrize("status, code", [(401, 4), (404, 4), (422, 4), (500, 5), (503, 5), (507, 5)])
def test_problems_are_told_in_their_words(fresh, impostor, status, code):
    impostor.answer = problem(status, "The bees are “out”, try later.")
    assert fresh.run("ps", code=code) == ""
    assert fresh.errors == "skepctl: The bees are “out”, try later.\n"


def test_a_problem_can_not_steer_a_terminal(fresh, impostor):
    impostor.answer = problem(409, "\x1b[31mred\n\x07\x9b31m")
    fresh.run("ps", code=4)
    assert fresh.errors == "skepctl: ?[31mred????31m\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"items": '])
def test_what_is_no_json(fresh, impostor, body):
    impostor.answer = lambda handler: Impostor.reply(handler, 200, body, "text/html")
    fresh.run("ps", code=5)


def test_hostile_tables(fresh, impostor):
    items = [{"name": "\x1b[2J\x9b2J", "spec": 5, "status": []}, {"name": 7}, 9, None]
    body = json.dumps({"items": items}).encode()
    impostor.answer = lambda handler: Impostor.reply(handler, 200, body)
    assert not re.search("[\x1b\x9b]", fresh.run("ps"))


@pytest.mark.parametrize("kept, told", [("disk", "on the disk"), ("memory", "in memory")])
def test_where_the_audit_trail_is(fresh, impostor, kept, told):
    body = json.dumps({"items": [], "valid": True, "first": 7, "last": 9, "head": "c0ffee", "kept": kept}).encode()
    impostor.answer = lambda handler: Impostor.reply(handler, 200, body)
    assert fresh.run("audit").splitlines()[-1] == f"records 7 to 9 are kept {told}, the head is c0ffee"


def test_an_export_that_breaks_off(fresh, impostor, tmp_path):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    impostor.answer = cut
    fresh.run("volume", "export", "db", tmp_path / "db.img", code=3)
    assert not list(tmp_path.glob("db.img*"))


def test_an_export_with_another_digest(fresh, impostor, tmp_path):
    (tmp_path / "db.img").write_text("what was there")
    fields = {"Skep_Digest": "sha256:" + "0" * 64}
    impostor.answer = lambda handler: Impostor.reply(handler, 200, b"data", "x/y", **fields)
    fresh.run("volume", "export", "db", tmp_path / "db.img", code=5)
    assert (tmp_path / "db.img").read_text() == "what was there"


def test_an_upload_shows_a_bar(fresh, impostor, tmp_path):
    """The answer is held back until the bar is there, so nothing depends on how fast this is."""
    import threading

    shown = threading.Event()
    (tmp_path / "x.elf").write_bytes(bytes(1 << 20))

    def answer(handler):
        if handler.command == "GET":
            return Impostor.reply(handler, 404, b"{}")
        shown.wait(30)
        return Impostor.reply(handler, 201, b"{}")

    impostor.answer = answer
    with fresh.terminal("image", "push", tmp_path / "x.elf") as terminal:
        terminal.wait("pushing x  ##############################  1.0 MiB")
        shown.set()
        assert terminal.end() == 0


def test_json_is_passed_on(service, cli):
    for command, path in (("ps", "guests"), ("image ls", "images"), ("volume ls", "volumes"), ("disk ls", "disks")):
        assert json.loads(cli.run(*command.split(), "-o", "json")) == service.api.ok("GET", f"/v1/{path}")
    assert json.loads(cli.run("-o", "json", "host"))["hostname"] == "skep"


def make_paused(service, name, **spec):
    """A guest whose state stays."""
    service.api.create(name, image="hello", **spec)
    skep.wait_for(lambda: service.api.status(name)["state"] == "running", f"{name} runs")
    service.api.ok("PATCH", f"/v1/guests/{name}", json={"desired_state": "paused"})
    skep.wait_for(lambda: service.api.status(name)["state"] == "paused", f"{name} is paused")


def test_a_table(service, cli):
    make_paused(service, "web", memory_bytes=4 << 20)
    head, row = cli.run("ps").splitlines()
    assert head.split()[:4] == ["NAME", "STATE", "IMAGE", "ADDRESS"]
    assert row.split()[:4] == ["web", "paused", "hello", "-"] and "64 KiB / 4.0 MiB" in row
    assert row.index("paused") == head.index("STATE")  # aligned


def test_colours(service, cli):
    make_paused(service, "web")
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with cli.terminal("ps", environment=environment) as terminal:
            assert terminal.end() == 0
            assert ("\x1b[33mpaused\x1b[0m" in terminal.text) == coloured, terminal.text


def test_a_reader_that_goes_away(service, cli):
    service.api.create("ticks", image="hello", args=["tick=1"])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = cli.start("logs", "-f", "ticks", **pipes)
    try:
        assert process.stdout.readline() == "ticks starts\n"
        process.stdout.close()
        assert process.wait(60) == -13  # SIGPIPE
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.stderr.close()


def test_a_full_output(cli):
    with open("/dev/full", "w") as full:
        process = cli.start("ps", stdout=full, stderr=subprocess.PIPE)
        assert "standard output" in process.communicate(timeout=60)[1]
        assert process.returncode == 6


WRONG = [
    ["nonsense"], ["image"], ["image", "nonsense"], ["ps", "too", "many"], ["inspect"], ["ps", "--nonsense"],
    ["ps", "-o", "yaml"], ["logs", "x", "--offset", "-1"], ["run", "hello", "-m", "4X"], ["run", "hello", "-e", "=x"],
    ["run", "hello", "-g", "10.0.2.2"], ["run", "hello", "-v", "db:relative"], ["apply"], ["stop", "x", "-t", "y"],
    ["run", "hello", "--file", "relative=x"], ["run", "hello", "--secret", "/x"], ["run", "hello", "-w", "0"],
    ["volume", "create", "db", "99999999999999999999"], ["disk", "format", "0"], [],
]  # fmt: skip


def test_command_lines_that_are_wrong(cli):
    at_once(lambda arguments: cli.run(*arguments, code=2), WRONG)


@pytest.mark.parametrize(
    "words, told",
    [
        (["ps", "--nonsense"], "--nonsense is no option here"),
        (["ps", "-x"], "-x is no option here"),
        (["ps", "--nonsense=5"], "--nonsense=5 is no option here"),
        (["-x", "ps"], "-x is no option here"),
        (["ps", "--label"], "--label needs a value"),
        (["ps", "-l"], "-l needs a value"),
    ],
)
def test_options_that_there_are_not(cli, words, told):
    cli.run(*words, code=2)
    assert cli.errors == f"skepctl: {told}: skepctl ps --help {'has all' if 'no option' in told else 'explains it'}\n"


def commands(cli):
    """All of them, by what completes them."""
    for first in cli.run("complete", "--", "").split():
        seconds = cli.run("complete", "--", first, "").split() if first in GROUPS else []
        yield from ([first, second] for second in seconds)
        if not seconds or first == "host":
            yield [first]


GROUPS = ("context", "image", "volume", "operation", "app", "disk", "host", "cert", "token", "client")


def test_help_and_manual(cli):
    """Each command has an example that is understood, and the manual names it with all its options."""
    page = (skep.ROOT / "cli/skepctl.1").read_text()
    macros = re.sub(r"\\&|^\.It ", "", page, flags=re.M)
    overview = cli.run("--help")
    assert overview.startswith("usage: skepctl [-c CONTEXT] COMMAND …\n")
    found = list(commands(cli))
    assert len(found) > 35
    for words, text in zip(found, at_once(lambda words: cli.run(*words, "--help"), found)):
        assert f"  skepctl {' '.join(words)}" in text.partition("example:")[2], words
        assert f"  {' '.join(words)} " in overview
        assert re.search(rf"\b{' '.join(words)}\b", macros.replace(" , ", " ")), words
        for option in re.findall(r"--([a-z-]+)", text.partition("\n\n")[2].partition("example:")[0]):
            assert f"Fl -{option}" in page, (words, option)
    assert cli.run("--version").startswith("skepctl 0")


def test_the_manual_is_well_formed():
    result = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", skep.ROOT / "cli/skepctl.1"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def test_completion(service, cli):
    assert cli.run("complete", "--", "im") == "image\n"
    assert cli.run("complete", "--", "image", "") == "push\nls\nset\nrm\n"
    assert cli.run("complete", "--", "image", "rm", "") == "hello\n"
    assert cli.run("complete", "--", "-c", "lab", "image", "rm", "h") == "hello\n"
    assert cli.run("complete", "--", "context", "use", "") == "lab\n"
    assert cli.run("complete", "--", "run", "he") == "hello\n"
    assert cli.run("complete", "--", "run", "--re") == "--restart\n--replace\n"
    assert cli.run("complete", "--", "nonsense", "") == ""


def test_completion_in_bash(cli):
    script = f"""
        PATH={HOST_BUILD}:$PATH
        source {skep.ROOT}/cli/skepctl.bash
        COMP_WORDS=(skepctl volume sn) COMP_CWORD=2
        _skepctl
        echo "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(["bash", "-c", script], env=cli.environment, capture_output=True, text=True)
    assert result.stdout == "snapshot\n", result.stderr


def test_digests_are_of_sha256(service, cli, tmp_path):
    """The one that decides whether an image is there is the API's."""
    elf = skep.BUILD / "examples/hello.elf"
    assert cli.run("image", "push", elf) == "image hello: was there already\n"
    (image,) = service.api.ok("GET", "/v1/images")["items"]
    assert image["digest"] == "sha256:" + hashlib.sha256(elf.read_bytes()).hexdigest()


def test_a_trace(service, fresh, tmp_path):
    """It is what all these tests are looked at by."""
    fresh.login(service)
    before = traces.note(CONTRACT)
    assert before >= 2  # of the login
    fresh.run("inspect", "none", code=4)
    service.api.create("web", image="hello")
    fresh.run("console", "none", code=4)
    fresh.run("image", "push", skep.BUILD / "examples/spin.elf", "other")
    assert traces.note(CONTRACT) == 4  # image push looks before it sends
    fresh.run("image", "rm", "other")
    service.api.delete_guest("web")

    file = tmp_path / "trace"
    fresh.run("inspect", "none", environment={"SKEP_TRACE": str(file)}, code=4)
    fresh.run("console", "none", environment={"SKEP_TRACE": str(file)}, code=4)
    text = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert service.token not in text and "Authorization" not in text and "User-Agent: skepctl" in text
    seen = [(method, target, answer.status) for method, target, answer, _ in traces.answers(file.read_bytes())]
    assert seen == [("GET", "/v1/guests/none", 404), ("GET", "/v1/guests/none/console?input=true", 404)]
    fresh.run("ps", environment={"SKEP_TRACE": str(tmp_path / "none/trace")}, code=6)
