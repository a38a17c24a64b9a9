"""Images, volumes, documents and backups by skepctl."""

import json
import os
import re

import pytest

import skep
from conftest import Service

HELLO = skep.BUILD / "examples/hello.elf"
SPIN = skep.BUILD / "examples/spin.elf"


def test_images(service, cli):
    assert cli.run("image", "push", SPIN, "other") == "image other: pushed\n"
    rows = [line.split() for line in cli.run("image", "ls").splitlines()[1:]]
    assert [row[0] for row in rows] == ["hello", "other"]
    answer = json.loads(cli.run("image", "push", HELLO, "other", "-o", "json"))  # another content
    assert answer["name"] == "other"
    said = cli.run("image", "push", HELLO, "other", "-l", "team=edge", "--label", "tier=1")
    assert said == "image other: was there already\nimage other: applied\n"
    assert cli.run("image", "set", "other", "-l", "tier=2", "--unlabel", "team") == "image other: applied\n"
    assert service.api.ok("GET", "/v1/images/other")["labels"] == {"tier": "2"}
    answer = json.loads(cli.run("image", "push", HELLO, "other", "-l", "team=x", "-o", "json"))
    assert answer["labels"] == {"team": "x", "tier": "2"}
    rows = [line.split() for line in cli.run("image", "ls", "-l", "tier=2").splitlines()[1:]]
    assert [row[0] for row in rows] == ["other"]
    cli.run("image", "set", "other", code=2)
    cli.run("image", "push", HELLO, "other", "-l", "team", code=2)
    cli.run("image", "rm", "other")
    cli.run("image", "rm", "other", code=4)
    cli.run("image", "push", "/etc/hostname", "other", code=4)
    cli.run("image", "push", "/nonexistent", code=6)
    cli.run("image", "push", "/dev/null", code=6)


