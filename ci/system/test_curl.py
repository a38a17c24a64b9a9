"""The API and its TLS with the clients people have at hand: curl and openssl."""

import base64
import hashlib
import json
import subprocess

import pytest

from helpers import example
from skep import Api


def key_pin(machine):
    """The certificate's public key in curl's notation."""
    certificate = Api.presented_certificate(machine.api_port)
    key = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-pubkey", "-noout"],
        input=certificate,
        capture_output=True,
        check=True,
    ).stdout
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True
    ).stdout
    return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def curl(machine, *arguments, pin=None):
    return subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--insecure", "--noproxy", "*"),
            *("--max-time", "30", "--pinnedpubkey", pin or key_pin(machine)),
            *("--header", f"Authorization: Bearer {machine.token}", *arguments),
        ],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_versions(machine, version):
    url = f"{machine.api.base}/v1/host"
    answer = curl(machine, f"--tlsv{version}", "--tls-max", version, url)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["version"]


def test_old_tls_is_refused(machine):
    answer = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{machine.api_port}", "-tls1_1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "Cipher is (NONE)" in answer.stdout or answer.returncode != 0


def test_certificate(machine):
    certificate = Api.presented_certificate(machine.api_port)
    text = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-text"],
        input=certificate,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "id-ecPublicKey" in text and "P-256" in text


def test_a_wrong_pin_is_noticed(machine):
    pin = "sha256//" + base64.b64encode(bytes(32)).decode()
    assert curl(machine, f"{machine.api.base}/healthz", pin=pin).returncode == 90


def test_upload_by_curl(machine, api):
    answer = curl(
        machine,
        *("--upload-file", str(example("hello")), "--write-out", "\n%{http_code}"),
        f"{api.base}/v1/images/hello",
    )
    body, _, code = answer.stdout.rpartition("\n")
    assert code == "201", answer.stdout + answer.stderr
    assert json.loads(body)["name"] == "hello"
