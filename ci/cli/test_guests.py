"""Guests by skepctl: from run to rm."""

import base64
import json
import subprocess

import skep


def state(service, name):
    return service.api.status(name)["state"]


def test_run_and_where(service, cli):
    said = cli.run(
        *("run", "hello", "-n", "web", "-m", "4M", "-a", "10.0.2.20/24", "-g", "10.0.2.2", "--dns", "10.0.2.3"),
        *("-6", "FD00::20/64", "--gateway6", "fe80::1"),
        *("-e", "A=1", "-e", "B=x=y", "-e", "A=2", "--restart", "on-failure", "--vcpus", "2"),
        *("-l", "team=edge", "--label", "tier=1"),
        *("--", "print=hi", "-n", "--", "x"),
    )
    assert said == "guest web is running at 10.0.2.20\n"
    spec = service.api.ok("GET", "/v1/guests/web")["spec"]
    assert spec["memory_bytes"] == 4 << 20 and spec["vcpus"] == 2 and spec["restart"] == "on-failure"
    assert spec["labels"] == {"team": "edge", "tier": "1"}
    assert spec["env"] == {"A": "2", "B": "x=y"} and spec["args"] == ["print=hi", "-n", "--", "x"]
    network = spec["networks"][0]
    assert (network["address"], network["gateway"], network["dns"]) == ("10.0.2.20/24", "10.0.2.2", "10.0.2.3")
    assert (network["address6"], network["gateway6"]) == ("fd00::20/64", "fe80::1")
    assert cli.run("logs", "web") == "web starts\nhi\n"


def test_run_with_all_that_a_spec_may_have(service, cli, tmp_path):
    (tmp_path / "conf").write_bytes(b"\0workers=2\n")
    (tmp_path / "text").write_text("a = 5\n")
    (tmp_path / "empty").write_bytes(b"")
    cli.run("run", "hello", "-n", "first")
    cli.run(
        *("run", "hello", "-n", "web", "--vcpus", "2", "--max-vcpus", "4", "--weight", "300", "--cap", "150"),
        *("--start-after", "first", "--file", f"/etc/conf={tmp_path}/conf", "--file", f"/e={tmp_path}/empty"),
        *("--file", f"/t={tmp_path}/text", "--secret", f"/etc/key={tmp_path}/conf"),
    )
    spec = service.api.ok("GET", "/v1/guests/web")["spec"]
    wanted = {"vcpus": 2, "max_vcpus": 4, "weight": 300, "cpu_cap": 150, "start_after": ["first"]}
    assert wanted.items() <= spec.items()
    assert spec["files"] == [
        {"path": "/e", "secret": False, "content": ""},
        {"path": "/etc/conf", "secret": False, "content_base64": base64.b64encode(b"\0workers=2\n").decode()},
        {"path": "/etc/key", "secret": True},
        {"path": "/t", "secret": False, "content": "a = 5\n"},
    ]
    # The secret has the content that was given.
    answer = service.api.ok("PATCH", "/v1/guests/web", json={"files": [
        {"path": "/e"}, {"path": "/etc/conf"}, {"path": "/t"},
        {"path": "/etc/key", "secret": True, "content_base64": spec["files"][1]["content_base64"]},
    ]})  # fmt: skip
    assert answer["change"] == "none"
    cli.run("run", "hello", "-n", "x", "--file", f"/e={tmp_path}/none", code=6)
    cli.run("run", "hello", "-n", "x", "--vcpus", "3", "--max-vcpus", "2", code=4)


def test_run_leaves_a_guest_alone(service, cli):
    service.api.create("web", image="hello")
    cli.run("run", "hello", "-n", "web", "-m", "1M", code=1)
    assert service.api.ok("GET", "/v1/guests/web")["spec"]["memory_bytes"] == 16 << 20
    cli.run("run", "hello", "-n", "web", "-m", "1M", "--replace", "--no-wait")
    assert service.api.ok("GET", "/v1/guests/web")["spec"]["memory_bytes"] == 1 << 20


def test_run_pushes_a_file_once(service, cli, tmp_path):
    elf = tmp_path / "My_Program.elf"
    elf.write_bytes((skep.BUILD / "examples/hello.elf").read_bytes())
    cli.run("run", elf, "--no-wait")
    assert "image my-program: pushed" in cli.errors
    service.api.wait_state("my-program", "running")
    cli.run("run", elf, "-n", "another", "--no-wait")
    assert "pushed" not in cli.errors
    cli.run("rm", "my-program", "another")
    cli.run("image", "rm", "my-program")


def test_run_tells_of_a_crash(cli):
    said = cli.run("run", "hello", "-n", "bad", "--", "print=last words", "crash=1", code=1)
    assert said == "bad starts\nlast words\n"
    assert "divide-error at 0x1234" in cli.errors and "_start+0x5" in cli.errors
    assert cli.errors.endswith("skepctl: guest bad crashed: divide-error\n")


def test_run_tells_of_a_crash_that_is_restarted(cli):
    cli.run("run", "hello", "-n", "bad", "--restart", "always", "--", "crash=1", code=1)
    assert "crashed: divide-error" in cli.errors