def test_volumes(service, cli, tmp_path):
    cli.run("volume", "create", "db", "1M", "--iops", "300", "--bytes-per-second", "2M")
    volume = service.api.ok("GET", "/v1/volumes/db")
    assert volume["size_bytes"] == 1 << 20
    assert (volume["limits"]["iops"], volume["limits"]["bytes_per_second"]) == (300, 2 << 20)
    cli.run("volume", "create", "db", "2M", code=1)
    assert cli.run("volume", "set", "db", "-l", "team=edge", "-l", "tier=1") == "volume db: applied\n"
    assert cli.run("volume", "set", "db", "--unlabel", "tier", "--unlabel", "none") == "volume db: applied\n"
    cli.run("volume", "resize", "db", "2MiB")
    assert service.api.ok("GET", "/v1/volumes/db")["size_bytes"] == 2 << 20
    assert service.api.ok("GET", "/v1/volumes/db")["limits"]["iops"] == 300
    cli.run("volume", "resize", "db", "1M", code=4)

    data = os.urandom(300000) + bytes((2 << 20) - 300000)
    (tmp_path / "in").write_bytes(data)
    cli.run("volume", "import", "db", tmp_path / "in")
    cli.run("volume", "snapshot", "db", "monday", "-l", "day=monday")
    cli.run("volume", "clone", "monday", "copy")
    kinds = {v["name"]: v["kind"] for v in service.api.ok("GET", "/v1/volumes")["items"]}
    assert kinds == {"db": "volume", "monday": "snapshot", "copy": "volume"}
    cli.run("volume", "copy", "db", "full", "--iops", "200")
    cli.run("volume", "copy", "db", "full", code=1)
    cli.run("volume", "copy", "none", "new", code=4)
    assert service.api.ok("GET", "/v1/volumes/full")["limits"]["iops"] == 200
    assert service.api.ok("GET", "/v1/volumes/full/data") == data
    cli.run("volume", "rm", "full")
    assert re.search(r"^[0-9a-f]{16} +done +full +db +2.0 MiB / 2.0 MiB ", cli.run("operation", "ls"), re.M)
    ended = json.loads(cli.run("operation", "ls", "-o", "json"))["items"][0]["id"]
    assert json.loads(cli.run("operation", "wait", ended, "-o", "json"))["state"] == "done"
    cli.run("operation", "cancel", ended, code=4)
    cli.run("operation", "wait", "0000000000000000", code=4)
    cli.run("volume", "export", "copy", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    names = [line.split()[0] for line in cli.run("volume", "ls").splitlines()]
    assert names == ["NAME", "copy", "db", "monday"]
    for label, name in (("team=edge", "db"), ("day=monday", "monday")):
        assert [line.split()[0] for line in cli.run("volume", "ls", "-l", label).splitlines()[1:]] == [name]
    cli.run("volume", "rm", "copy", "monday", "db")


def test_a_copy_is_cancelled(service, cli):
    """By another terminal; who waits for it is told."""
    service.api.ok("PUT", "/v1/volumes/vast", json={"size_bytes": 1 << 37, "overcommit": True})
    with cli.terminal("volume", "copy", "vast", "copy", "--overcommit") as terminal:
        terminal.wait("copying to copy")
        (running,) = [item["id"] for item in service.api.ok("GET", "/v1/operations")["items"] if item["state"] == "running"]
        cli.run("operation", "cancel", running)
        assert terminal.end() == 1 and "the copy was cancelled" in terminal.text
    assert "cancelled" in cli.run("operation", "ls")
    assert [line.split()[0] for line in cli.run("volume", "ls").splitlines()] == ["NAME", "vast"]


def test_import_makes_a_volume(service, cli, tmp_path):
    (tmp_path / "in").write_bytes(b"bees" * 4096)
    cli.run("volume", "import", "new", tmp_path / "in", code=4)
    cli.run("volume", "import", "new", tmp_path / "in", "--create")
    assert service.api.ok("GET", "/v1/volumes/new/data") == b"bees" * 4096
    cli.run("volume", "import", "new", tmp_path / "in", "--create", code=1)
    (tmp_path / "in").write_bytes(b"odd")
    cli.run("volume", "import", "odd", tmp_path / "in", "--create", code=6)
    assert service.api.get("/v1/volumes/odd").status_code == 404


def test_export_to_a_pipe(service, cli):
    cli.run("volume", "create", "db", "64K")
    assert cli.run("volume", "export", "db", "-") == "\0" * 65536


def test_disks(service, cli):
    row = cli.run("disk", "ls").splitlines()[1].split()
    assert row[:2] == ["0", "online"]
    with cli.terminal("disk", "format", "0") as terminal:
        terminal.wait("[y/N]")
        terminal.type("\n")
        assert terminal.end() == 1
    cli.run("disk", "format", "0", "--yes", code=4)  # it is Skep's already
    cli.run("volume", "create", "db", "64K")
    cli.run("disk", "format", "0", "--yes", "--force")
    assert service.api.ok("GET", "/v1/volumes")["items"] == []


def document(tmp_path, **parts):
    path = tmp_path / "site.json"
    path.write_text(json.dumps(parts))
    return path


def test_apply_and_diff(service, cli, tmp_path):
    (tmp_path / "it.elf").write_bytes(SPIN.read_bytes())
    web = {
        "image": "spin-it",
        "vcpus": 2,
        "cpu_affinity": [0, 1],
        "labels": {"tier": "front"},
        "networks": [{"address": "10.0.2.20/24", "gateway": "10.0.2.2"}, {"address": "dhcp"}],
        "volumes": [{"name": "db", "mount": "/data", "format": True}],
        "files": [
            {"path": "/b", "content": "x"},
            {"path": "/a", "content": "y", "secret": True},
            {"path": "/c", "content_base64": "AAE="},
        ],
    }
    parts = {
        "images": {"spin-it": "it.elf"},
        "volumes": {"db": {"size_bytes": 1 << 20, "limits": {"iops": 9}}, "copy": {"clone_of": "db"}},
        "guests": {"web": web, "plain": {"image": "hello"}},
    }
    path = document(tmp_path, **parts)
    said = cli.run("diff", "-f", path, code=1).splitlines()
    assert said[0].startswith("+ image spin-it: sha256:")
    assert said[1:] == ["+ volume db", "+ volume copy", "+ guest web", "+ guest plain"]
    image, volume, *_, plain = (json.loads(line) for line in cli.run("diff", "-f", path, "-o", "json", code=1).splitlines())
    assert set(image) == {"name", "digest"} and volume["change"] == plain["change"] == "created"
    said = cli.run("apply", "-f", path).splitlines()
    assert said == [
        *("image spin-it: pushed", "volume db: created", "volume copy: created"),
        *("guest web: created", "guest plain: created"),
    ]
    # What was made of it, with every default of the API, is what was wanted.
    assert cli.run("diff", "-f", path) == cli.run("diff", "-f", path, "-o", "json") == ""
    answers = [json.loads(line) for line in cli.run("apply", "-f", path, "-o", "json").splitlines()]
    assert [(a["name"], a["change"]) for a in answers] == [(name, "none") for name in ("db", "copy", "web", "plain")]
    records = service.api.ok("GET", "/v1/audit")["last"]
    assert {line.partition(": ")[2] for line in cli.run("apply", "-f", path).splitlines()} == {"none"}
    assert {r["method"] for r in service.api.ok("GET", f"/v1/audit?after={records}")["items"]} <= {"PUT"}

    web["weight"], parts["volumes"]["db"]["size_bytes"] = 50, 2 << 20
    del parts["volumes"]["db"]["limits"]
    parts["guests"]["plain"]["memory_bytes"] = 1 << 20
    path = document(tmp_path, **parts)
    assert cli.run("diff", "-f", path, code=1).splitlines() == [
        f"~ volume db: size_bytes {1 << 20} -> {2 << 20}",
        '~ volume db: limits {"iops":9,"iops_burst":0,"bytes_per_second":0,"bytes_burst":0} -> '
        '{"iops":0,"iops_burst":0,"bytes_per_second":0,"bytes_burst":0}',
        "~ guest web: weight 100 -> 50",
        f"~ guest plain: memory_bytes {16 << 20} -> {1 << 20}",
    ]
    lines = cli.run("diff", "-f", path, "-o", "json", code=1).splitlines()
    assert [(a["name"], a["change"]) for a in map(json.loads, lines)] == [(name, "applied") for name in ("db", "web", "plain")]
    assert cli.run("apply", "-f", "-", input=path.read_text().replace("it.elf", str(tmp_path / "it.elf")))
    assert cli.run("diff", "-f", path) == ""
    cli.run("rm", "web", "plain")
    cli.run("image", "rm", "spin-it")


def test_diff_of_single_fields(service, cli, tmp_path):
    """Each field of a spec that differs is seen, also when the document leaves it to its default."""
    there = {
        "labels": {"a": "b"}, "memory_bytes": 1 << 20, "vcpus": 2, "max_vcpus": 3, "weight": 7, "cpu_cap": 50,
        "cpu_affinity": [1], "args": ["x"], "env": {"A": "B"}, "networks": [{"address": "dhcp"}], "start_after": ["other"],
        "files": [{"path": "/a", "content": "b"}], "desired_state": "stopped", "restart": "always",
        "stop_grace_ms": 1, "restart_limit": 2, "restart_delay_ms": 3, "restart_delay_max_ms": 4, "restart_reset_ms": 5,
    }  # fmt: skip
    service.api.create("web", image="hello", **there)
    known = set(service.api.ok("GET", "/v1/guests/web")["spec"]) - {"image", "volumes"}
    assert known == set(there), "a field that the API knows, and this test doesn't"
    path = document(tmp_path, guests={"web": {"image": "hello", **there}})
    assert cli.run("diff", "-f", path) == ""
    path = document(tmp_path, guests={"web": {"image": "hello"}})
    seen = {line.split()[3] for line in cli.run("diff", "-f", path, code=1).splitlines()}
    assert seen == known
    for field, other in (("files", [{"path": "/a", "content": "c"}]), ("networks", [{"address": "10.0.2.9/24"}])):
        path = document(tmp_path, guests={"web": {"image": "hello", **there, field: other}})
        assert cli.run("diff", "-f", path, code=1).startswith(f"~ guest web: {field} ")


def test_diff_asks_skep(service, cli, tmp_path):
    """What only Skep knows: contents of secrets, and what it would refuse."""
    secret = {"path": "/key", "content": "one", "secret": True}
    service.api.create("web", image="hello", files=[secret])
    records = service.api.ok("GET", "/v1/audit")["last"]
    assert cli.run("diff", "-f", document(tmp_path, guests={"web": {"image": "hello", "files": [secret]}})) == ""
    other = {"image": "hello", "files": [{**secret, "content": "two"}]}
    said = cli.run("diff", "-f", document(tmp_path, guests={"web": other}), code=1)
    assert said == "~ guest web: what is secret in files\n"
    said = cli.run("diff", "-f", document(tmp_path, guests={"web": {"image": "later"}}), code=1)
    detail = service.api.put("/v1/guests/web?dry_run=true", json={"image": "later"}).json()["detail"]
    assert said == f"! guest web: as things are, this is refused: {detail}\n"
    assert service.api.ok("GET", "/v1/audit")["last"] == records
    cli.run("token", "create", "looker", "-r", "viewer")
    looker = {"SKEP_TOKEN": cli.run("token", "rotate", "looker").strip()}
    cli.run("diff", "-f", tmp_path / "site.json", environment=looker, code=4)  # that isn't about the document
    cli.run("token", "rm", "looker")


def test_documents_that_are_wrong(cli, tmp_path):
    path = tmp_path / "site.json"
    for text, told in (
        ("{\n\n}}", "at line 3"),
        ("[]", "must be a JSON object"),
        ('{"guest": {}}', "'guest' is no known part"),
        ('{"guests": []}', "guests must be an object"),
        ('{"guests": {"a": 1}}', "guests.a must be an object"),
        ('{"images": {"a": {}}}', "images.a must be a file's name"),
        ('{"guests": {"a": {}, "a": {}}}', "guests.a is there twice"),
    ):
        path.write_text(text)
        cli.run("diff", "-f", path, code=2)
        assert told in cli.errors
    cli.run("apply", "-f", path, code=2)
    cli.run("apply", "-f", tmp_path / "none", code=6)


def test_apply_ends_at_the_first_refusal(service, cli, tmp_path):
    path = document(tmp_path, volumes={"a": {"size_bytes": 5}}, guests={"web": {"image": "hello"}})
    assert cli.run("apply", "-f", path, code=4) == ""
    assert "size_bytes must be a multiple of 4096" in cli.errors
    assert service.api.ok("GET", "/v1/guests")["items"] == []


@pytest.fixture
def keeping(fresh, tmp_path):
    """A service with a disk for its own state, where apps are, and skepctl that is logged in to it."""
    with Service(tmp_path, disk_bytes=16 << 20) as service:
        service.api.ok("PUT", "/v1/disks/0", json={"format": True})
        service.api.upload("hello", HELLO)
        fresh.login(service)
        yield service, fresh
        service.check_alive()


def test_apps(keeping, tmp_path):
    service, cli = keeping
    assert cli.run("app", "ls").split() == ["NAME", "STATE", "GUESTS", "VOLUMES", "ERROR"]
    shop = {
        "labels": {"team": "shop"},
        "volumes": {"shop-db": {"size_bytes": 1 << 20}},
        "guests": {
            "shop-db": {"image": "hello", "volumes": [{"name": "shop-db"}], "desired_state": "stopped"},
            "shop-web": {"image": "hello", "start_after": ["shop-db"], "desired_state": "stopped"},
        },
    }
    path = document(tmp_path, apps={"shop": shop})
    assert cli.run("diff", "-f", path, code=1) == "+ app shop\n"
    assert cli.run("apply", "-f", path) == "app shop: created\n"
    assert cli.run("diff", "-f", path) == ""
    assert cli.run("apply", "-f", path) == "app shop: none\n"
    assert cli.run("app", "ls").splitlines()[1].split() == ["shop", "ready", "2", "1", "-"]
    assert json.loads(cli.run("app", "inspect", "shop", "-o", "json"))["spec"]["labels"] == shop["labels"]
    shop["guests"]["shop-db"]["weight"] = 50
    shop["guests"]["shop-new"] = shop["guests"].pop("shop-web")
    path = document(tmp_path, apps={"shop": shop})
    assert set(cli.run("diff", "-f", path, code=1).splitlines()) == {
        "~ app shop: guest shop-db applied", "~ app shop: guest shop-new created", "~ app shop: guest shop-web deleted",
    }  # fmt: skip
    assert cli.run("apply", "-f", path) == "app shop: applied\n"
    shop["labels"] = {}
    path = document(tmp_path, apps={"shop": shop})
    assert cli.run("diff", "-f", path, code=1) == "~ app shop: labels, what it keeps, or what it hasn't finished\n"
    shop["guests"]["shop-db"]["image"] = "none"
    path = document(tmp_path, apps={"shop": shop})
    assert cli.run("apply", "-f", path, code=4) == ""
    assert "guests.shop-db: " in cli.errors
    assert "shop" in cli.run("complete", "--", "app", "rm", "s").split()
    cli.run("app", "rm", "shop")
    cli.run("app", "inspect", "shop", code=4)
    assert service.api.ok("GET", "/v1/volumes")["items"] == service.api.ok("GET", "/v1/guests")["items"] == []


def test_backup_and_restore(service, cli, tmp_path):
    backup, words = tmp_path / "skep.backup", tmp_path / "words"
    words.write_text("correct horse battery\n")
    service.api.create("web", image="hello", desired_state="stopped")
    cli.run("backup", backup, "-p", words)
    assert backup.stat().st_mode & 0o777 == 0o600
    cli.run("rm", "web")
    cli.run("restore", backup, "-p", "-", input="wrong horse battery\n", code=4)
    assert cli.run("restore", backup, "-p", "-", input=words.read_text()).startswith("1 guests, restored now")
    assert service.api.ok("GET", "/v1/guests/web")["spec"]["image"] == "hello"
    cli.run("backup", backup, "-p", tmp_path / "none", code=6)
    words.write_text("short")
    cli.run("backup", backup, "-p", words, code=4)
    assert backup.stat().st_size > 100  # the former one is still there


def test_a_passphrase_is_asked_for(cli, tmp_path):
    backup = tmp_path / "skep.backup"
    for again, code in (("something other", 1), ("correct horse battery", 0)):
        with cli.terminal("backup", backup) as terminal:
            terminal.wait("Passphrase: ")
            terminal.type("correct horse battery\n")
            terminal.wait("Again: ")
            terminal.type(again + "\n")
            assert terminal.end() == code, terminal.text
            assert "horse" not in terminal.text  # no echo
        assert backup.exists() == (code == 0)
    cli.run("backup", backup, code=2)  # nobody to ask
