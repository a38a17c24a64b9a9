"""nginx as a guest (examples/ports/nginx), deployed by the API: static files, a proxy, its logs, its end."""

import hashlib
import http.client
import http.server
import re
import socket
import threading

import pytest

import skep
from conftest import NEIGHBOUR, boot
from helpers import MIB, disk_image, example
from test_files import command, exported

WEB, BEHIND = NEIGHBOUR, "10.0.2.21"
HOST = "10.0.2.2"
LARGE = hashlib.shake_256(b"nginx").digest(2 * MIB + 77)

CONF = """
daemon off;
master_process off;
%s
events { worker_connections 64; }
http {
    include mime.types;
    client_body_buffer_size 512k;
    proxy_max_temp_file_size 0;
    %s
}
"""


@pytest.fixture(scope="module")
def machine(folder, tmp_path_factory):
    disk = disk_image(tmp_path_factory.mktemp("nginx"), "disk", 128 * MIB)
    yield from boot(folder, "nginx", forwards=[WEB, BEHIND], disks=[disk])


def network(address):
    return [{"address": f"{address}/24", "gateway": HOST}]


def start(api, machine, conf=None, files=(), **spec):
    """The guest `web`, serving; an HTTP connection to it."""
    if api.get("/v1/images/nginx").status_code == 404:
        api.upload("nginx", example("nginx"))
    files = [{"path": path, "content": content} for path, content in files]
    if conf:
        files.append({"path": "/etc/nginx/nginx.conf", "content": conf})
    api.create("web", image="nginx", memory_bytes=4 * MIB, networks=network(WEB), files=files, **spec)
    machine.wait_page(WEB)
    return connect(machine)


def connect(machine):
    return http.client.HTTPConnection("127.0.0.1", machine.ports[WEB], timeout=30)


def ask(connection, path, method="GET", body=None, **headers):
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer, answer.read()


def stop(api):
    """Asks it to end, which it does by itself."""
    api.ok("PATCH", "/v1/guests/web", json={"desired_state": "stopped"})
    status = api.wait_state("web", "exited", "killed", "crashed")
    assert (status["state"], status["exit_code"]) == ("exited", 0), status


def test_the_image_serves_its_own_pages(machine, api):
    client = start(api, machine)
    answer, page = ask(client, "/")
    assert answer.status == 200 and b"Welcome to nginx!" in page
    assert answer.headers["Server"] == "nginx/1.26.3" and answer.headers["Content-Type"] == "text/html"
    assert "Last-Modified" not in answer.headers and "ETag" not in answer.headers
    answer, page = ask(client, "/", "HEAD")
    assert answer.status == 200 and page == b"" and int(answer.headers["Content-Length"]) > 0
    answer, page = ask(client, "/no/such/page")
    assert answer.status == 404 and b"404 Not Found" in page
    answer, _ = ask(client, "/", "POST", b"x")
    assert answer.status == 405
    stop(api)
    log = api.log("web").decode()
    assert re.search(r'"GET / HTTP/1.1" 200 615 ', log), log
    assert re.search(r'"GET /no/such/page HTTP/1.1" 404 ', log), log
    assert 'open() "/www/no/such/page" failed (2: No such file or directory)' in log


def site(tmp_path):
    """A file system with a site and place for a log, made by Linux."""
    source = tmp_path / "site"
    (source / "www/deep").mkdir(parents=True)
    (source / "www/index.html").write_text("from a volume")
    (source / "www/large.bin").write_bytes(LARGE)
    (source / "www/deep/a.css").write_text("a {}")
    image = tmp_path / "site.img"
    command("/sbin/mke2fs", "-q", "-t", "ext4", "-d", source, image, "8M")
    return image


VOLUME_CONF = CONF % (
    "error_log /site/error.log;",
    "access_log /site/access.log; server { listen 80; root /site/www; location /deep/ { autoindex on; } }",
)


