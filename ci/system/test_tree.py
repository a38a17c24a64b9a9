"""Guests' read-only files: those of their images, and over them configuration and secrets of their specs."""

import base64
import json
import pathlib

import pytest

import skep
from helpers import MIB, disk_image, frames, guest_program, is_problem, run_to_end, wait_frames

TREE = pathlib.Path(__file__).resolve().parents[1] / "guests/tree"
SECRET = "d5b1-not-to-be-seen-anywhere"
FILES_MAX, PATH_MAX, BYTES_MAX = 32, 255, 32768


def expected_files():
    """What tree.elf has, by path, in the order of packs: name by name."""
    files = {
        "/" + path.relative_to(TREE).as_posix(): path.read_bytes()
        for path in TREE.rglob("*")
        if path.is_file()
    }
    files["/tree.c"] = (TREE.parent / "tree.c").read_bytes()
    for folder in range(30):
        for file in range(100):
            files[f"/many/{folder}/{file}.txt"] = f"{folder} {file}\n".encode()
    return dict(sorted(files.items(), key=lambda item: item[0].split("/")))


def fnv(files):
    value = 2166136261
    for path, content in files.items():
        for byte in path.encode() + content:
            value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def text_of(api, program, *args, **spec):
    status, text = run_to_end(api, "reader", guest_program(program), args, **spec)
    api.delete_guest("reader")
    assert status["state"] == "exited" and status["exit_code"] == 0, (status, text)
    assert text.endswith("tree: ok\n"), text
    return text.removesuffix("tree: ok\n")


