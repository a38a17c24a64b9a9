"""What the boot file is told at boot: its module, its command line, and machines that lack something."""

import hashlib
import json
import re
import ssl
import subprocess

import pytest

import skep


def boot(folder, name, **options):
    return skep.Machine(folder / name, elf=skep.build_exists(), **options)


def module(path, **settings):
    path.write_text(json.dumps(settings))
    return {"config": path}


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A key and a certificate as an operator would make them."""
    folder = tmp_path_factory.mktemp("identity")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-subj", "/CN=edge", "-days", "30", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return key.read_text(), certificate.read_text()


def test_module_says_it_all(folder, tmp_path, identity):
    key, certificate = identity
    config = module(
        tmp_path / "module.json",
        hostname="edge-7",
        token="a-token-from-the-module",
        network={"address": "10.0.2.15/24", "gateway": "10.0.2.2", "dns": "10.0.2.3"},
        tls={"certificate": certificate, "key": key},
    )
    with boot(folder, "module", token="", **config) as machine:
        machine.token = "a-token-from-the-module"
        api = machine.wait_api()
        der = ssl.PEM_cert_to_DER_cert(certificate)
        assert api.fingerprint == hashlib.sha256(der).hexdigest()
        assert api.host()["hostname"] == "edge-7"
        assert "a-token-from-the-module" not in machine.serial_text()


def test_command_line_wins(folder, tmp_path):
    config = module(tmp_path / "module.json", hostname="edge-7", token="a-token-from-the-module")
    with boot(folder, "words", append="hostname=other address=10.0.2.15/24", **config) as machine:
        api = machine.wait_api()
        assert api.host()["hostname"] == "other"
        old = skep.Api(machine.api_port, "a-token-from-the-module", api.fingerprint)
        assert old.get("/v1/host").status_code == 401


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("{", "boot module left aside"),
        ('{"hostname": 5}', "boot module: hostname must be a string"),
        ('{"hostname": "Not A Name"}', "hostname 'Not A Name' is not"),
        ('{"colour": "red"}', "colour is no known key"),
        ('{"tls": {"certificate": "x", "key": "y"}}', "certificate and key are not used"),
    ],
    ids=["truncated", "type", "name", "unknown", "certificate"],
)
def test_bad_module_is_told_and_left_aside(folder, tmp_path, request, text, complaint):
    path = tmp_path / "module.json"
    path.write_text(text)
    name = "bad-" + request.node.callspec.id
    with boot(folder, name, config=path) as machine:
        assert machine.wait_api().host()["hostname"] == "skep"
        assert complaint in machine.serial_text()


def test_token_is_made_and_shown_once(folder):
    with boot(folder, "token", token="") as machine:
        machine.wait_api()
        shown = re.findall(r"not shown again: (\S+)", machine.serial_text())
        assert len(shown) == 1 and len(shown[0]) >= 32
        fingerprint = machine.api.fingerprint
        assert machine.api.get("/v1/host").status_code == 401
        assert skep.Api(machine.api_port, shown[0], fingerprint).get("/v1/host").status_code == 200


def test_no_key_without_entropy(folder):
    with boot(folder, "entropy", extra=("-cpu", "max,-rdrand,-rdseed")) as machine:
        machine.wait_serial("no key is made: this machine has no source of entropy")
        assert skep.READY not in machine.serial_text()


@pytest.mark.parametrize("word, source", [("hpet", "hpet"), ("pm", "acpi-pm")])
def test_other_clocks(folder, word, source):
    with boot(folder, f"clock-{word}", append=f"clock={word}") as machine:
        assert machine.wait_api().host()["clock_source"] == source


def test_old_cpu(folder):
    """Without SMEP, SMAP, UMIP, FSGSBASE, XSAVE: what is missing is told, the rest works."""
    cpu = "max,-smep,-smap,-umip,-fsgsbase,-xsave"
    with boot(folder, "old-cpu", extra=("-cpu", cpu)) as machine:
        api = machine.wait_api()
        assert api.host()["mitigations"]["smap"] != "active"
        api.upload("threads", skep.BUILD / "guests/threads.elf")
        api.create("threads", image="threads", memory_bytes=8 << 20, desired_state="running")
        assert api.wait_state("threads", "exited", "crashed")["exit_code"] == 0