def test_a_site_and_logs_on_a_volume(machine, api, tmp_path):
    image = site(tmp_path)
    api.ok("PUT", "/v1/volumes/site", json={"size_bytes": 8 * MIB})
    api.ok("PUT", "/v1/volumes/site/data", data=image.read_bytes())
    client = start(api, machine, VOLUME_CONF, volumes=[{"name": "site", "mount": "/site"}])
    assert ask(client, "/")[1] == b"from a volume"
    answer, data = ask(client, "/large.bin")
    assert data == LARGE and answer.headers["Content-Type"] == "application/octet-stream"

    tag, date = answer.headers["ETag"], answer.headers["Last-Modified"]
    assert ask(client, "/large.bin", If_Modified_Since=date)[0].status == 304
    assert ask(client, "/large.bin", If_None_Match=tag)[0].status == 304
    assert ask(client, "/deep/a.css", If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT")[0].status == 200
    assert ask(client, "/deep/a.css")[0].headers["Content-Type"] == "text/css"
    assert b'<a href="a.css">' in ask(client, "/deep/")[1]

    for span, part in (("100-299", LARGE[100:300]), ("-77", LARGE[-77:]), ("2097152-", LARGE[2097152:])):
        answer, data = ask(client, "/large.bin", Range=f"bytes={span}")
        assert answer.status == 206 and data == part, span
    assert ask(client, "/large.bin", Range=f"bytes={len(LARGE)}-")[0].status == 416
    answer, data = ask(client, "/large.bin", Range="bytes=0-9,1000000-1000009")
    assert answer.status == 206 and answer.headers["Content-Type"].startswith("multipart/byteranges")
    assert LARGE[:10] in data and LARGE[1000000:1000010] in data

    stop(api)
    back = exported(api, "site", tmp_path / "back.img")
    command("/sbin/e2fsck", "-fn", back)
    log = command("/sbin/debugfs", "-R", "cat /access.log", back).splitlines()
    assert sum('"GET /large.bin HTTP/1.1" 206' in line for line in log) == 4, log
    assert sum('"GET /large.bin HTTP/1.1" 304' in line for line in log) == 2, log


def test_requests_on_one_connection(machine, api):
    """One after the other, and many at once before the first answer is read."""
    names = [f"/www/{i}.txt" for i in range(8)]
    client = start(api, machine, files=[(name, name * (i + 1)) for i, name in enumerate(names)])
    for _ in range(20):
        assert ask(client, "/3.txt")[1] == b"/www/3.txt" * 4
    with socket.create_connection(("127.0.0.1", machine.ports[WEB]), timeout=30) as plain:
        paths = [f"/{i % 8}.txt" for i in range(64)]
        requests = [f"GET {path} HTTP/1.1\r\nHost: web\r\n\r\n" for path in paths]
        requests.append("GET /0.txt HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        plain.sendall("".join(requests).encode())
        said = b"".join(iter(lambda: plain.recv(65536), b""))
    bodies = re.findall(rb"\r\n\r\n((?:/www/\d\.txt)+)", said)
    assert bodies == [f"/www{path}".encode() * (int(path[1]) + 1) for path in paths] + [b"/www/0.txt"]
    with socket.create_connection(("127.0.0.1", machine.ports[WEB]), timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        assert plain.recv(65536).startswith(b"HTTP/1.1 400 ")


class Upstream(http.server.BaseHTTPRequestHandler):
    """Says what it got, and sends LARGE in chunks."""

    protocol_version = "HTTP/1.1"

    def answer(self, body, *headers):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = hashlib.sha256(body).hexdigest()
        self.answer(digest.encode(), ("X-Seen", self.headers["X-Real-IP"]), ("X-Path", self.path))

    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(LARGE), 50_000):
            piece = LARGE[at : at + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream():
    """A server on this host; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


PROXY = """
    upstream guests { server %s; keepalive 4; }
    server {
        listen 80;
        root /www;
        location /guest/ { proxy_pass http://guests/; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /host/ {
            proxy_pass http://%s:%d/in/;
            proxy_http_version 1.1;
            proxy_set_header X-Real-IP $remote_addr;
        }
        location /none/ { proxy_pass http://127.0.0.1:81/; }
    }
"""


def test_a_proxy_before_a_guest_and_a_server(machine, api, upstream):
    api.upload("httpd", example("httpd"))
    api.create("behind", image="httpd", memory_bytes=4 * MIB, networks=network(BEHIND))
    machine.wait_page(BEHIND)
    client = start(api, machine, CONF % ("", PROXY % (BEHIND, HOST, upstream)))
    for _ in range(10):
        assert ask(client, "/guest/")[1] == machine.fetch(BEHIND)
    answer, data = ask(client, "/guest/bytes/3000000")
    assert answer.status == 200 and len(data) == 3_000_000
    answer, data = ask(client, "/host/up", "POST", LARGE[:300_000])
    assert data.decode() == hashlib.sha256(LARGE[:300_000]).hexdigest()
    assert (answer.headers["X-Seen"], answer.headers["X-Path"]) == (HOST, "/in/up")
    assert ask(client, "/host/large")[1] == LARGE
    assert ask(client, "/none/")[0].status == 502
    assert ask(client, "/")[0].status == 200  # it goes on


def test_another_configuration_is_another_guest(machine, api):
    """A guest gets no signals but the wish to end, so there is no reload: who changes the file gets a new guest."""
    old = CONF % ("", "server { listen 80; root /www; index old.html; }")
    new = old.replace("old.html", "new.html")
    pages = [("/www/old.html", "old"), ("/www/new.html", "new")]
    assert ask(start(api, machine, old, pages), "/")[1] == b"old"
    files = [{"path": path, "content": content} for path, content in (*pages, ("/etc/nginx/nginx.conf", new))]
    api.ok("PATCH", "/v1/guests/web", json={"files": files})
    skep.wait_for(lambda: machine.fetch(WEB) == b"new", "the new page")
    files[-1]["content"] = new.replace("listen", "lissten")
    api.ok("PATCH", "/v1/guests/web", json={"files": files})
    assert api.wait_state("web", "exited", "crashed")["exit_code"] == 1
    assert b'unknown directive "lissten" in /etc/nginx/nginx.conf:10' in api.log("web")
