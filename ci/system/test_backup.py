"""Backups by ordinary clients: what is in one, that nothing but the whole of it is believed, and restores on other machines."""

import hashlib
import json
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import skep
from conftest import NEIGHBOUR
from helpers import MIB, disk_image, example, guest_program, is_problem
from storage import format_disk, put_data, volume, volume_status
from test_storage_boots import booted, items, orderly, power_cut, web

WORDS = {"Skep-Passphrase": "correct horse battery"}
SECRET = "pssst-this-is-secret"
HEADER = 96


def unseal(data, words=WORDS["Skep-Passphrase"]):
    """Reads a backup as docs/storage.md describes it: its lines, and the bytes of the files behind them."""
    magic, version, rounds = struct.unpack_from("<8sII", data)
    assert (magic, version) == (b"SKEPBACK", 1)
    assert hashlib.sha256(data[:64]).digest() == data[64:HEADER]
    key = hashlib.pbkdf2_hmac("sha512", words.encode(), data[16:32], rounds)
    assert key[48:] == data[40:56]
    aead, at, count, last, plain = AESGCM(key[:32]), HEADER, 0, False, b""
    while not last:
        (word,) = struct.unpack_from("<I", data, at)
        end = at + 4 + (word & 0x7FFFFFFF) + 16
        nonce = data[32:40] + struct.pack("<I", count)
        plain += aead.decrypt(nonce, data[at + 4 : end], data[64:HEADER] + data[at : at + 4])
        at, count, last = end, count + 1, word >> 31
    assert at == len(data)
    (length,) = struct.unpack_from("<Q", plain)
    lines = [json.loads(line) for line in plain[8 : 8 + length].decode().splitlines()]
    return lines, plain[8 + length :]


def back_up(api, **params):
    response = api.get("/v1/backup", headers=WORDS, params=params, timeout=120)
    assert response.status_code == 200, response.text
    return response.content


def restore(api, data, headers=WORDS, **params):
    return api.put("/v1/backup", data=data, headers=headers, params=params, timeout=120)


def state(api):
    return {kind: items(api, kind) for kind in ("guests", "images", "volumes")}


def furnish(api):
    for name, elf in (("hello", example("hello")), ("httpd", example("httpd")), ("stay", guest_program("stay"))):
        api.upload(name, elf)
    volume(api, "db", size_bytes=8 * MIB, limits={"iops": 5000}, labels={"tier": "1"})
    api.ok("PATCH", "/v1/images/hello", json={"labels": {"team": "edge"}})
    volume(api, "shot", snapshot_of="db")
    put_data(api, "db", b"x" * (8 * MIB))
    api.create("web", **web(start_after=["first"], env={"A": SECRET}))
    api.create("first", image="stay", memory_bytes=2 * MIB, volumes=[{"name": "db"}], restart="always")
    api.create("off", image="hello", memory_bytes=2 * MIB, desired_state="stopped", weight=7)


@pytest.fixture(scope="module")
def origin(folder, tmp_path_factory):
    """What a machine with all sorts of things was, and its backups without and with the images' files."""
    image = disk_image(tmp_path_factory.mktemp("origin"), "origin", 64 * MIB)
    with booted(folder / "origin", [image]) as machine:
        api = machine.api
        format_disk(api)
        furnish(api)
        machine.wait_page(NEIGHBOUR)
        machine.brief, machine.full = back_up(api), back_up(api, images="true")
        machine.specs = items(api, "guests", "spec")
        machine.digests = items(api, "images", "digest", "size", "labels")
        orderly(machine)
    return machine


