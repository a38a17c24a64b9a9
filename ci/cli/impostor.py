"""An HTTPS server that is no Skep, and says what a test wants."""

import contextlib
import datetime
import http.server
import ipaddress
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "impostor")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2025, 1, 1))
        .not_valid_after(datetime.datetime(2049, 1, 1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))


class Impostor:
    """Answers each request with answer(handler), and keeps the requests' heads."""

    def __init__(self, folder):
        impostor = self
        self.heads = []
        self.answer = lambda handler: impostor.reply(handler, 200, b"{}")

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                impostor.heads.append(f"{self.command} {self.path}\n{self.headers}")
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                impostor.answer(self)

            do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        make_certificate(folder / "impostor.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "impostor.pem")

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, address):
                with contextlib.suppress(OSError):  # a client that goes away is what some tests are about
                    request.settimeout(30)
                    super().finish_request(context.wrap_socket(request, server_side=True), address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self.server.server_port}"

    @staticmethod
    def reply(handler, status, body, kind="application/json", **fields):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
