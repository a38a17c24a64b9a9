"""The second half of ci/demo: boots Skep, and makes a guest serve a page with nothing but curl."""

import base64
import hashlib
import json
import shlex
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import qemu  # noqa: E402
import skep  # noqa: E402

GUEST = "10.0.2.20"
LOGS = skep.ROOT / "build-logs/demo"


def port_or_free(wanted):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
            return wanted
        except OSError:
            return skep.free_ports(1)[0]


def public_key_pin(certificate):
    """A certificate's public key in curl's notation."""
    pem = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-pubkey"],
        input=certificate,
        capture_output=True,
        check=True,
    ).stdout
    key = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem, capture_output=True, check=True
    ).stdout
    return "sha256//" + base64.b64encode(hashlib.sha256(key).digest()).decode()


class Curl:
    """Prints curl commands and runs them."""

    def __init__(self, machine):
        certificate = skep.Api.presented_certificate(machine.api_port)
        self.fingerprint = hashlib.sha256(certificate).hexdigest().upper()
        self.base = f"https://127.0.0.1:{machine.api_port}/v1"
        # -k: nobody signed the certificate; the pin holds it to the one key instead.
        self.options = [
            *("-sS", "-k", "--pinnedpubkey", public_key_pin(certificate)),
            *("-H", f"Authorization: Bearer {machine.token}"),
        ]

    def line(self, *arguments):
        return shlex.join(["curl", *self.options, *arguments])

    def __call__(self, *arguments, options=True):
        words = ["curl", *(self.options if options else ["-sS"]), *arguments]
        print(f"\n$ {shlex.join(words)}", flush=True)
        limits = ["--fail-with-body", "--noproxy", "*", "--max-time", "60"]
        answer = subprocess.run([*words, *limits], capture_output=True, text=True)
        print((answer.stdout or answer.stderr).rstrip()[:1000], flush=True)
        if answer.returncode:
            raise AssertionError(f"curl ended with {answer.returncode}: {answer.stderr.strip()}")
        return answer.stdout


def demo(machine, page_port):
    begin = time.monotonic()
    machine.wait_api()
    print(f"Skep answers after {time.monotonic() - begin:.1f} s", flush=True)
    curl = Curl(machine)
    curl("-T", "build/examples/httpd.elf", f"{curl.base}/images/httpd")
    spec = {
        "image": "httpd",
        "memory_bytes": 4 << 20,
        "networks": [{"address": f"{GUEST}/24", "gateway": qemu.GATEWAY}],
        "desired_state": "running",
    }
    curl("-X", "PUT", "--json", json.dumps(spec), f"{curl.base}/guests/web")
    machine.wait_page(f"{GUEST}:80")
    curl(f"http://127.0.0.1:{page_port}/", options=False)

    colons = ":".join(curl.fingerprint[i : i + 2] for i in range(0, 64, 2))
    print(f"""
API          https://127.0.0.1:{machine.api_port}
token        {machine.token}
certificate  sha256 {colons}
console      {machine.serial.relative_to(skep.ROOT)}

Try:
{curl.line(f"{curl.base}/host")}
{curl.line(f"{curl.base}/guests/web")}
curl http://127.0.0.1:{page_port}/
""", flush=True)


def main():
    once = sys.argv[1:] == ["--once"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        machine = skep.Machine(LOGS, elf=skep.build_exists())
        machine.api_port = port_or_free(8443)
        page_port = machine.ports[f"{GUEST}:80"] = port_or_free(8080)
        with machine:
            demo(machine, page_port)
            if not once:
                print("Up until Ctrl-C.", flush=True)
                machine.process.wait()
                raise AssertionError("QEMU ended by itself")
    except KeyboardInterrupt:
        print()
    except (qemu.Missing, AssertionError) as error:
        sys.exit(f"ci/demo: {error}\nThe serial console's log: {LOGS / 'serial.log'}")


main()