def test_what_is_in_it(origin):
    """Readable by other tools, given the passphrase, and by nobody without it."""
    lines, files = unseal(origin.brief)
    kinds = [next(iter(line)) for line in lines]
    assert kinds == ["backup", "identity", *["image"] * 3, *["volume"] * 2, *["guest"] * 3]
    assert files == b"" and lines[0]["backup"]["files"] is False
    assert {line["guest"]["name"]: {"spec": line["guest"]["spec"]} for line in lines[-3:]} == origin.specs
    assert lines[1]["identity"]["token_sha256"] == hashlib.sha256(origin.token.encode()).hexdigest()
    certificate = bytes.fromhex(lines[1]["identity"]["certificate"])
    assert hashlib.sha256(certificate).hexdigest() == origin.api.fingerprint
    assert lines[5]["volume"] == {
        "name": "db",
        "kind": "volume",
        "copy_of": None,
        "spec": {
            "size_bytes": 8 * MIB,
            "limits": {"iops": 5000, "iops_burst": 0, "bytes_per_second": 0, "bytes_burst": 0},
            "labels": {"tier": "1"},
        },
    }
    assert (lines[6]["volume"]["kind"], lines[6]["volume"]["copy_of"]) == ("snapshot", "db")
    lines, files = unseal(origin.full)
    assert files == b"".join(
        elf.read_bytes() for elf in (example("hello"), example("httpd"), guest_program("stay"))
    )
    for data in (origin.brief, origin.full):
        assert SECRET.encode() not in data and b"httpd" not in data


