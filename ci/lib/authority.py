"""A certification authority and keys of openssl's, for tests of the API's certificates."""

import subprocess


def openssl(*words, text=None):
    """What it prints; an assertion with its complaint if it fails."""
    done = subprocess.run(["openssl", *map(str, words)], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"openssl {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


def describe_request(pem):
    """A request's text; its signature is checked."""
    return openssl("req", "-verify", "-noout", "-text", text=pem)


class Key:
    """A private key in a file: rsaBITS, ed25519, or a curve."""

    def __init__(self, path, kind):
        self.path = path.with_suffix(".key")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if kind.startswith("rsa"):
            options = ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{kind[3:]}"]
        elif kind == "ed25519":
            options = ["-algorithm", "ED25519"]
        else:
            options = ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        openssl("genpkey", *options, "-out", self.path)

    def pem(self):
        return self.path.read_text()

    def encrypted(self):
        return openssl("pkcs8", "-topk8", "-in", self.path, "-passout", "pass:secret")


def self_signed(folder, name, kind="prime256v1"):
    """A key, and the file of a certificate that it signed itself."""
    key, file = Key(folder / name, kind), folder / f"{name}.pem"
    openssl("req", "-x509", "-new", "-key", key.path, "-days", 30, "-subj", f"/CN={name}", "-out", file)
    return key, file


class Authority:
    """A root, and `depth` intermediates below it, the last of which signs."""

    def __init__(self, folder, depth=1):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.root = folder / "root.pem"
        key = Key(folder / "root", "rsa2048")
        openssl(
            *("req", "-x509", "-new", "-key", key.path, "-days", 30, "-subj", "/O=Skep test/CN=root"),
            *("-addext", "keyUsage=keyCertSign", "-out", self.root),
        )
        self.certificate, self.key = self.root, key
        self.chain = ""
        for level in range(depth):
            self._add_intermediate(level)

    def _add_intermediate(self, level):
        key = Key(self.folder / f"intermediate{level}", "prime256v1")
        name = self.folder / f"intermediate{level}"
        request = openssl("req", "-new", "-key", key.path, "-subj", f"/O=Skep test/CN=intermediate {level}")
        extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        pem = self._sign(request, extensions)
        self.certificate, self.key = name.with_suffix(".pem"), key
        self.certificate.write_text(pem)
        self.chain = pem + self.chain

    def _sign(self, request, extensions):
        (self.folder / "extensions").write_text(extensions)
        return openssl(
            *("x509", "-req", "-days", 30, "-CA", self.certificate, "-CAkey", self.key.path),
            *("-CAcreateserial", "-extfile", self.folder / "extensions"),
            text=request,
        )

    def sign_request(self, request, name, usage="serverAuth"):
        """The certificate for a request and the chain behind it, PEM."""
        extensions = (
            f"subjectAltName=DNS:{name}\nextendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n"
        )
        return self._sign(request, extensions) + self.chain

    def sign(self, key, name, usage="serverAuth"):
        request = openssl("req", "-new", "-key", key.path, "-subj", f"/CN={name}")
        return self.sign_request(request, name, usage)

    def check_served(self, port, name, version):
        """openssl's client, which trusts the root alone, finds nothing wrong with what is served."""
        text = openssl(
            *("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", self.root, "-verify_return_error"),
            *("-servername", name, "-verify_hostname", name, f"-tls{version.replace('.', '_')}", "-alpn", "http/1.1"),
            text="",
        )
        assert "Verify return code: 0 (ok)" in text and "ALPN protocol: http/1.1" in text, text
