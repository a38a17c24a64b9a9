"""docs/openapi.json is complete and true: its operations are the service's, and each was driven to each success that it
has, by requests made of it."""

import datetime
import json
import re

import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import skep
from authority import Key, openssl
from conftest import CONTRACT, MIB

CASES = [(operation, status) for operation in CONTRACT.operations for status in operation.successes]
PASSPHRASE = CONTRACT.document["components"]["parameters"]["Passphrase"]["example"]


def operations():
    return {(operation.method, operation.template) for operation in CONTRACT.operations}


def in_query(operation):
    return [parameter["name"] for parameter in operation.parameters if parameter["in"] == "query"]


#
# The document
#


def test_the_routes_are_the_documents():
    source = (skep.ROOT / "hv/control/api.c").read_text()
    table = re.search(r"routes\[\] = \{\n(.*?)\n\};", source, re.S)[1]
    rows = re.findall(r'^    \{\{((?:"[^"]*"(?:, )?)+)\},\s+HTTP_(\w+),\s+\w+,\s+\w+,\s+(?:NULL|"([^"]*)")\}', table, re.M)
    assert len(rows) == table.count("{{"), "a route isn't understood"
    templates = {re.sub(r"\{\w+\}", "*", template): template for _, template in operations()}
    routes = {}
    for names, method, words in rows:
        path = "/" + "/".join(re.findall(r'"([^"]*)"', names))
        routes[method, templates.get(path, path)] = set(re.findall(r"\w+", words))
    assert routes == {(operation.method, operation.template): set(in_query(operation)) for operation in CONTRACT.operations}