def bad_backups(data):
    """Bodies that must be refused, with the status and a word of the detail."""
    pieces = HEADER + 4

    def flipped(bit):
        return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]

    yield b"nonsense", 422, "cut short"
    yield b"nonsense" * 100, 422, "no backup"
    yield data[:8] + struct.pack("<I", 2) + data[12:], 422, "version 2"
    for byte in (12, 20, 35, 45, 60, 70, HEADER, HEADER + 3, pieces, pieces + 300, len(data) // 2, len(data) - 1):
        yield flipped(8 * byte + byte % 8), 422, "damaged" if byte != HEADER + 3 else ""
    for end in (HEADER - 1, HEADER, HEADER + 2, pieces + 100, len(data) - 21, len(data) - 1):
        yield data[:end], 422, "cut short"
    yield data + b"\0", 422, "damaged"


def test_only_the_whole_is_restored(folder, tmp_path, origin):
    """On a fresh machine: whatever is wrong is told and changes nothing; then all comes up, and stays over a power cut."""
    image = disk_image(tmp_path, "fresh", 64 * MIB)
    backup = tmp_path / "backup"
    backup.write_bytes(origin.full)
    with booted(folder / "fresh-1", [image]) as first:
        api = first.api
        format_disk(api)
        before = state(api)
        for data, status, word in bad_backups(origin.full):
            assert word in is_problem(restore(api, data), status)
        assert "passphrase" in is_problem(restore(api, origin.full, {"Skep-Passphrase": "wrong horse battery"}), 403)
        for headers in ({}, {"Skep-Passphrase": "too short"}, {"Skep-Passphrase": "x" * 257}):
            assert "Skep-Passphrase" in is_problem(restore(api, origin.full, headers), 422)
            assert "Skep-Passphrase" in is_problem(api.get("/v1/backup", headers=headers), 422)
        is_problem(restore(api, b""), 411)
        is_problem(restore(api, origin.full, replace="maybe"), 400)
        is_problem(api.get("/v1/backup?images=1", headers=WORDS), 400)
        is_problem(api.delete("/v1/backup"), 405)
        is_problem(restore(api, origin.full, {**WORDS, "Authorization": "Bearer none"}), 401)
        assert state(api) == before == {"guests": {}, "images": {}, "volumes": {}}

        command = ["curl", "--silent", "--insecure", "--upload-file", backup, "--max-time", "120"]
        for name, value in {"Authorization": f"Bearer {first.token}", **WORDS}.items():
            command += ["--header", f"{name}: {value}"]
        done = subprocess.run([*command, f"{api.base}/v1/backup"], capture_output=True, text=True, timeout=150)
        answer = json.loads(done.stdout)
        assert (answer["restored"], answer["guests"], answer["identity"]) == ("now", 3, "unchanged"), answer
        assert answer["made_volumes"] == ["db"] and answer["missing"]["images"] == []
        assert [lost["name"] for lost in answer["missing"]["volumes"]] == ["shot"]
        first.wait_page(NEIGHBOUR)
        assert items(api, "guests", "spec") == origin.specs
        assert items(api, "images", "digest", "size", "labels") == origin.digests
        assert volume_status(api, "db")["allocated_bytes"] == 0
        record = api.ok("GET", "/v1/audit", params={"limit": 200})["items"][-1]
        assert (record["method"], record["path"], record["status"]) == ("PUT", "/v1/backup", 200)
        power_cut(first)
    with booted(folder / "fresh-2", [image], known=first) as second:
        api = second.api
        assert api.fingerprint == first.api.fingerprint != origin.api.fingerprint
        second.wait_page(NEIGHBOUR)
        assert items(api, "guests", "spec") == origin.specs
        assert api.status("off")["state"] == "stopped"
        page = api.ok("GET", "/v1/audit")
        assert page["valid"] is True and page["items"][-1] == record


def test_replacing_reboots(folder, tmp_path, origin):
    """Where there are guests, only if that is asked for; and with the identity, clients of the former machine go on."""
    image = disk_image(tmp_path, "used", 64 * MIB)
    with booted(folder / "used-1", [image]) as first:
        format_disk(first.api)
        orderly(first)
    with booted(folder / "used-2", [image], known=first, reboot=True, append="hostname=used") as second:
        api = second.api
        api.upload("httpd", guest_program("stay"))
        api.create("other", image="httpd", memory_bytes=2 * MIB)
        api.wait_state("other", "running")
        before = items(api, "guests", "spec")
        assert "replace=true" in is_problem(restore(api, origin.full, identity="true"), 409)
        assert items(api, "guests", "spec") == before
        answer = restore(api, origin.full, replace="true", identity="true")
        assert answer.status_code == 202, answer.text
        assert answer.json()["restored"] == "at the next start" and answer.json()["power"] == "rebooting"
        skep.wait_for(
            lambda: second.check_alive() or second.serial_text().count(skep.READY) == 2,
            "Skep is up again",
            skep.BOOT_SECONDS,
        )
        second.token = origin.token
        api = second.wait_api()
        assert api.fingerprint == origin.api.fingerprint
        second.wait_page(NEIGHBOUR)
        assert items(api, "guests", "spec") == origin.specs
        assert items(api, "images", "digest", "size", "labels") == origin.digests
        records = api.ok("GET", "/v1/audit")["items"][-2:]
        assert [(r["method"], r["path"], r["status"]) for r in records] == [
            ("PUT", "/v1/backup", 202),
            ("START", "/v1/backup", 200),
        ]
        assert [r["caller"].split()[0] for r in records] == ["admin", "skep"]
        power_cut(second)


def test_without_a_disk(folder, origin):
    """What there is no place for is told; guests whose image is missing wait for it."""
    with booted(folder / "no-disk", []) as machine:
        api = machine.api
        assert "images=true" in is_problem(api.get("/v1/backup?images=true", headers=WORDS), 409)
        assert "no disk" in is_problem(restore(api, origin.brief, identity="true"), 409)
        response = restore(api, origin.brief)
        assert response.status_code == 200, response.text
        missing = response.json()["missing"]
        assert {item["name"]: item["digest"] for item in missing["images"]} == {
            name: image["digest"] for name, image in origin.digests.items()
        }
        assert {item["name"] for item in missing["volumes"]} == {"db", "shot"}
        assert items(api, "guests", "spec") == origin.specs
        skep.wait_for(lambda: "no image 'stay'" in api.status("first").get("error", ""), "it waits")
        again, _ = unseal(back_up(api))
        assert [line["guest"] for line in again if "guest" in line] == [
            {"name": name, **spec} for name, spec in sorted(origin.specs.items())
        ]
        for name in origin.specs:
            api.delete_guest(name)
        assert restore(api, origin.full).status_code == 200
        skep.wait_for(lambda: "volume" in api.status("first").get("error", ""), "it waits for its volume")
        machine.check_alive()
