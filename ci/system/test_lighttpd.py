"""lighttpd as a guest (examples/ports/lighttpd), deployed by the API: static files by HTTP and HTTPS, and its end."""

import hashlib
import re
import subprocess

import pytest

from authority import self_signed
from conftest import NEIGHBOUR, boot
from helpers import MIB, disk_image, example
from test_files import command, exported

WEB, SECURE = NEIGHBOUR, NEIGHBOUR + ":443"
ARGS = ["-D", "-f", "/etc/lighttpd/lighttpd.conf"]
LARGE = hashlib.shake_256(b"lighttpd").digest(2 * MIB + 77)

CONF = """
server.modules = ("mod_accesslog", "mod_mbedtls")
server.port = 80
server.document-root = "%s"
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", ".css" => "text/css", "" => "application/octet-stream")
accesslog.filename = "%s"
$SERVER["socket"] == ":443" {
    ssl.engine = "enable"
    ssl.pemfile = "/etc/lighttpd/server.pem"
    ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2")
}
"""


@pytest.fixture(scope="module")
def machine(folder, tmp_path_factory):
    disk = disk_image(tmp_path_factory.mktemp("lighttpd"), "disk", 128 * MIB)
    yield from boot(folder, "lighttpd", forwards=[WEB, SECURE], disks=[disk])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """One that signs itself, for the name `web`; and it and its key in one text, as lighttpd reads them."""
    key, pem = self_signed(tmp_path_factory.mktemp("certificate"), "web")
    return pem, key.pem() + pem.read_text()


def start(api, machine, conf=None, pem=None, pages=(), **spec):
    """The guest `web`, serving."""
    if api.get("/v1/images/lighttpd").status_code == 404:
        api.upload("lighttpd", example("lighttpd"))
    files = [("/etc/lighttpd/lighttpd.conf", conf), ("/etc/lighttpd/server.pem", pem), *pages]
    api.create(
        "web",
        image="lighttpd",
        memory_bytes=8 * MIB,
        args=ARGS,
        networks=[{"address": f"{WEB}/24", "gateway": "10.0.2.2"}],
        files=[{"path": path, "content": content} for path, content in files if content],
        **spec,
    )
    machine.wait_page(WEB)


def curl(machine, path, *options, ca=None):
    """What curl says of a page, by HTTPS if the certificate's file is given: its status and headers, and the body."""
    port = machine.ports[SECURE if ca else WEB]
    scheme = ("--cacert", ca) if ca else ()
    words = ["curl", "-sS", "-i", "--max-time", "30", *scheme, "--connect-to", f"web::127.0.0.1:{port}", *options]
    done = subprocess.run([*map(str, words), f"http{'s' if ca else ''}://web{path}"], capture_output=True, timeout=60)
    assert done.returncode == 0, (words, done.stderr)
    head, body = done.stdout.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}, body


def stop(api):
    """Asks it to end, which it does by itself."""
    api.ok("PATCH", "/v1/guests/web", json={"desired_state": "stopped"})
    status = api.wait_state("web", "exited", "killed", "crashed")
    assert (status["state"], status["exit_code"]) == ("exited", 0), status


def wrk(url):
    said = command("wrk", "-t1", "-c8", "-d2s", "--timeout", "30s", url)
    assert int(re.search(r"(\d+) requests in", said)[1]) > 8 and not re.search("Non-2xx|Socket errors", said), said


def test_the_image_serves_its_own_page(machine, api):
    start(api, machine)
    status, headers, page = curl(machine, "/")
    assert status == 200 and b"lighttpd on skep" in page
    assert headers["server"] == "lighttpd/1.4.79" and headers["content-type"] == "text/html"
    assert "etag" not in headers
    status, headers, page = curl(machine, "/", "--head")
    assert status == 200 and page == b"" and int(headers["content-length"]) > 0
    assert curl(machine, "/no/such/page")[0] == 404
    wrk(f"http://127.0.0.1:{machine.ports[WEB]}/")
    stop(api)
    assert api.log("web").count(b'"GET / HTTP/1.1" 200 ') > 8