def test_an_old_crash_is_no_new_one(cli):
    cli.run("run", "hello", "-n", "web", "--", "crash=1", code=1)
    assert cli.run("run", "hello", "-n", "web", "--replace") == "guest web is running\n"


def test_run_follows_to_the_end(cli):
    assert cli.run("run", "hello", "-n", "job", "-f", "--", "print=work", "exit=0") == "job starts\nwork\n"
    cli.run("run", "hello", "-n", "job2", "-f", "--", "exit=3", code=1)
    assert "exited with code 3" in cli.errors


def test_refusals_are_repeated(service, cli):
    cli.run("run", "nonsense", code=4)
    detail = service.api.put("/v1/guests/x", json={"image": "nonsense"}).json()["detail"]
    assert cli.errors == f"skepctl: {detail}\n"


def test_power(service, cli):
    for name in ("one", "two"):
        service.api.create(name, image="hello")
        service.api.wait_state(name, "running")
    cli.run("pause", "one", "two")
    service.api.wait_state("two", "paused")
    cli.run("resume", "one")
    service.api.wait_state("one", "running")
    cli.run("stop", "one", "two")
    assert {state(service, "one"), state(service, "two")} <= {"exited", "killed", "stopped"}
    cli.run("start", "one")
    service.api.wait_state("one", "running")
    before = service.api.status("one")["started_at"]
    cli.run("restart", "one")
    skep.wait_for(
        lambda: state(service, "one") == "running" and service.api.status("one")["started_at"] != before,
        "one was started anew",
    )
    cli.run("rm", "one", "two")
    assert service.api.ok("GET", "/v1/guests")["items"] == []


def test_start_is_for_what_ended_by_itself(service, cli):
    service.api.create("job", image="hello", args=["exit=0"])
    service.api.wait_state("job", "exited")
    before = service.api.status("job")["log_end"]
    cli.run("start", "job")
    skep.wait_for(lambda: service.api.status("job")["log_end"] > before, "it ran again")


def test_stop_has_a_bound(service, cli):
    service.api.create("mule", image="hello", args=["stubborn"])
    service.api.wait_state("mule", "running")
    cli.run("stop", "mule", "--timeout", "0", code=1)
    assert "is stopping after 0 s" in cli.errors
    service.api.ok("PATCH", "/v1/guests/mule", json={"stop_grace_ms": 0})


def test_several_names(service, cli):
    """Each is tried, and the first that failed gives the exit code."""
    service.api.create("one", image="hello")
    cli.run("rm", "nobody", "one", code=4)
    assert "There is no guest 'nobody'" in cli.errors
    assert service.api.ok("GET", "/v1/guests")["items"] == []


def test_names_are_no_paths(cli):
    for name in ("../host", "x?y", "..", "a/b", "%2e"):
        cli.run("inspect", name, code=4)


def test_inspect(service, cli):
    service.api.create("web", image="hello", args=['"{[,', "\\"])
    text = cli.run("inspect", "web")
    guest = json.loads(text)
    assert guest["spec"] == service.api.ok("GET", "/v1/guests/web")["spec"]
    assert '\n  "spec": {\n    "image": "hello",\n' in text and '"env": {},\n' in text


def test_logs(service, cli):
    service.api.create("web", image="hello", args=["print=hello"])
    skep.wait_for(lambda: b"hello" in service.api.log("web"), "it printed")
    assert cli.run("logs", "web", "--offset", "4") == "starts\nhello\n"
    cli.run("logs", "web", "--offset", "1000", code=4)
    cli.run("logs", "nobody", code=4)


def test_following_a_log(service, cli):
    service.api.create("ticks", image="hello", args=["tick=20"])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = cli.start("logs", "-f", "ticks", **pipes)
    try:
        for expected in ("ticks starts\n", "tick\n", "tick\n"):
            assert process.stdout.readline() == expected
        process.send_signal(2)  # Ctrl-C
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
    process = cli.start("logs", "-f", "ticks", **pipes)
    try:
        assert process.stdout.readline() == "ticks starts\n"
        service.api.ok("PATCH", "/v1/guests/ticks", json={"desired_state": "stopped"})
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()


def test_top(service, cli):
    service.api.create("busy", image="hello", networks=[{"address": "10.0.2.20/24"}])
    service.api.wait_state("busy", "running")
    lines = cli.run("top", "-d", "200", "-n", "2").splitlines()
    rows = [line.split() for line in lines if line.startswith("busy")]
    assert len(rows) == 2
    for row in rows:  # the model's guests compute all the time
        assert row[1] == "running" and float(row[2]) > 20 and row[3:5] == ["64", "KiB"], row
    (item,) = json.loads(cli.run("top", "-d", "200", "-o", "json"))["items"]
    assert item["name"] == "busy" and item["cpu_percent"] > 20 and item["memory_used_bytes"] == 64 << 10
    with cli.terminal("top", "-d", "100") as terminal:
        terminal.wait("busy")
        terminal.interrupt()
        assert terminal.end() == 0
        assert "\x1b[2J" in terminal.text