PROGRAMS = ["tree", "tree_fs"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_posix_calls_on_a_packed_tree(api, program):
    assert "a line to /dev/stdout\n" in text_of(api, program, "calls")


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_that_was_packed_is_found(api, program):
    files = expected_files()
    assert text_of(api, program, "sum") == f"{len(files)} files, sum {fnv(files):08x}\n"
    for folder in ("/deep", "/www", "/many/7"):
        lines = text_of(api, program, "list", folder).splitlines()[:-1]
        there = [f"{p} 444 {len(c)}" for p, c in files.items() if p.startswith(folder + "/")]
        assert lines == there


def test_large_trees_cost_their_guests_no_memory(api):
    """3,000 files are looked up by a guest of 512 KiB; what is touched of them is the image's."""
    text_of(api, "tree", "print", "/many/29/99.txt", memory_bytes=MIB // 2)


@pytest.mark.parametrize("program", PROGRAMS)
def test_files_of_the_spec_hide_those_of_the_image(api, program):
    files = [
        {"path": "/www/app.conf", "content": "a = 2\n"},
        {"path": "/www/more/new.conf", "content": "über"},
        {"path": "/deep", "content": "a file now"},
        {"path": "/key", "content": SECRET, "secret": True},
    ]
    there = expected_files()
    there = {path: content for path, content in there.items() if not path.startswith("/deep/")}
    there |= {file["path"]: file["content"].encode() for file in files}
    there = dict(sorted(there.items(), key=lambda item: item[0].split("/")))
    assert text_of(api, program, "sum", files=files) == f"{len(there)} files, sum {fnv(there):08x}\n"
    text = text_of(api, program, "list", "/www", files=files)
    assert text.startswith("/www/app.conf 444 6\n/www/empty 444 0\n/www/more/new.conf 444 5\n3 files")
    text = text_of(api, program, "print", "/www/more/new.conf", "/deep", "/deep/er/file.txt", files=files)
    assert text == (
        "/www/more/new.conf: über\n/deep: a file now\n/deep/er/file.txt: Not a directory\n"
    )


def test_bytes_come_as_they_were(api):
    data = bytes(range(256))
    files = [{"path": "/bin", "content_base64": base64.b64encode(data).decode()}]
    status, text = run_to_end(api, "reader", guest_program("tree"), ["sum"], files=files)
    assert status["exit_code"] == 0, (status, text)
    assert api.ok("GET", "/v1/guests/reader")["spec"]["files"] == [
        {"path": "/bin", "secret": False, "content_base64": files[0]["content_base64"]}
    ]
    there = expected_files() | {"/bin": data}
    there = dict(sorted(there.items(), key=lambda item: item[0].split("/")))
    assert f"sum {fnv(there):08x}\n" in text


def refused(api, files, *words, **spec):
    before = {item["name"] for item in api.ok("GET", "/v1/guests")["items"]}
    answer = api.put("/v1/guests/bad", json={"image": "tree", "files": files, **spec})
    detail = is_problem(answer, 422)
    assert all(word in detail for word in words), detail
    assert {item["name"] for item in api.ok("GET", "/v1/guests")["items"]} == before


def test_bad_files_are_refused(api):
    api.upload("tree", guest_program("tree"))
    images = api.host()["counts"]["images"]
    for path in ("a", "/", "", "/a/", "//a", "/a/../b", "/./a", "/a\tb", "/" + "p" * PATH_MAX, 7):
        refused(api, [{"path": path, "content": ""}], "files[0].path", f"{PATH_MAX} bytes")
    refused(api, [{"path": "/a", "content": ""}] * 2, "'/a' comes twice")
    nested = [{"path": path, "content": ""} for path in ("/a/b/c", "/a/b")]
    refused(api, nested, "'/a/b' can't be a file and the folder of '/a/b/c'")
    many = [{"path": f"/{i}", "content": ""} for i in range(FILES_MAX + 1)]
    refused(api, many, f"at most {FILES_MAX} objects")
    halves = [{"path": f"/{i}", "content": "x" * (BYTES_MAX // 2)} for i in range(2)]
    refused(api, [*halves, {"path": "/c", "content": "x"}], str(BYTES_MAX), str(BYTES_MAX + 1))
    volumes = [{"name": "db", "mount": "/data"}]
    refused(api, [{"path": "/data/x", "content": ""}], "'/data'", "volume", volumes=volumes)
    refused(api, [{"path": "/a"}], "files[0] needs content")
    refused(api, [{"path": "/a", "content": "", "owner": 1}], "files[0].owner", "known field")
    refused(api, {"path": "/a"}, "array")
    assert api.host()["counts"]["images"] == images


def answers(api, name):
    """All that the API says that has to do with a guest."""
    texts = [
        api.get(path).text
        for path in (
            "/v1/guests",
            f"/v1/guests/{name}",
            f"/v1/guests/{name}/log",
            f"/v1/guests/{name}/trace",
            f"/v1/guests/{name}/vcpus",
            "/v1/crashes",
            "/v1/images",
            "/v1/host",
        )
    ]
    return texts + [
        api.get(f"/v1/crashes/{item['id']}").text for item in api.ok("GET", "/v1/crashes")["items"]
    ]


def test_a_secret_is_never_shown(api, machine):
    spec = {
        "image": "tree",
        "memory_bytes": 2 * MIB,
        "args": ["leak", "/key"],
        "files": [{"path": "/key", "content": SECRET, "secret": True}, {"path": "/open", "content": "x"}],
    }
    api.upload("tree", guest_program("tree"))
    made = api.put("/v1/guests/holder", json=spec)
    assert made.status_code == 201
    shown = made.json()["spec"]["files"]
    assert shown == [
        {"path": "/key", "secret": True},
        {"path": "/open", "secret": False, "content": "x"},
    ]
    api.wait_state("holder", "crashed")
    assert f"read {len(SECRET)} bytes" in api.log("holder").decode()
    texts = [made.text, api.patch("/v1/guests/holder", json={"weight": 7}).text]
    texts.append(api.put("/v1/guests/holder", json=spec | {"weight": 8}).text)
    # Refusals don't repeat it either.
    bad = [{"path": "/key", "content": SECRET, "secret": True}] * 2
    texts.append(api.put("/v1/guests/holder", json=spec | {"files": bad}).text)
    texts.append(api.patch("/v1/guests/holder", json={"files": [{"path": "/key"}]}).text)
    for text in texts + answers(api, "holder") + [machine.serial_text()]:
        assert SECRET not in text
        assert base64.b64encode(SECRET.encode()).decode() not in text
        assert SECRET[:8].encode().hex() not in text.lower()


def test_what_changes_and_what_stays(api):
    api.upload("tree", guest_program("tree"))
    spec = {
        "image": "tree",
        "memory_bytes": 2 * MIB,
        "args": ["print", "/key", "/conf", "stay"],
        "files": [
            {"path": "/key", "content": SECRET, "secret": True},
            {"path": "/conf", "content": "one"},
        ],
    }
    assert api.put("/v1/guests/app", json=spec).json()["change"] == "created"
    skep.wait_for(lambda: b"tree: ok" in api.log("app"), "it has printed")
    # The same again, in another order, or as it was shown.
    assert api.put("/v1/guests/app", json=spec).json()["change"] == "none"
    shown = api.ok("GET", "/v1/guests/app")["spec"]
    assert api.put("/v1/guests/app", json=shown).json()["change"] == "none"
    assert api.put("/v1/guests/app", json=spec | {"files": spec["files"][::-1]}).json()["change"] == "none"
    # What doesn't concern files leaves them and the guest.
    assert api.patch("/v1/guests/app", json={"weight": 50}).json()["change"] == "applied"
    # Content that is left out stays.
    files = [{"path": "/key", "secret": True}, {"path": "/conf", "content": "two"}]
    length = api.status("app")["log_end"]
    assert api.patch("/v1/guests/app", json={"files": files}).json()["change"] == "replacing"

    def said():
        text = api.log("app", offset=length).decode()
        return text if "tree: ok" in text else None

    text = skep.wait_for(said, "the new one has printed", 30)
    assert f"/key: {SECRET}\n/conf: two\n" in text
    # A secret's content doesn't come out because nobody says any more that it is one.
    answer = api.patch("/v1/guests/app", json={"files": [{"path": "/key"}]})
    assert "secret" in is_problem(answer, 422)
    assert api.patch("/v1/guests/app", json={"files": None}).json()["change"] == "replacing"
    assert api.ok("GET", "/v1/guests/app")["spec"]["files"] == []


def test_files_end_with_their_guests(api):
    api.upload("tree", guest_program("tree"))
    images, before = api.host()["counts"]["images"], frames(api)
    for i in range(3):
        files = [{"path": "/a", "content": str(i) * 20000}]
        spec = {"image": "tree", "memory_bytes": 2 * MIB, "args": ["print", "/a", "stay"], "files": files}
        api.ok("PUT", "/v1/guests/app", json=spec)
        skep.wait_for(lambda: api.host()["counts"]["images"] == images + 1, "one pack is there")
    api.delete_guest("app")
    skep.wait_for(lambda: api.host()["counts"]["images"] == images, "no pack is left")
    wait_frames(api, before, {"guest": 256, "pagetable": 4})


def reads_secret(api, name, start=0):
    """The guest has printed its secret, which was its doing, since that offset of its log."""
    wanted = f"/key: {SECRET}\n".encode()
    skep.wait_for(lambda: wanted in api.log(name, offset=start), "the secret is read", 30)


KEEPER = {
    "image": "tree",
    "memory_bytes": 2 * MIB,
    "args": ["print", "/key", "stay"],
    "files": [{"path": "/key", "content": SECRET, "secret": True}],
}


def test_secrets_outlive_power_cuts(folder):
    disk = disk_image(folder / "tree-disk", "disk", 64 * MIB)
    token = None
    for boot in range(3):
        options = {"elf": skep.build_exists(), "disks": [disk], "token": token or ""}
        if boot == 0:
            options.pop("token")
        with skep.Machine(folder / f"tree-boot-{boot}", **options) as machine:
            machine.token = token or machine.token
            api = machine.wait_api()
            token = machine.token
            if boot == 0:
                api.ok("PUT", "/v1/disks/0", json={"format": True})
                api.upload("tree", guest_program("tree"))
                api.ok("PUT", "/v1/guests/keeper", json=KEEPER)
            reads_secret(api, "keeper")
            assert api.ok("GET", "/v1/guests/keeper")["spec"]["files"] == [
                {"path": "/key", "secret": True}
            ]
            machine.process.kill()
            machine.process.wait(10)
            assert SECRET not in machine.serial_text()


def test_secrets_outlive_the_control_service(folder):
    with skep.Machine(folder / "tree-restart", elf=skep.build_exists(skep.DEBUG_BUILD)) as machine:
        api = machine.wait_api()
        api.upload("tree", guest_program("tree"))
        api.ok("PUT", "/v1/guests/keeper", json=KEEPER)
        reads_secret(api, "keeper")
        points = {item["name"]: item["at"] for item in api.ok("GET", "/v1/debug/points")["items"]}
        at = points["guest's changed spec applied"]
        api.ok("POST", "/v1/debug/crash", json={"at": at})
        with pytest.raises(OSError):
            api.patch("/v1/guests/keeper", json={"weight": 50})
        machine.wait_serial("1 guests known after the start", 30)
        api = machine.api = skep.Api(machine.api_port, machine.token, machine.api.fingerprint)
        skep.wait_for(lambda: api.get("/healthz").ok, "the service answers", 30)
        assert api.host()["control_restarts"] == 1
        # The content is still there, though no client can see it: a new start of the guest reads it.
        start = api.status("keeper")["log_end"]
        files = [{"path": "/key", "secret": True}, {"path": "/new", "content": "x"}]
        assert api.patch("/v1/guests/keeper", json={"files": files}).json()["change"] == "replacing"
        reads_secret(api, "keeper", start)
        assert SECRET not in json.dumps(api.ok("GET", "/v1/guests/keeper"))
        machine.check_alive()