@pytest.mark.parametrize("version, suite", [("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("1.3", "TLS_AES_256_GCM_SHA384")])
def test_openssl_finds_nothing_amiss(machine, api, certificate, version, suite):
    pem, text = certificate
    start(api, machine, CONF % ("/www", "/dev/stdout"), text)
    client = ["openssl", "s_client", "-connect", f"127.0.0.1:{machine.ports[SECURE]}", "-servername", "web"]
    client += ["-CAfile", str(pem), "-verify_return_error", "-verify_hostname", "web", f"-tls{version.replace('.', '_')}"]
    choose = ["-cipher", suite] if version == "1.2" else ["-ciphersuites", suite]
    request = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
    done = subprocess.run([*client, *choose, "-ign_eof"], input=request, capture_output=True, timeout=60)
    said = done.stdout.decode()
    assert done.returncode == 0, (said, done.stderr)
    assert f"New, TLSv{version}, Cipher is {suite}" in said and "Verification: OK" in said, said
    assert "HTTP/1.1 200 OK" in said and "lighttpd on skep" in said, said


def test_https(machine, api, certificate):
    pem, text = certificate
    start(api, machine, CONF % ("/www", "/dev/stdout"), text, [("/www/a.css", "a {}"), ("/www/deep/b.html", "b" * 20_000)])
    status, headers, page = curl(machine, "/a.css", ca=pem)
    assert (status, page, headers["content-type"]) == (200, b"a {}", "text/css")
    for version in ("--http1.1", "--http2"):
        status, _, page = curl(machine, "/deep/b.html", version, ca=pem)
        assert (status, page) == (200, b"b" * 20_000), version
    assert curl(machine, "/a.css")[2] == b"a {}"  # by HTTP, too
    wrk(f"https://127.0.0.1:{machine.ports[SECURE]}/a.css")
    stop(api)
    log = api.log("web").decode()
    assert "error" not in log.lower(), log


def test_a_site_on_a_volume(machine, api, certificate, tmp_path):
    pem, text = certificate
    source = tmp_path / "site"
    (source / "www").mkdir(parents=True)
    (source / "www/index.html").write_text("from a volume")
    (source / "www/large.bin").write_bytes(LARGE)
    image = tmp_path / "site.img"
    command("/sbin/mke2fs", "-q", "-t", "ext4", "-d", source, image, "8M")
    api.ok("PUT", "/v1/volumes/site", json={"size_bytes": 8 * MIB})
    api.ok("PUT", "/v1/volumes/site/data", data=image.read_bytes())
    start(api, machine, CONF % ("/site/www", "/site/access.log"), text, volumes=[{"name": "site", "mount": "/site"}])

    assert curl(machine, "/")[2] == b"from a volume"
    status, headers, data = curl(machine, "/large.bin", ca=pem)
    assert status == 200 and data == LARGE
    assert curl(machine, "/large.bin")[2] == LARGE
    assert curl(machine, "/large.bin", "-H", f"If-None-Match: {headers['etag']}")[0] == 304
    assert curl(machine, "/large.bin", "-H", f"If-Modified-Since: {headers['last-modified']}")[0] == 304
    for span, part in (("100-299", LARGE[100:300]), ("-77", LARGE[-77:]), ("2097152-", LARGE[2097152:])):
        status, _, data = curl(machine, "/large.bin", "-r", span, ca=pem)
        assert status == 206 and data == part, span
    assert curl(machine, "/large.bin", "-r", f"{len(LARGE)}-")[0] == 416

    stop(api)
    back = exported(api, "site", tmp_path / "back.img")
    command("/sbin/e2fsck", "-fn", back)
    log = command("/sbin/debugfs", "-R", "cat /access.log", back)
    assert log.count('"GET /large.bin HTTP/1.1" 304 ') == 2, log


def test_what_is_wrong_is_said(machine, api):
    api.upload("lighttpd", example("lighttpd"))
    conf = {"path": "/etc/lighttpd/lighttpd.conf", "content": "server.pport = 80\nserver.document-root = oops\n"}
    api.create("web", image="lighttpd", memory_bytes=8 * MIB, args=ARGS, files=[conf])
    assert api.wait_state("web", "exited", "crashed")["exit_code"] == 255
    assert b"/etc/lighttpd/lighttpd.conf" in api.log("web")
