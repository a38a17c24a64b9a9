"""docs/openapi.json as a contract: every answer must be one that it describes, and nothing that it doesn't know.

The document leaves answers open, since clients must ignore fields that they don't know. Here they are closed: what is not
described is a mistake, of the service or of the document.
"""

import copy
import functools
import json
import pathlib
import re
import urllib.parse

import jsonschema

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/openapi.json"
METHODS = ("get", "put", "post", "patch", "delete")

# What a request can be told before it is known which one it is, and what one without an operation is told.
HEAD_STATUSES = {400, 408, 414, 417, 431, 501, 505}
NO_OPERATION_STATUSES = HEAD_STATUSES | {401, 404, 405, 429}


def merge_all_of(schema):
    """Objects of several parts as one object, so that it can be closed."""
    parts = schema.pop("allOf", [])
    for part in parts:
        schema.setdefault("type", "object")
        schema.setdefault("properties", {}).update(part.get("properties", {}))
        schema.setdefault("required", []).extend(part.get("required", []))
    return schema


def close(schema):
    """Refuses what an object's schema doesn't name, unless the document says so itself."""
    if isinstance(schema, list):
        return [close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: close(value) if key not in ("enum", "const", "required") else value for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


class Operation:
    """One of the document, with its validators made once."""

    def __init__(self, contract, method, template, item):
        self.method, self.template = method, template
        self.item = contract.expand(item)
        self.id = item["operationId"]
        self.parameters = self.item.get("parameters", [])
        self.responses = self.item["responses"]
        self.pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}")))

    @property
    def successes(self):
        return [int(status) for status in self.responses if status[0] in "123"]

    @property
    def is_debug(self):
        return self.item.get("x-skep-build") == "debug"

    def body(self, kind=None):
        """The request's media types, or one of them."""
        content = self.item.get("requestBody", {}).get("content", {})
        return content.get(kind, {}) if kind else content

    @functools.lru_cache(maxsize=None)  # noqa: B019: operations live as long as the program
    def answer_validator(self, status, kind):
        schema = self.responses[str(status)]["content"][kind].get("schema", {})
        return jsonschema.Draft202012Validator(close(schema))

    @functools.lru_cache(maxsize=None)  # noqa: B019
    def request_validator(self, kind):
        return jsonschema.Draft202012Validator(self.body(kind).get("schema", {}))