def test_the_reference_has_the_same_calls():
    text = (skep.ROOT / "docs/api.md").read_text()
    sections = re.findall(r"^## (?:Calls|Debug builds)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    named = re.findall(r"^\|.*", "\n".join(sections), re.M)
    calls = {call for row in named for call in re.findall(r"`([A-Z]+) (/[^\s`]*)`", row)}
    assert calls == operations()


def test_the_service_serves_it(api):
    response = api.get("/openapi.json", headers={"Authorization": None})
    assert response.json() == CONTRACT.document
    assert api.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
    assert api.get("/openapi.json", headers={"If-None-Match": '"other"'}).status_code == 200
    version = re.search(r"project\(skep VERSION ([\d.]+)", (skep.ROOT / "CMakeLists.txt").read_text())[1]
    assert CONTRACT.document["info"]["version"] == version == api.host()["version"]


def test_the_document_is_sound():
    names = [operation.id for operation in CONTRACT.operations]
    assert len(names) == len(set(names))
    for schema in CONTRACT.document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(CONTRACT.expand(schema))
    for operation in CONTRACT.operations:
        in_path = {parameter["name"] for parameter in operation.parameters if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", operation.template)), operation.id
        assert operation.successes, operation.id
        for status, answer in operation.responses.items():
            if status[0] in "45":
                assert list(answer["content"]) == ["application/problem+json"], (operation.id, status)
        for kind in operation.body():
            for name, example in operation.body(kind).get("examples", {}).items():
                assert not list(operation.request_validator(kind).iter_errors(example["value"])), (operation.id, name)
    for response in CONTRACT.document["components"]["responses"].values():
        for content in CONTRACT.expand(response)["content"].values():
            if "example" in content:
                jsonschema.Draft202012Validator(content["schema"]).validate(content["example"])


def test_what_it_does_not_know_is_found(api):
    """The check itself: an answer with another field, type or status than the document's is a mistake."""
    get = CONTRACT.at_path("/v1/guests/web")["GET"]
    good = api.ok("GET", "/v1/guests/web")
    for spoil in (
        lambda guest: guest.update(colour="blue"),
        lambda guest: guest["spec"].update(memory_bytes="4M"),
        lambda guest: guest["status"].pop("state"),
        lambda guest: guest["status"].update(state="asleep"),
    ):
        guest = json.loads(json.dumps(good))
        assert not get.answer_validator(200, "application/json").validate(guest)
        spoil(guest)
        headers = {"Content-Type": "application/json", "ETag": '"' + "0" * 32 + '"'}
        assert CONTRACT.check("GET", "/v1/guests/web", 200, headers, json.dumps(guest).encode())
    assert CONTRACT.check("GET", "/v1/guests/web", 418, {}, b"")
    assert CONTRACT.check("GET", "/v1/nowhere", 200, {}, b"")


#
# Requests that are made of it
#


def call(api, operation, names=(), kind=None, example=None, data=None, query=None, headers=None, stream=False):
    """A request for an operation: its path filled in, its required headers from their examples."""
    needed = {p["name"]: p["example"] for p in operation.parameters if p["in"] == "header" and p.get("required")}
    path = operation.template.format(**dict(names))
    if example:
        data = json.dumps(operation.body(kind)["examples"][example]["value"])
        needed["Content-Type"] = kind
    return api.request(operation.method, path, params=query, data=data, headers={**needed, **(headers or {})}, stream=stream)


def examples(operation):
    """(media type, name) of each; (None, None) where it has no JSON body."""
    found = [(kind, name) for kind in operation.body() for name in operation.body(kind).get("examples", {})]
    return found or [(None, None)]


def usual_names(api, operation):
    """What is there from the start, for the variable part of a path."""
    thing = operation.template.split("/")[2] if operation.template.startswith("/v1/") else ""
    if thing == "operations":
        return {"id": copied(api)}
    if thing == "crashes":
        return {"id": api.ok("GET", "/v1/crashes")["items"][0]["id"]}
    names = {"guests": "web", "images": "httpd", "volumes": "db", "apps": "shop", "client-certificates": "nobody", "tokens": "eye"}
    return {"name": names.get(thing, ""), "id": "0", "file": "style.css"}


# How to come to a success that isn't that of a plain request for what is there. Each yields the answers.


def not_modified(api, operation, **_):
    names = usual_names(api, operation)
    known = call(api, operation, names).headers["ETag"]
    yield call(api, operation, names, headers={"If-None-Match": known})


def power(api, operation, start, **_):
    for kind, example in examples(operation):
        yield call(start().api, operation, kind=kind, example=example)
    yield call(start().api, operation)


def client_new(api, operation, tmp_path, **_):
    yield put_client(api, tmp_path, "fresh")
    api.ok("DELETE", "/v1/client-certificates/fresh")


def put_client(api, folder, name):
    key = Key(folder / name, "prime256v1")
    pem = openssl("req", "-x509", "-new", "-key", key.path, "-subj", f"/CN={name}")
    return api.put(f"/v1/client-certificates/{name}", json={"role": "viewer", "certificate": pem})


def client_there(api, operation, tmp_path, **_):
    put_client(api, tmp_path, "there")
    yield call(api, operation, {"name": "there"}, data='{"role": "viewer"}', headers={"Content-Type": "application/json"})
    api.delete("/v1/client-certificates/there")


def image_new(api, operation, elf, **_):
    yield call(api, operation, {"name": "fresh"}, data=elf)
    api.ok("DELETE", "/v1/images/fresh")


def image_same(api, operation, elf, **_):
    yield call(api, operation, {"name": "httpd"}, data=elf)


def image_changed(api, operation, elf, **_):
    for kind, example in examples(operation):
        api.upload("fresh", elf)
        yield call(api, operation, {"name": "fresh"}, kind, example, query={"dry_run": "true"})
        yield call(api, operation, {"name": "fresh"}, kind, example)
        api.ok("DELETE", "/v1/images/fresh")


def image_gone(api, operation, elf, **_):
    api.upload("fresh", elf)
    yield call(api, operation, {"name": "fresh"})


def guest_new(api, operation, **_):
    for kind, example in examples(operation):
        yield call(api, operation, {"name": "fresh"}, kind, example)
        api.delete_guest("fresh")


def guest_changed(api, operation, **_):
    for kind, example in examples(operation):
        api.create("fresh", image="httpd", desired_state="stopped")
        yield call(api, operation, {"name": "fresh"}, kind, example)
        api.delete_guest("fresh")


def guest_gone(api, operation, **_):
    api.create("fresh", image="httpd")
    yield call(api, operation, {"name": "fresh"})


def guest_lingers(api, operation, **_):
    api.create("fresh", image="httpd", args=["dying=3000"])
    yield call(api, operation, {"name": "fresh"})
    skep.wait_for(lambda: api.get("/v1/guests/fresh").status_code == 404, "it is gone")


def volume_new(api, operation, **_):
    for kind, example in examples(operation):
        yield call(api, operation, {"name": "fresh"}, kind, example)
        api.ok("DELETE", "/v1/volumes/fresh")


def copied(api, name="of-an-operation", source="db"):
    """The id of an operation that has ended; its volume is gone again."""
    answer = api.put(f"/v1/volumes/{name}", json={"copy_of": source})
    operation = api.ok("GET", answer.headers["Location"], params={"wait": 60})
    assert operation["state"] == "done", operation
    api.ok("DELETE", operation["result"])
    return operation["id"]


def volume_copied(api, operation, **_):
    headers = {"Content-Type": "application/json"}
    yield (answer := call(api, operation, {"name": "fresh"}, data='{"copy_of": "db"}', headers=headers))
    assert api.ok("GET", answer.headers["Location"], params={"wait": 60})["state"] == "done"
    api.ok("DELETE", "/v1/volumes/fresh")


def operation_cancelled(api, operation, **_):
    api.ok("PUT", "/v1/volumes/vast", json={"size_bytes": 1 << 37, "overcommit": True})
    begun = api.put("/v1/volumes/fresh", json={"copy_of": "vast", "overcommit": True})
    yield call(api, operation, {"id": begun.json()["id"]})
    assert api.ok("GET", begun.headers["Location"], params={"wait": 60})["state"] == "cancelled"
    assert [item["name"] for item in api.ok("GET", "/v1/volumes")["items"]] == ["db", "vast"]
    api.ok("DELETE", "/v1/volumes/vast")


def volume_same(api, operation, **_):
    for kind, example in examples(operation):
        call(api, operation, {"name": "fresh"}, kind, example)
        yield call(api, operation, {"name": "fresh"}, kind, example)
        api.ok("DELETE", "/v1/volumes/fresh")


def volume_gone(api, operation, **_):
    api.ok("PUT", "/v1/volumes/fresh", json={"size_bytes": MIB})
    yield call(api, operation, {"name": "fresh"})


def volume_changed(api, operation, **_):
    for kind, example in examples(operation):
        yield call(api, operation, {"name": "db"}, kind, example)


def volume_written(api, operation, **_):
    yield call(api, operation, {"name": "db"}, data=b"\1" * MIB)


APP_NAMES = {"name": "shop"}


def app_example(operation):
    return next(iter(examples(operation)))


def apps_of(start, elf):
    """A service that has a disk, which apps are kept on."""
    api = start(disk_bytes=16 * MIB, volume_bytes=64 * MIB).api
    api.upload("httpd", elf)
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    return api


def app_new(api, operation, start, elf, **_):
    yield call(apps_of(start, elf), operation, APP_NAMES, *app_example(operation))


def app_same(api, operation, start, elf, **_):
    api = apps_of(start, elf)
    yield call(api, operation, APP_NAMES, *app_example(operation), query={"dry_run": "true"})
    call(api, operation, APP_NAMES, *app_example(operation))
    yield call(api, operation, APP_NAMES, *app_example(operation))


def app_there(api, operation, start, elf, **_):
    api = apps_of(start, elf)
    api.ok("PUT", "/v1/apps/shop", json={"labels": {"a": "b"}, "guests": {"shop": {"image": "httpd"}}})
    yield call(api, operation, APP_NAMES)


def app_changes(api, operation, start, elf, **_):
    api = apps_of(start, elf)
    api.ok("PUT", "/v1/apps/shop", json={"guests": {"slow": {"image": "httpd", "args": ["dying=3000"]}}})
    api.wait_state("slow", "running")
    yield call(api, operation, APP_NAMES, *app_example(operation))
    skep.wait_for(lambda: api.get("/v1/guests/slow").status_code == 404, "it is gone")
    skep.wait_for(lambda: api.ok("GET", "/v1/apps/shop")["status"]["state"] == "ready", "all is done")


def app_lingers(api, operation, start, elf, **_):
    api = apps_of(start, elf)
    api.ok("PUT", "/v1/apps/shop", json={"guests": {"slow": {"image": "httpd", "args": ["dying=3000"]}}})
    api.wait_state("slow", "running")
    yield call(api, operation, APP_NAMES)
    skep.wait_for(lambda: api.get("/v1/apps/shop").status_code == 404, "it is gone")


def token_new(api, operation, **_):
    for kind, example in examples(operation):
        yield call(api, operation, {"name": "fresh"}, kind, example)
        api.ok("DELETE", "/v1/tokens/fresh")


def token_same(api, operation, **_):
    for kind, example in examples(operation):
        call(api, operation, {"name": "fresh"}, kind, example)
        yield call(api, operation, {"name": "fresh"}, kind, example)
        yield call(api, operation, {"name": "fresh"}, kind, example, query={"rotate": "true"})
        api.ok("DELETE", "/v1/tokens/fresh")


def token_gone(api, operation, **_):
    api.ok("PUT", "/v1/tokens/fresh", json={"role": "admin"})
    yield call(api, operation, {"name": "fresh"})


def disk_formatted(api, operation, start, **_):
    for kind, example in examples(operation):
        yield call(start(volume_bytes=64 * MIB).api, operation, {"id": "0"}, kind, example)


def backup_of(api):
    return api.ok("GET", "/v1/backup", headers={"Skep-Passphrase": PASSPHRASE})


def backup_restored(api, operation, start, **_):
    yield call(start().api, operation, data=backup_of(api))


def backup_replaces(api, operation, start, elf, **_):
    """The machine restores it when it has started again."""
    service = start(disk_bytes=16 * MIB)
    service.api.upload("httpd", elf)
    service.api.create("old", image="httpd")
    yield call(service.api, operation, data=backup_of(api), query={"replace": "true"})
    service.wait_ready(starts=2)
    names = [item["name"] for item in service.api.ok("GET", "/v1/guests")["items"]]
    assert names == ["broken", "web"]


def console_opened(api, operation, **_):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with call(api, operation, {"name": "web"}, headers=headers | key, stream=True) as answer:
        yield answer


def events_followed(api, operation, **_):
    with call(api, operation, stream=True) as answer:
        yield answer


def certificate_installed(api, operation, start, **_):
    """One that is signed by nobody but itself, for a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "skep.example")])
    now = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(9999))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    texts = {"certificate": certificate.decode(), "key": key.private_bytes(*form).decode()}
    headers = {"Content-Type": "application/json"}
    yield call(start().api, operation, data=json.dumps(texts), headers=headers)


def certificate_renewed(api, operation, start, **_):
    for kind, example in examples(operation):
        yield call(start().api, operation, kind=kind, example=example)


WAYS = {
    ("followEvents", 200): events_followed,
    ("putCertificate", 200): certificate_installed,
    ("requestCertificate", 200): certificate_renewed,
    ("renewCertificate", 200): certificate_renewed,
    ("openGuestConsole", 101): console_opened,
    ("getDescription", 304): not_modified,
    ("getPage", 304): not_modified,
    ("getPageFile", 304): not_modified,
    ("rebootHost", 202): power,
    ("shutDownHost", 202): power,
    ("getClientCertificate", 200): client_there,
    ("putClientCertificate", 200): client_there,
    ("putClientCertificate", 201): client_new,
    ("deleteClientCertificate", 204): client_there,
    ("putImage", 200): image_same,
    ("putImage", 201): image_new,
    ("patchImage", 200): image_changed,
    ("deleteImage", 204): image_gone,
    ("putGuest", 200): guest_changed,
    ("putGuest", 201): guest_new,
    ("patchGuest", 200): guest_changed,
    ("deleteGuest", 202): guest_lingers,
    ("deleteGuest", 204): guest_gone,
    ("formatDisk", 200): disk_formatted,
    ("putVolume", 200): volume_same,
    ("putVolume", 201): volume_new,
    ("putVolume", 202): volume_copied,
    ("cancelOperation", 202): operation_cancelled,
    ("patchVolume", 200): volume_changed,
    ("deleteVolume", 204): volume_gone,
    ("putVolumeData", 200): volume_written,
    ("getApp", 200): app_there,
    ("putApp", 200): app_same,
    ("putApp", 201): app_new,
    ("putApp", 202): app_changes,
    ("deleteApp", 202): app_lingers,
    ("deleteApp", 204): app_there,
    ("putToken", 200): token_same,
    ("putToken", 201): token_new,
    ("deleteToken", 204): token_gone,
    ("putBackup", 200): backup_restored,
    ("putBackup", 202): backup_replaces,
}


def usual(api, operation, **_):
    for kind, example in examples(operation):
        yield call(api, operation, usual_names(api, operation), kind, example)


@pytest.mark.parametrize("operation, status", CASES, ids=[f"{o.id}-{s}" for o, s in CASES])
def test_each_success(api, start, elf, tmp_path, operation, status):
    way = WAYS.get((operation.id, status), usual)
    answers = list(way(api, operation, start=start, elf=elf, tmp_path=tmp_path))
    assert answers and {answer.status_code for answer in answers} == {status}, [answer.text[:300] for answer in answers]


@pytest.mark.parametrize("operation", CONTRACT.operations, ids=lambda operation: operation.id)
def test_without_the_token(api, operation):
    """Only what says so is open; all else changes nothing, and tells nothing."""
    names = {"name": "nobody", "id": "77", "file": "none"}
    answer = call(api, operation, names, headers={"Authorization": None})
    assert (answer.status_code == 401) == (operation.item.get("security") != []), answer.text


ROLES = ["viewer", "operator", "admin"]


def least_role(operation):
    """As docs/api.md has it."""
    part = operation.template.removeprefix("/v1/").split("/")[0]
    if part in ("tokens", "client-certificates", "audit", "backup", "debug") or operation.template == "/v1/host/panic":
        return "admin"
    if operation.method == "GET":
        return "operator" if operation.id == "getVolumeData" else "viewer"
    return "admin" if part in ("host", "disks") else "operator"


@pytest.mark.parametrize("role", ROLES)
def test_roles_call_by_call(api, role):
    """Each call tells whose role is too small so, and no other."""
    secret = api.ok("PUT", "/v1/tokens/small", json={"role": role})["token"]
    with skep.Api(api.port, secret, api.fingerprint) as caller:
        for operation in CONTRACT.operations:
            if operation.is_debug:
                continue
            body = {} if operation.method == "GET" else {"json": {"nothing that is known": 1}}
            path = operation.template.format(name="nobody", id="77", file="none")
            with caller.request(operation.method, path, stream=True, **body) as answer:
                refused = ROLES.index(role) < ROLES.index(least_role(operation))
                assert (answer.status_code == 403) == refused, f"{operation.id}: {answer.status_code}"
                assert operation.method == "GET" or answer.status_code >= 400, operation.id
    api.ok("DELETE", "/v1/tokens/small")


@pytest.mark.parametrize("operation", [o for o in CONTRACT.operations if o.item.get("security") != []], ids=lambda o: o.id)
def test_words_of_queries(api, operation):
    """What isn't known, or isn't clear, is refused, so that nobody's mistyped dry run is a change."""
    names = {**usual_names(api, operation), "name": "nobody"}
    needed = {"Skep-Passphrase": PASSPHRASE}
    known = in_query(operation)
    wrong = ["dryrun=true", "=", "x", *(f"{word}x=1" for word in known), *(f"x={word}" for word in known)]
    for query in wrong + [f"{word}=true&{word}=false" for word in known if word != "label"]:
        answer = call(api, operation, names, query=query, headers=needed)
        assert answer.status_code == 400 and "query" in answer.json()["detail"], (query, answer.text)


@pytest.mark.parametrize("template", CONTRACT.document["paths"])
def test_other_methods(api, template):
    """405 names exactly the methods that the document has."""
    path = template.format(name="web", id="0", file="style.css")
    assert api.request("OPTIONS", path).status_code == 405


@pytest.mark.parametrize("operation", [o for o in CONTRACT.operations if o.method == "GET"], ids=lambda o: o.id)
def test_head(api, operation):
    """HEAD is GET without the body."""
    names = usual_names(api, operation)
    needed = {"Skep-Passphrase": PASSPHRASE}
    path = operation.template.format(**names)
    endless = any("text/event-stream" in answer.get("content", {}) for answer in operation.responses.values())
    with api.get(path, headers=needed, stream=endless) as got:
        head = api.head(path, headers=needed)
    assert head.status_code == got.status_code and not head.content
    assert head.headers.get("Content-Type") == got.headers["Content-Type"]
