"""The web guests that benches ask, and an HTTP client whose requests go out at once."""

import http.client
import socket

import qemu
import skep

MIB = 1 << 20
ADDRESS = "10.0.2.20"


PAGE_BYTES = 612
PAGE = f"bytes/{PAGE_BYTES}"
SERVERS = ("httpd", "nginx", "lighttpd")

# nginx' configuration, here and in Linux, but for what is about the process.
NGINX = """
%s
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    default_type application/octet-stream;
    server { listen 80 backlog=1024; root /www; }
}
"""

# lighttpd's, likewise. What it needs is built in, here and in Debian's.
LIGHTTPD = """
server.port = 80
server.document-root = "/www"
server.listen-backlog = 1024
server.max-connections = 512
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 600
server.compat-module-load = "disable"
server.modules = ("mod_staticfile")
mimetype.assign = ("" => "application/octet-stream")
"""
LIGHTTPD_ARGS = ("-D", "-f", "/lighttpd.conf")


def spec(address=ADDRESS, gateway=qemu.GATEWAY, memory_bytes=4 * MIB, server="httpd"):
    networks = [{"address": f"{address}/24", "gateway": gateway}]
    files = []
    if server == "nginx":
        files.append({"path": "/etc/nginx/nginx.conf", "content": NGINX % "daemon off; master_process off;"})
    if server == "lighttpd":
        files.append({"path": "/lighttpd.conf", "content": LIGHTTPD})
    if server != "httpd":
        files.append({"path": f"/www/{PAGE}", "content": "x" * PAGE_BYTES})
    return {
        "image": server,
        "memory_bytes": memory_bytes,
        "networks": networks,
        "files": files,
        "args": list(LIGHTTPD_ARGS) if server == "lighttpd" else [],
        "desired_state": "running",
    }


def create(api, *where, server="httpd", **more):
    """Uploads it and has it run: what spec() takes."""
    elf = skep.BUILD / f"examples/{server}.elf"
    if not elf.is_file():
        raise qemu.Missing(f"{elf} doesn't exist: cmake --build build --target {server}")
    api.upload(server, elf)
    api.create("web", **spec(*where, server=server, **more))


def add_options(parser):
    group = parser.add_argument_group("boot, http, connections, stream, latency, web, profile")
    group.add_argument("--server", choices=SERVERS, default="httpd", help="which guest serves (default %(default)s)")


def connect(port, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def get(connection, path="/"):
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200 and body, response.status
