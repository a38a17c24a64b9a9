"""Requests made of docs/openapi.json, right ones and wrong ones, and what must hold of each answer:

- it is one that the document has for this call: never a 500, and a problem that says so wherever it is none;
- who is refused has changed nothing, and neither has a dry run;
- the service goes on, without a sanitizer's finding.

The same seed makes the same requests.
"""

import json
import random
import re
import urllib.parse

import openapi
import wire

MIB = 1 << 20

NAMES = ["web", "db", "a", "b-1", "httpd"]
BAD_NAMES = ["UPPER", "-a", "a" * 64, "a" * 900, "%00", "%zz", "%", "a%2fb", "%2e%2e", "..", "%c3%bc", "a%20b", "", "77", "0", "~"]
STRINGS = ["", "x", "web", "httpd", "db", "dhcp", "10.0.2.20/24", "10.0.2.2", "10.0.2.30/8", "999.1.1.1/33", "52:54:00:12:34:56",
           "01:00:5e:00:00:01", "/data", "/etc/a", "/etc/a/b", "/dev/x", "//", "/..", "AAEC/w==", "====", "print=hi", "crash=8", "exit=3",
           "used=4194304", "running", "paused", "stopped", "on-demand", "never", "always", "0", "1", "%s%n", "ü€😀", "\ud7ff", "a\tb",
           "line\nline", "'; --", "a=b", "team", "edge", "app/tier", "sha256:" + "0" * 64]  # fmt: skip
INTEGERS = [-1, 0, 1, 2, 16, 31, 32, 33, 4095, 4096, 65536, 262144, MIB, 4 * MIB, 64 * MIB, 1 << 31, 1 << 32, 1 << 40, 1 << 53,
            (1 << 53) + 1, 1 << 63, 1 << 64, 10**30]  # fmt: skip
RAW_NUMBERS = ["1e400", "-0", "1.5", "1e3", "0.1e1", "01", "+1", "NaN", "Infinity", "0x10", "1e-400", "9" * 400]
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW", "get", "PRI"]

# What would end the machine or the service is only sent in forms that are refused.
FATAL = {"rebootHost", "shutDownHost", "armCrash", "putCertificate", "renewCertificate", "putToken"}
ENDLESS = {"followEvents"}


class Raw(str):
    """A piece of a JSON text as it is."""


class Maker:
    """Values of schemas, and values that are wrong in some way."""

    def __init__(self, rng):
        self.rng = rng

    def one_in(self, n):
        return self.rng.randrange(n) == 0

    def text(self, schema):
        pool = STRINGS + NAMES
        if "pattern" in schema:
            fitting = [text for text in pool if re.search(schema["pattern"], text)]
            return self.rng.choice(fitting or pool)
        return self.rng.choice(pool)

    def integer(self, schema):
        low, high, step = schema.get("minimum", -5), schema.get("maximum", 1 << 40), schema.get("multipleOf", 1)
        fitting = [number for number in INTEGERS if low <= number <= high and number % step == 0]
        return self.rng.choice([*fitting, low, high, schema.get("default", low)])

    def value(self, schema):
        """One that the schema takes, mostly."""
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        if "anyOf" in schema:
            return self.value(self.rng.choice(schema["anyOf"]))
        kind = schema.get("type")
        if kind == "object":
            return self.object(schema)
        if kind == "array":
            return [self.value(schema["items"]) for _ in range(self.rng.randrange(3))]
        if kind == "string":
            return self.text(schema)
        if kind == "integer":
            return self.integer(schema)
        return self.rng.choice([True, False]) if kind == "boolean" else None

    def object(self, schema):
        properties = schema.get("properties", {})
        needed = schema.get("required", [])
        chosen = [name for name in properties if name in needed or self.one_in(4)]
        made = {name: self.value(properties[name]) for name in chosen}
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            names = {"type": "string", **schema.get("propertyNames", {})}
            made |= {self.text(names): self.value(more) for _ in range(self.rng.randrange(3))}
        return made

    def wrong(self):
        """Something else in the place of any value."""
        choice = self.rng.choice
        return choice([
            None, True, [], {}, [[]], {"a": {}}, choice(INTEGERS), choice(STRINGS), Raw(choice(RAW_NUMBERS)), "x" * 5000,
            ["x"] * 100, [{}] * 40, {f"n{i}": "x" for i in range(1100)}, Raw('"\\u0000"'), Raw('"\\ud800"'), Raw("[" * 40 + "]" * 40),
        ])  # fmt: skip

    def spoil(self, value):
        """The value with a wrong one somewhere in it."""
        places = []

        def walk(at):
            items = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
            for key, item in items:
                places.append((at, key))
                walk(item)

        walk(value)
        if not places or self.one_in(8):
            return self.wrong()
        at, key = self.rng.choice(places)
        kind = self.rng.randrange(4)
        if kind == 0 and isinstance(at, dict):
            del at[key]
        elif kind == 1 and isinstance(at, dict):
            at[self.rng.choice(["colour", "", "__proto__", "ü", "x" * 300, key.upper()])] = at[key]
        else:
            at[key] = self.wrong()
        return value

    def json(self, value):
        """As a text, in some order and manner."""
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, dict):
            items = list(value.items())
            self.rng.shuffle(items)
            if items and self.one_in(40):
                items.append(items[0])
            return "{" + ",".join(f"{json.dumps(key)}:{self.json(item)}" for key, item in items) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.json(item) for item in value) + "]"
        return json.dumps(value, ensure_ascii=self.one_in(2))

    def bytes_of(self, text):
        """In UTF-8, mostly."""
        plain = text.encode("utf-8", "surrogatepass")
        if not self.one_in(6):
            return plain
        at = self.rng.randrange(len(plain) + 1)
        junk = bytes(self.rng.randrange(256) for _ in range(3))
        return self.rng.choice([
            b"\xef\xbb\xbf" + plain, text.encode("utf-16", "surrogatepass"), text.encode("latin-1", "replace"), plain[:at],
            plain[:at] + junk + plain[at:], plain + plain, plain + b" // x", b"\x00" + plain, b"", plain + b" " * 70000, plain + b"\x0b",
        ])  # fmt: skip