def test_lists_by_label(service, cli):
    for name, labels in (("a", {"team": "edge"}), ("b", {"team": "edge", "tier": "1"}), ("c", {})):
        service.api.create(name, image="hello", memory_bytes=1 << 20, desired_state="stopped", labels=labels)

    def names(*options):
        return [line.split()[0] for line in cli.run("ps", *options).splitlines()[1:]]

    assert names() == ["a", "b", "c"]
    assert names("-l", "team=edge") == ["a", "b"]
    assert names("-l", "team=edge", "-l", "tier=1") == ["b"]
    assert names("--label", "team=x&y") == []
    cli.run("ps", "-l", "team", code=4)
    assert "label must be" in cli.errors
    assert cli.run("app", "ls", "-l", "team=edge").count("\n") == 1


def test_crashes_and_audit(service, cli):
    cli.run("run", "hello", "-n", "bad", "--", "crash=1", code=1)
    latest = service.api.ok("GET", "/v1/crashes")["items"][0]["id"]
    assert any(line.split()[:2] == [str(latest), "bad"] for line in cli.run("crashes").splitlines())
    assert cli.run("crashes", latest) == "bad starts\n"
    assert f"crash {latest}: divide-error" in cli.errors
    cli.run("crashes", "9999", code=4)
    last = service.api.ok("GET", "/v1/audit")["last"]
    cli.run("rm", "bad")
    lines = cli.run("audit", "--after", last).splitlines()
    assert lines[1].split()[0] == str(last + 1) and "DELETE  /v1/guests/bad" in lines[1]
    assert lines[-1].endswith(service.api.ok("GET", "/v1/audit")["head"])


def test_an_audit_record_has_values(service, cli):
    """What changed alone, and nothing of it is the terminal's to follow."""
    service.api.create("web", image="hello", desired_state="stopped", env={"A": "\x1b[2J", "B": "x" * 3000})
    service.api.ok("PATCH", "/v1/guests/web", json={"weight": 7, "env": None, "labels": {"a": "b"}})
    last = service.api.ok("GET", "/v1/audit")["last"]
    head, row, *rest = cli.run("audit", last).splitlines()
    assert head.split()[0] == "ID" and row.split()[0] == str(last) and "/v1/guests/web" in row
    assert rest == [
        "  weight: 100 -> 7",
        '  labels: {} -> {"a":"b"}',
        "  env: - -> {}",
        "  before.env is too long to be in the record",
    ], rest
    made = cli.run("audit", last - 1)
    assert '  image: - -> "hello"\n' in made and "  after.env is too long" in made and "\x1b" not in made
    service.api.delete_guest("web")
    assert '  weight: 7 -> -\n' in cli.run("audit", service.api.ok("GET", "/v1/audit")["last"])
    assert json.loads(cli.run("audit", last, "-o", "json"))["items"][0]["id"] == last
    cli.run("audit", "999999", code=1)
    cli.run("audit", "x", code=2)


def test_what_runs_is_changed(service, cli):
    service.api.create("web", image="hello", vcpus=1, max_vcpus=4)
    service.api.wait_state("web", "running")
    before = service.api.status("web")["started_at"]
    assert cli.run("set", "web", "-m", "32M", "--vcpus", "2", "-w", "300", "--cap", "50") == "guest web: applied\n"
    guest = service.api.ok("GET", "/v1/guests/web")
    wanted = {"memory_bytes": 32 << 20, "vcpus": 2, "weight": 300, "cpu_cap": 50}
    assert wanted.items() <= guest["spec"].items() and guest["status"]["started_at"] == before
    cli.run("set", "web", "--weight", "0", code=2)
    cli.run("set", "web", code=2)
    assert "say what is to change" in cli.errors
    assert cli.run("set", "web", "-l", "a=b", "--unlabel", "none") == "guest web: applied\n"
    assert service.api.ok("GET", "/v1/guests/web")["spec"]["labels"] == {"a": "b"}
    cli.run("set", "web", "--vcpus", "5", code=4)
    cli.run("set", "nobody", "web", "--cap", "0", code=4)  # each is tried
    assert service.api.ok("GET", "/v1/guests/web")["spec"]["cpu_cap"] == 0


def test_vcpus_and_trace(service, cli):
    service.api.create("web", image="hello", vcpus=2)
    service.api.wait_state("web", "running")
    rows = [line.split() for line in cli.run("vcpus", "web").splitlines()]
    assert rows[0][:3] == ["VCPU", "STATE", "CPU"] and [row[0] for row in rows[1:]] == ["0", "1"]
    first = service.api.ok("GET", "/v1/guests/web/trace")["items"][0]
    row = cli.run("trace", "web").splitlines()[1].split()
    assert row[1:4] == [str(first["cpu"]), str(first["vcpu"]), first["kind"]]
    extra = first.keys() - {"clock_ns", "cpu", "vcpu", "kind"}
    assert extra and {word.partition("=")[0] for word in row[4:]} == extra
    for command in ("vcpus", "trace"):
        cli.run(command, "nobody", code=4)
        assert cli.run(command, "web", "-o", "json").startswith('{"items":[{')