class Contract:
    def __init__(self, document=DOCUMENT):
        self.document = json.loads(pathlib.Path(document).read_text(encoding="utf-8"))
        self.operations = []
        for template, path in self.document["paths"].items():
            for method in METHODS:
                if method in path:
                    item = {**path[method], "parameters": path.get("parameters", []) + path[method].get("parameters", [])}
                    self.operations.append(Operation(self, method.upper(), template, item))
        self.seen = set()  # (operation's id, status)
        self.mistakes = []

    def resolve(self, reference):
        at = self.document
        for name in reference.removeprefix("#/").split("/"):
            at = at[name]
        return at

    def expand(self, value):
        """A copy without references; the document has no circles."""
        if isinstance(value, list):
            return [self.expand(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            rest = {key: item for key, item in value.items() if key != "$ref"}
            return self.expand({**copy.deepcopy(self.resolve(value["$ref"])), **rest})
        return merge_all_of({key: self.expand(item) for key, item in value.items()})

    def at_path(self, path):
        """The operations of a path by method."""
        return {operation.method: operation for operation in self.operations if operation.pattern.fullmatch(path)}

    def look(self, method, target, status, headers, body, sent=None):
        """What is wrong with an answer, for people."""
        path = urllib.parse.urlsplit(target).path
        return [f"{method} {path}: {status}: {mistake}" for mistake in self.check(method, path, status, headers, body, sent)]

    def look_at(self, response):
        """The same of an answer of requests."""
        request = response.request
        body = None if response.raw is not None and not response._content_consumed else response.content
        return self.look(request.method, request.url, response.status_code, response.headers, body, request.body)

    def note(self, response):
        """Remembers what is wrong with an answer."""
        self.mistakes += self.look_at(response)

    def insist(self, response):
        """Fails if something is wrong with an answer."""
        mistakes = self.look_at(response)
        assert not mistakes, "not as docs/openapi.json says: " + "; ".join(mistakes)

    def take_mistakes(self):
        mistakes, self.mistakes = self.mistakes, []
        return mistakes

    def check(self, method, path, status, headers, body, sent=None):
        """What is wrong with an answer. body None: it wasn't read; sent: the request's."""
        operations = self.at_path(path)
        operation = operations.get("GET" if method == "HEAD" else method)
        if operation is None or (operation.is_debug and status == 404):
            return self.check_without(operations, status, headers, body, method)
        self.seen.add((operation.id, status))
        described = operation.responses.get(str(status))
        if described is None:
            return [f"the document doesn't know this status; body: {(body or b'')[:300]!r}"]
        mistakes = [f"no header {name}" for name, header in described.get("headers", {}).items()
                    if header.get("required") and name not in headers]  # fmt: skip
        for name, header in described.get("headers", {}).items():
            if name in headers:
                mistakes += check_header(name, headers[name], header["schema"])
        if body is not None and method != "HEAD":
            mistakes += check_body(operation, described, status, headers, body)
        if 200 <= status < 300 and sent:
            mistakes += check_sent(operation, sent)
        return mistakes

    def check_without(self, operations, status, headers, body, method):
        """No such path, or no such method there."""
        if status not in NO_OPERATION_STATUSES or (status == 405 and not operations):
            return ["there is no such operation, and this is no answer to that"]
        if status == 405 and set(headers.get("Allow", "").split(", ")) != set(operations):
            return [f"Allow is {headers.get('Allow')!r}, but the document has {sorted(operations)}"]
        if method == "HEAD" or body is None:
            return []
        problem = self.document["components"]["responses"]["Problem404"]
        return check_problem(self.problem_validator(), problem, status, headers, body)

    @functools.lru_cache(maxsize=None)  # noqa: B019
    def problem_validator(self):
        return jsonschema.Draft202012Validator(close(self.expand({"$ref": "#/components/schemas/Problem"})))


def check_header(name, text, schema):
    value = int(text) if schema.get("type") == "integer" and text.isdigit() else text
    return [f"header {name}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def errors_of(validator, value):
    return [f"{error.json_path}: {error.message[:400]}" for error in validator.iter_errors(value)]


def check_body(operation, described, status, headers, body):
    content = described.get("content", {})
    kind = headers.get("Content-Type", "").split(";")[0]
    if not content:
        return [] if not body and not kind else [f"it has a body: {body[:200]!r}"]
    if kind not in content:
        return [f"its type is {kind!r}, and not one of {list(content)}"]
    if "json" not in kind:
        return []
    value = parse(body)
    if isinstance(value, NotJson):
        return [str(value)]
    mistakes = errors_of(operation.answer_validator(status, kind), value)
    if status >= 400 and not mistakes and value["status"] != status:
        mistakes.append(f"the problem says {value['status']}")
    return mistakes


def check_problem(validator, described, status, headers, body):
    if headers.get("Content-Type") not in described["content"]:
        return [f"its type is {headers.get('Content-Type')!r}"]
    value = parse(body)
    if isinstance(value, NotJson):
        return [str(value)]
    return errors_of(validator, value) or ([] if value["status"] == status else [f"the problem says {value['status']}"])


def check_sent(operation, sent):
    """What was accepted must be what the document calls right."""
    kinds = [kind for kind in operation.body() if "json" in kind]
    if not kinds or not isinstance(sent, (bytes, str)):
        return []
    value = parse(sent if isinstance(sent, bytes) else sent.encode())
    if isinstance(value, NotJson):
        return [f"accepted, but {value}"]
    return [f"accepted, but the request is not as described: {error}" for error in errors_of(operation.request_validator(kinds[0]), value)]


class NotJson(str):
    """Why a text is none."""


def parse(text):
    try:
        return json.loads(text)
    except ValueError as error:
        return NotJson(f"it is no JSON: {error}")