class Request:
    def __init__(self, operation, method, target, headers, body, dry_run):
        self.operation, self.method, self.target, self.headers, self.body = operation, method, target, headers, body
        self.dry_run = dry_run

    @property
    def path(self):
        return self.target.partition("?")[0]

    def encode(self):
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("utf-8") + (self.body or b"")


class Fuzzer:
    def __init__(self, service, contract, elf, seed):
        self.service, self.contract, self.elf = service, contract, elf
        self.rng = random.Random(seed)
        self.maker = Maker(self.rng)
        self.wire = None
        self.counts = {}
        self.known = self.snapshot()
        # Most of what can be wrong is in bodies.
        self.operations = [o for o in contract.operations if o.id not in ENDLESS for _ in range(6 if o.method in ("PUT", "PATCH") else 1)]

    def one_in(self, n):
        return self.maker.one_in(n)

    # Making requests

    def target(self, operation):
        kind = operation.template.removeprefix("/v1/").split("/")[0]
        there = {"guests": "web", "images": "httpd", "volumes": "db"}.get(kind)
        name = self.rng.choice(BAD_NAMES if self.one_in(8) else NAMES if self.one_in(2) or not there else [there])
        number = self.rng.choice(["0", "1", "7", "00", "-1", "99999999999", *BAD_NAMES[:6]]) if self.one_in(3) else "0"
        path = operation.template.replace("{name}", name).replace("{id}", number).replace("{file}", name)
        if self.one_in(30):
            path = self.rng.choice([path + "/", path + "//", path.replace("/", "//"), path + "/x", path.upper(), path + "%2f", "/" + path, "*"])
        query = [pair for pair in (self.query(p) for p in operation.parameters if p["in"] == "query") if pair]
        if self.one_in(20):
            query.append(self.rng.choice(["dry_run=true", "dry_run", "x=y", "&&", "=", "limit=%", "a" * 1200]))
        return path + ("?" + "&".join(query) if query else ""), "dry_run=true" in query

    def query(self, parameter):
        if self.one_in(2) or parameter["name"] == "follow":
            return None
        value = self.maker.value(parameter["schema"]) if not self.one_in(4) else self.maker.wrong()
        value = value[0] if isinstance(value, list) and value else value
        text = json.dumps(value) if isinstance(value, (bool, int)) else str(value)[:100]
        return f"{parameter['name']}={urllib.parse.quote(text.encode('utf-8', 'surrogatepass'))}"

    def body(self, operation):
        """(type, bytes), or (None, None)."""
        content = operation.body()
        if not content:
            return (None, b"{}") if self.one_in(20) else (None, None)
        kind = self.rng.choice(list(content))
        if "json" not in kind:
            return kind, self.binary(operation)
        value = self.maker.value(content[kind]["schema"])
        if operation.id in FATAL:
            return kind, self.maker.json(value).encode("utf-8", "surrogatepass")[:-1]
        for _ in range(self.rng.choice([0, 0, 1, 1, 2])):
            value = self.maker.spoil(value)
        return kind, self.maker.bytes_of(self.maker.json(value))

    def binary(self, operation):
        if operation.id == "putVolumeData":
            return self.rng.choice([b"", b"x" * 4096, b"\0" * MIB])
        data = bytearray(self.elf)
        for _ in range(self.rng.randrange(4)):
            data[self.rng.randrange(2048)] = self.rng.randrange(256)
        return self.rng.choice([bytes(data), bytes(data[: self.rng.randrange(len(data))]), b"", b"\x7fELF", b"SKEP" * 100])

    def header_fields(self, operation, kind):
        fields = [("Host", "skep")]
        if not self.one_in(25):
            fields.append(("Authorization", f"Bearer {self.service.token}"))
        elif self.one_in(2):
            fields.append(("Authorization", self.rng.choice(["Bearer", "Bearer x", "Basic YTpi", "x" * 3000])))
        if kind and not self.one_in(15):
            fields.append(("Content-Type", kind if not self.one_in(10) else self.rng.choice(["text/plain", "", "application/json; x", "application/jsonx"])))
        for parameter in operation.parameters:
            if parameter["in"] == "header" and (parameter.get("required") or self.one_in(4)):
                fields.append((parameter["name"], self.header_value(parameter)))
        if self.one_in(30):
            fields.append(self.rng.choice([("Expect", "200-ok"), ("X", "y" * 9000), ("Accept", "text/html"), ("X-Ü", "ü"), ("Upgrade", "h2c")]))
        return fields

    def header_value(self, parameter):
        if parameter["name"] == "Skep-Passphrase":
            return self.rng.choice(["short", "x" * 300, ""])  # a right one takes a second of key derivation
        if parameter["name"] in ("If-Match", "If-None-Match"):
            return self.rng.choice(["*", '"x"', 'W/"x"', "x", '"x", *', '"', "", '"' + "0" * 32 + '"', ", ,", '"a", "b"'])
        return self.rng.choice(["", "x", "sha256:" + "0" * 64])

    def framing(self, body):
        """Length or chunks."""
        if not self.one_in(6):
            return [("Content-Length", str(len(body)))], body
        size = self.rng.choice([1, 7, 1000, 65536])
        size = max(size, len(body) // 50)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        return [("Transfer-Encoding", "chunked")], b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"

    def request(self):
        operation = self.rng.choice(self.operations)
        target, dry_run = self.target(operation)
        kind, body = self.body(operation)
        method = operation.method
        if self.one_in(15) and operation.id not in FATAL:
            method = self.rng.choice(METHODS)
        headers = self.header_fields(operation, kind)
        if body is not None:
            more, body = self.framing(body)
            headers += more
        return Request(operation, method, target, headers, body, dry_run)

    # Sending them, and looking at what comes of it

    def snapshot(self):
        """All that clients have wished, but what is on its way out."""
        api = self.service.api
        guests = api.ok("GET", "/v1/guests")["items"]
        volumes = api.ok("GET", "/v1/volumes")["items"]
        return (
            {guest["name"]: guest["spec"] for guest in guests if guest["status"]["state"] != "dying"},
            api.ok("GET", "/v1/images")["items"],
            [{**volume, "status": None} for volume in volumes],
            [disk.get("uuid") for disk in api.ok("GET", "/v1/disks")["items"]],
        )

    def exchange(self, request):
        """The answer; a connection that is closed without one may have been so before it."""
        for _ in range(2):
            fresh = self.wire is None
            self.wire = self.wire or wire.Wire(self.service.port)
            self.wire.send(request.encode())
            answer = self.wire.answer(request.method)
            if answer is None or answer.headers.get("Connection") == "close":
                self.wire.__exit__()
                self.wire = None
            if answer is not None or fresh:
                return answer
        return None

    def check(self, request, answer):
        assert answer is not None, "there is no answer"
        sent = request.body if dict(request.headers).get("Content-Length") else None
        if self.contract.at_path(request.path) or answer.status not in (200, 201, 202, 204):
            mistakes = self.contract.check(request.method, request.path, answer.status, answer.headers, answer.body, sent)
            # What no path template has may be known by another way to write it: then only what is said must be right.
            assert not mistakes or not self.contract.at_path(request.path), mistakes
        assert answer.status != 500, answer.body
        changes = request.method not in ("GET", "HEAD")
        if not changes:
            return
        now = self.snapshot()
        if answer.status >= 400 or request.dry_run:
            assert now == self.known, "who was refused has changed something"
        self.known = now

    def step(self):
        request = self.request()
        answer = None
        try:
            answer = self.exchange(request)
            self.check(request, answer)
            self.service.check_alive()
        except (AssertionError, OSError) as error:
            self.service.wait_end()
            said = answer and (answer.status, answer.body[:500])
            raise AssertionError(f"{error}\n{self.service.text()[-6000:]}\nrequest: {request.encode()[:3000]!r}\nanswer: {said}") from error
        self.counts[answer.status] = self.counts.get(answer.status, 0) + 1

    def end(self):
        if self.wire:
            self.wire.__exit__()


def furnish(api, elf):
    """What fuzzed requests find."""
    api.upload("httpd", elf)
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    api.ok("PUT", "/v1/volumes/db", json={"size_bytes": MIB})
    api.create("web", image="httpd", memory_bytes=4 * MIB, args=["print=hello"], labels={"team": "edge"})
    api.wait_state("web", "running")


def run(service, elf, seed, enough):
    """Fuzzes until enough(number of requests) says so; how many answers had which status."""
    furnish(service.api, elf)
    fuzzer = Fuzzer(service, openapi.Contract(), elf, seed)
    count = 0
    try:
        while not enough(count):
            fuzzer.step()
            count += 1
    finally:
        fuzzer.end()
    return count, fuzzer.counts
