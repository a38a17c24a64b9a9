"""The page at "/", end to end: an ordinary browser, and the control service as a Linux program."""

import contextlib
import json

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import skep
from conftest import MIB

FILES = ("index.html", "style.css", *(f"{name}.js" for name in (
    "api", "apps", "audit", "certificate", "dom", "events", "guest", "guests", "host", "images", "live", "main", "operations", "plot",
    "tokens", "volumes")))  # fmt: skip
PAGE_MAX = 200 << 10
DISK_BYTES = 16 * MIB  # for apps
PHONE, DESK = (390, 844), (1280, 900)
VAST_BYTES = 1 << 37
NASTY = "<img src=x onerror=document.title='owned'>"


class Browser:
    """One that looks at one service. What it is asked for it waits for."""

    def __init__(self, driver, service):
        self.driver, self.service = driver, service

    def open(self, place=""):
        self.driver.get(f"https://127.0.0.1:{self.service.port}/{place}")

    def wait(self, what, condition):
        def met():
            with contextlib.suppress(WebDriverException):
                return condition()
            return False

        skep.wait_for(met, what)

    def text(self, selector="body"):
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def shows(self, text, selector="body"):
        self.wait(f"{selector} shows {text!r}", lambda: text in self.text(selector))

    def hides(self, text, selector="body"):
        self.wait(f"{selector} doesn't show {text!r} any more", lambda: text not in self.text(selector))

    def find(self, selector):
        found = []
        self.wait(selector, lambda: found.append(self.driver.find_element(By.CSS_SELECTOR, selector)) or True)
        return found[0]

    def press(self, label, within="body"):
        """A button or link that reads so."""
        path = f".//*[self::button or self::a][normalize-space()='{label}']"

        def pressed():
            for element in self.find(within).find_elements(By.XPATH, path):
                if element.is_displayed():
                    element.click()
                    return True
            return False

        self.wait(f"a button {label!r}", pressed)

    def fill(self, name, text):
        element = self.find(f"[name={name}]")
        element.clear()
        element.send_keys(text)

    def sign_in(self, token=None):
        self.open()
        self.fill("token", token or self.service.token)
        self.press("Sign in", "form")

    def run(self, script):
        return self.driver.execute_script(script)


@pytest.fixture(scope="module")
def driver():
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "ignore-certificate-errors"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options)
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver, service):
    """Signed in. Nothing but what was meant is on its console in the end, and nothing was asked of anybody else."""
    driver.set_window_size(*DESK)
    browser = Browser(driver, service)
    browser.sign_in()
    browser.shows("broken", "#guests")
    yield browser
    assert browser.run("return document.title") == "Skep"
    elsewhere = "return performance.getEntriesByType('resource').map(e => e.name).filter(n => new URL(n).host !== location.host)"
    assert not browser.run(elsewhere)
    browser.run("sessionStorage.clear()")
    severe = [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    assert not [line for line in severe if " 4" not in line], severe  # refusals were asked for


def test_it_is_small_and_strict(api):
    size = 0
    for name in FILES:
        answer = api.get("/" if name == "index.html" else f"/page/{name}", headers={"Authorization": None})
        assert answer.status_code == 200, name
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert b"http:" not in answer.content.replace(b"http://www.w3.org/2000/svg", b"")
        known = api.get(answer.request.path_url, headers={"If-None-Match": answer.headers["ETag"]})
        assert known.status_code == 304 and not known.content
        size += len(answer.content)
    assert size < PAGE_MAX
    assert api.get("/page/none.js").status_code == api.get("/page/").status_code == 404
    assert api.request("PUT", "/", data=b"x").status_code == 405


def test_signing_in_and_out(browser):
    browser.press("Sign out")
    browser.sign_in("wrong-token-wrong-token")
    browser.shows("Send the right token", "#notice")
    browser.sign_in()
    browser.shows("web", "#guests")
    browser.open()  # the tab remembers
    browser.shows("web", "#guests")
    browser.press("Sign out")
    assert browser.run("return sessionStorage.length") == 0
    browser.open()
    browser.find("[name=token]")


def test_a_dropped_file_becomes_a_guest(browser, api):
    try:
        browser.find("input[type=file]").send_keys(str(skep.BUILD / "examples/hello.elf"))
        browser.fill("name", "dropped")
        browser.fill("memory", "much")
        browser.press("Create", "dialog")
        browser.shows('"much" is no size', "dialog")
        browser.fill("memory", "2M")
        browser.fill("address", "10.0.2.77/24")
        browser.fill("args", "print=one print=two")
        browser.press("Create", "dialog")
        browser.shows("dropped starts\none\ntwo", ".screen")
        spec = api.ok("GET", "/v1/guests/dropped")["spec"]
        assert spec["image"] == "hello" and spec["memory_bytes"] == 2 * MIB
        assert spec["networks"][0]["address"] == "10.0.2.77/24"
        browser.press("Delete", "main")
        browser.press("Delete", "dialog")
        browser.hides("dropped", "#guests")
        skep.wait_for(lambda: api.get("/v1/guests/dropped").status_code == 404, "the guest is gone")
        # The same name isn't taken over.
        browser.press("New guest")
        browser.fill("name", "web")
        browser.press("Create", "dialog")
        browser.shows("web", "dialog .bad")
        browser.press("Cancel", "dialog")
    finally:
        api.delete("/v1/guests/dropped")
        api.delete("/v1/images/hello")


def test_a_guests_life(browser, api):
    browser.press("web")
    browser.shows("hello", ".screen")
    for press, wished in (("Pause", "paused"), ("Resume", "running"), ("Stop", "stopped"), ("Start", "running")):
        browser.press(press, "main")
        skep.wait_for(lambda wished=wished: api.ok("GET", "/v1/guests/web")["spec"]["desired_state"] == wished, wished)
    browser.shows("running", "main dl")
    browser.wait("a plot", lambda: browser.driver.find_element(By.CSS_SELECTOR, ".plot path").get_attribute("d"))
    browser.open("#/guest/broken")
    browser.shows(f"Latest crash: {api.status('broken')['crash']['reason']}", "main")


def test_the_console_takes_input(browser, api):
    api.create("talk", image="httpd", memory_bytes=4 * MIB, args=["echo"])
    try:
        browser.open("#/guest/talk")
        browser.shows("talk starts", ".screen")
        line = browser.find("[aria-label='Console input']")
        line.send_keys("said by hand", Keys.ENTER)
        browser.shows("said by hand", ".screen")
        line.send_keys(NASTY, Keys.ENTER)
        browser.shows(NASTY, ".screen")
        assert browser.text(".screen").count("said by hand") == 1
    finally:
        api.delete_guest("talk")


def test_what_others_do_is_seen(browser, api):
    """Without being asked: the events tell."""
    api.create("by-another", image="httpd", memory_bytes=4 * MIB)
    try:
        browser.shows("by-another", "#guests")
        browser.open("#/events")
        browser.shows("guests by-another created", "#events")
    finally:
        api.delete_guest("by-another")
    browser.shows("guests by-another deleted", "#events")


def test_volumes(browser, api):
    try:
        browser.open("#/volumes")
        browser.press("New volume")
        browser.fill("name", "of-the-page")
        browser.fill("size", "1M")
        browser.press("Create", "dialog")
        browser.shows("of-the-page", "#volumes")
        assert api.ok("GET", "/v1/volumes/of-the-page")["size_bytes"] == MIB
        api.ok("PATCH", "/v1/volumes/of-the-page", json={"labels": {"team": "edge", "tier": "1"}})
        browser.shows("team=edge, tier=1", "#volumes")
        browser.shows("Skep disk", "#disks")
    finally:
        api.delete("/v1/volumes/of-the-page")
    browser.hides("of-the-page", "#volumes")


def document(*guests, image="httpd", **volumes):
    """Of an app; its first guest has its first volume."""
    guest = {"image": image, "memory_bytes": 4 * MIB, "stop_grace_ms": 0}
    with_volume = {**guest, "volumes": [{"name": name} for name in list(volumes)[:1]]}
    return {"labels": {"team": "shop"}, "volumes": volumes, "guests": {**dict.fromkeys(guests, guest), guests[0]: with_volume}}


@contextlib.contextmanager
def no_app_left(api, name):
    try:
        yield
    finally:
        api.delete(f"/v1/apps/{name}")
        skep.wait_for(lambda: api.get(f"/v1/apps/{name}").status_code == 404, f"{name} is gone")


def enter(browser, text):
    """Into the open dialog, as somebody's paste does."""
    browser.run(f"const e = document.querySelector('[name=document]'); e.value = {text!r}; e.dispatchEvent(new Event('input', {{bubbles: true}}))")


def test_a_document_becomes_an_app(browser, api, tmp_path):
    """Dropped, checked, made, changed, deleted; nothing is made that wasn't shown before."""
    with no_app_left(api, "shop"):
        file = tmp_path / "Shop.json"
        file.write_text(json.dumps(document("shop-web", image="none")))
        browser.open("#/apps")
        browser.shows("There are no apps yet.", "#apps")
        browser.find("#view input[type=file]").send_keys(str(file))
        assert browser.find("[name=name]").get_attribute("value") == "shop"
        browser.press("Check", "dialog")
        browser.shows("guests.shop-web: image: there is no image 'none'", "dialog .bad")
        enter(browser, "{")
        browser.press("Check", "dialog")
        browser.shows("The document is no JSON", "dialog .bad")
        first = document("shop-web", **{"shop-db": {"size_bytes": MIB}, "shop-log": {"size_bytes": MIB, "keep": True}})
        enter(browser, json.dumps(first))
        browser.press("Check", "dialog")
        browser.shows("The app would be created", "#outcome")
        for row in ("guest shop-web created", "volume shop-db created"):
            browser.shows(row, "#outcome")
        assert api.get("/v1/apps/shop").status_code == 404
        browser.fill("name", "shop")  # whoever changes something checks again
        browser.hides("created", "#outcome")
        browser.press("Check", "dialog")
        browser.press("Apply", "dialog")
        browser.shows("ready", "main dl")
        browser.shows("3 of 3", "main dl")
        browser.shows("shop-log online 1.0 MiB it stays", "#app-volumes")
        assert api.ok("GET", "/v1/apps/shop")["spec"]["guests"]["shop-web"]["image"] == "httpd"
        browser.press("Change", "main")
        assert json.loads(browser.find("[name=document]").get_attribute("value"))["labels"] == {"team": "shop"}
        enter(browser, json.dumps(document("shop-new", **{"shop-log": {"size_bytes": MIB, "keep": True}})))
        browser.press("Check", "dialog")
        browser.shows("A volume is deleted with all its data.", "#outcome")
        browser.press("Apply", "dialog")
        browser.shows("shop-new", "#app-guests")
        browser.hides("shop-web", "#app-guests")
        browser.hides("shop-db", "#app-volumes")
        browser.press("Delete", "main")
        browser.shows("Its guests are ended and forgotten: shop-new. These stay: shop-log.", "dialog")
        browser.press("Cancel", "dialog")
        api.ok("GET", "/v1/apps/shop")
        browser.press("Delete", "main")
        browser.press("Delete", "dialog")
        browser.shows("There are no apps yet.", "#apps")
        assert api.get("/v1/guests/shop-new").status_code == 404
        api.ok("DELETE", "/v1/volumes/shop-log")


def test_a_pasted_document_is_not_made_blindly(browser, api):
    """What somebody else changes between the look and the press is told, and stays."""
    with no_app_left(api, "pasted"):
        browser.open("#/apps")
        browser.shows("There are no apps yet.", "#apps")
        browser.run(f"""const data = new DataTransfer(); data.setData("text", {json.dumps(document("pasted-a"))!r});
            document.body.dispatchEvent(new ClipboardEvent("paste", {{clipboardData: data, bubbles: true}}));""")
        browser.fill("name", "pasted")
        browser.press("Check", "dialog")
        browser.shows("guest pasted-a created", "#outcome")
        api.ok("PUT", "/v1/apps/pasted", json=document("pasted-b"))
        browser.press("Apply", "dialog")
        browser.shows("pasted", "dialog .bad")
        browser.shows("Check", "dialog button.main")
        assert list(api.ok("GET", "/v1/apps/pasted")["spec"]["guests"]) == ["pasted-b"]
        browser.press("Check", "dialog")
        browser.shows("guest pasted-b deleted", "#outcome")
        browser.press("Cancel", "dialog")


def test_an_app_that_is_not_whole(browser, api):
    """What is missing of it is seen in the list and beside it, and what becomes of it without being asked."""
    with no_app_left(api, "torn"):
        api.ok("PUT", "/v1/apps/torn", json=document("torn-a", "torn-b", **{"torn-v": {"size_bytes": MIB}}))
        browser.open("#/apps")
        browser.shows("3 of 3", "#apps [data-key=torn]")
        api.delete_guest("torn-b")
        browser.shows("degraded 2 of 3", "#apps [data-key=torn]")
        browser.shows("torn-b missing", "#apps [data-key=torn]")
        browser.press("torn", "#apps")
        browser.shows("degraded", "main dl")
        browser.press("torn-a", "#app-guests")
        browser.shows("Console", "main")


@contextlib.contextmanager
def vast_copy(api):
    """An operation that takes seconds, whatever the machine."""
    api.ok("PUT", "/v1/volumes/vast", json={"size_bytes": VAST_BYTES, "overcommit": True})
    try:
        begun = api.ok("PUT", "/v1/volumes/vaster", status=202, json={"copy_of": "vast", "overcommit": True})
        yield begun
        api.delete(f"/v1/operations/{begun['id']}")
        assert api.ok("GET", f"/v1/operations/{begun['id']}", params={"wait": 60})["state"] == "cancelled"
    finally:
        api.delete("/v1/volumes/vast")


def test_operations(browser, api):
    """A copy that is seen to go on, and cancelled; one that is done; one that fails."""
    browser.open("#/operations")
    browser.shows("There were none", "#operations")
    with vast_copy(api) as begun:
        row = f"#operations [data-key='{begun['id']}']"
        browser.shows("running", row)
        progress = browser.find(f"{row} progress")
        browser.wait("it goes on", lambda: float(progress.get_attribute("value")) > 0)
        assert float(progress.get_attribute("max")) == VAST_BYTES
        browser.press("Cancel", row)
        browser.press("End it", "dialog")
        browser.shows("cancelled", row)
        browser.hides("Cancel", f"{row} td:last-child")
    assert api.get("/v1/volumes/vaster").status_code == 404
    try:
        browser.open("#/volumes")
        browser.press("Copy", "#volumes [data-key=db]")
        browser.fill("name", "db-far")
        browser.press("Create", "dialog")
        browser.shows("db-far db done 1.0 MiB of 1.0 MiB db-far", "#operations")
        assert api.ok("GET", "/v1/volumes/db-far")["size_bytes"] == MIB
        api.ok("PUT", "/v1/volumes/full", json={"size_bytes": 40 * MIB})
        api.ok("PUT", "/v1/volumes/full/data", data=b"x" * 40 * MIB)
        failing = api.ok("PUT", "/v1/volumes/fuller", status=202, json={"copy_of": "full", "overcommit": True})
        browser.shows("failed", f"#operations [data-key='{failing['id']}']")
        error = api.ok("GET", f"/v1/operations/{failing['id']}")["error"]
        browser.shows(error["detail"], f"#operations [data-key='{failing['id']}']")
    finally:
        for name in ("db-far", "full"):
            api.delete(f"/v1/volumes/{name}")


def pressable(browser, selector="main"):
    elements = browser.find(selector).find_elements(By.CSS_SELECTOR, "a, button, input, summary")
    return {element.text for element in elements if element.is_displayed()}


def test_tokens(browser, api):
    try:
        browser.open("#/tokens")
        browser.press("New token")
        browser.fill("name", "of-the-page")
        browser.run("document.querySelector('[name=role]').value = 'operator'")
        browser.fill("guests", "3")
        browser.fill("memory", "64M")
        browser.press("Create", "dialog")
        browser.shows("Quotas need a prefix.", "dialog")
        browser.fill("prefix", "page-")
        browser.press("Create", "dialog")
        secret = browser.find(".secret").text
        assert len(secret) > 60
        made = api.ok("GET", "/v1/tokens/of-the-page")
        assert made["role"] == "operator" and made["expires_at"] is None
        quotas = {"guests": 3, "memory_bytes": 64 * MIB, "vcpus": None, "volume_bytes": None}
        assert made["scope"] == {"prefix": "page-", "quotas": quotas}
        headers = {"Authorization": f"Bearer {secret}"}
        assert api.get("/v1/caller", headers=headers).json()["name"] == "of-the-page"
        browser.press("Done", "dialog")
        browser.shows("3 guests, 64 MiB of memory", "#tokens")
        assert secret not in browser.run("return document.documentElement.innerHTML")
        browser.press("New token")
        browser.fill("name", "of-the-page")  # which would be changed by a PUT
        browser.press("Create", "dialog")
        browser.shows("There is a token of-the-page.", "dialog")
        browser.press("Cancel", "dialog")
        row = "#tokens [data-key=of-the-page]"
        browser.press("Rotate", row)
        browser.press("Rotate", "dialog")
        other = browser.find(".secret").text
        browser.press("Done", "dialog")
        assert api.get("/v1/caller", headers=headers).status_code == 401
        assert api.get("/v1/caller", headers={"Authorization": f"Bearer {other}"}).json()["scope"] == made["scope"]
        browser.press("Revoke", row)
        browser.press("Revoke", "dialog")
        browser.hides("of-the-page", "#tokens")
        assert api.get("/v1/tokens/of-the-page").status_code == 404
    finally:
        api.delete("/v1/tokens/of-the-page")


def test_the_certificate(browser, api):
    browser.open("#/certificate")
    before = api.ok("GET", "/v1/host/certificate")
    browser.shows(before["fingerprint"], "main dl")
    browser.press("Request one")
    browser.fill("names", "skep.example, 192.0.2.7")
    browser.press("Request", "dialog")
    browser.shows("BEGIN CERTIFICATE REQUEST", "#request")
    browser.press("Replace")
    browser.fill("certificate", "nonsense")
    browser.press("Replace", "dialog")
    browser.shows("certificate", "dialog .bad")
    browser.press("Cancel", "dialog")
    browser.press("Make a new one")
    browser.press("Make it", "dialog")
    browser.hides(before["fingerprint"], "main dl")
    browser.service.api = api = skep.Api(browser.service.port, browser.service.token)  # the former one trusts the former one only
    after = api.ok("GET", "/v1/host/certificate")
    browser.shows(after["fingerprint"], "main dl")
    browser.press("Replace")  # by the same one, for the key in use
    browser.run(f"document.querySelector('[name=certificate]').value = {after['certificate']!r}")
    browser.press("Replace", "dialog")
    browser.shows("installed", "main dl")
    assert api.ok("GET", "/v1/host/certificate")["fingerprint"] == after["fingerprint"]


def test_the_audit_trail(browser, api):
    for at in range(130):
        api.request("DELETE", f"/v1/volumes/none-{at}")
    api.create("noted", image="httpd", desired_state="stopped", env={"A": NASTY})
    api.ok("PATCH", "/v1/guests/noted", json={"labels": {"team": "edge"}})
    api.delete_guest("noted")
    trail = api.ok("GET", "/v1/audit?limit=1")
    browser.open("#/audit")
    browser.shows(trail["head"], "main dl")
    browser.shows("are whole and follow each other", "main dl")
    browser.shows("DELETE /v1/volumes/none-129", "#audit")
    browser.hides("DELETE /v1/volumes/none-9 ", "#audit")
    browser.press("Older")
    browser.shows("DELETE /v1/volumes/none-9 ", "#audit")
    browser.press("Latest")
    browser.shows("DELETE /v1/volumes/none-129", "#audit")
    rows = browser.driver.find_elements(By.CSS_SELECTOR, "#audit details")
    assert [row.text for row in rows[:3]] == ["deleted", "labels", "made"]
    browser.find("#audit details").click()
    browser.shows(f'env: {{"A":"{NASTY}"}} → –', "#audit")
    rows[1].click()
    browser.shows('labels: {} → {"team":"edge"}', "#audit")
    # What others do is shown, and what was opened stays open.
    api.ok("PUT", "/v1/volumes/noted", json={"size_bytes": MIB})
    api.ok("DELETE", "/v1/volumes/noted")
    browser.shows("DELETE /v1/volumes/noted", "#audit")
    browser.shows('labels: {} → {"team":"edge"}', "#audit")


def test_who_may_do_less_is_offered_less(browser, api):
    """Of a viewer, an operator and an admin: what isn't offered would be refused, and what is wouldn't."""
    secrets = {role: api.ok("PUT", f"/v1/tokens/page-{role}", json={"role": role})["token"] for role in ("viewer", "operator")}
    volume = {"Grow", "Snapshot", "Copy", "Delete"}
    api.ok("PUT", "/v1/apps/page-app", json=document("page-app"))
    offered = {
        "#/guests": {"operator": {"New guest", "choose one"}},
        "#/guest/web": {"operator": {"Pause", "Stop", "Delete"}},
        "#/apps": {"operator": {"New app", "choose one", "Delete"}},
        "#/app/page-app": {"operator": {"Change", "Delete"}},
        "#/images": {"operator": {"choose one", "Delete"}},
        "#/volumes": {"operator": {"New volume"} | volume},
        "#/host": {"admin": {"Reboot", "Shut down"}},
        "#/certificate": {"admin": {"Replace", "Request one", "Make a new one"}},
    }
    try:
        for role in ("viewer", "operator", "admin"):
            browser.press("Sign out")
            browser.sign_in(secrets.get(role))
            browser.shows(f"({role})", "#caller")
            links = {"Guests", "Apps", "Images", "Volumes", "Operations", "Events", "Host", "Certificate", "Sign out"}
            assert pressable(browser, "#nav") == links | ({"Tokens", "Audit"} if role == "admin" else set())
            for place, by_role in offered.items():
                browser.open(place)
                browser.wait("the view has its data", lambda: browser.run("return document.querySelectorAll('main dd, main td').length"))
                for least, what in by_role.items():
                    allowed = role in ("operator", "admin") if least == "operator" else role == "admin"
                    browser.wait(f"{what} in {place} for {role}",
                                 lambda what=what, allowed=allowed: pressable(browser) & what == (what if allowed else set()))  # fmt: skip
            browser.open("#/guest/web")
            browser.shows("hello", ".screen")
            inputs = browser.driver.find_elements(By.CSS_SELECTOR, "[aria-label='Console input']")
            assert len(inputs) == (role != "viewer")
            browser.open("#/operations")
            with vast_copy(api) as begun:
                row = f"#operations [data-key='{begun['id']}']"
                browser.shows("running", row)
                assert pressable(browser, row) == (set() if role == "viewer" else {"Cancel"})
            browser.open("#/tokens")
            browser.shows("eye" if role == "admin" else "broken", "main")
    finally:
        api.delete("/v1/apps/page-app")
        for role in secrets:
            api.delete(f"/v1/tokens/page-{role}")


def test_the_host(browser, api):
    browser.open("#/host")
    browser.shows(api.host()["version"], "main")
    for text in ("Used", "Promised", "CPU 0", "CPU 1", *api.host()["mitigations"]):
        browser.shows(text, "main")
    browser.press("Shut down")
    browser.press("Cancel", "dialog")
    assert api.host()["power"] == "on"


def test_keyboard(browser):
    """Everything that can be pressed can be reached, and seen to be."""
    reached = []
    for _ in range(30):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.driver.switch_to.active_element
        if element.tag_name == "body":
            continue  # once around
        if element.text in reached:
            break
        reached.append(element.text)
        assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid", element.text
    assert {"Guests", "Apps", "Operations", "Host", "Sign out", "New guest", "choose one", "web", "broken"} <= set(reached)
    link = browser.find("#guests a")
    link.send_keys("")  # focus
    browser.run("window.was = document.activeElement")
    looked = "return performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/guests?limit')).length"
    before = browser.run(looked)
    browser.wait("the list was renewed", lambda: browser.run(looked) > before + 1)
    assert browser.run("return document.activeElement === window.was && window.was.tagName === 'A'")
    browser.press("New guest")
    browser.wait("the dialog has the focus", lambda: browser.run("return document.activeElement.closest('dialog') !== null"))
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.wait("the dialog is closed", lambda: not browser.driver.find_elements(By.TAG_NAME, "dialog"))


def test_phone_and_dark(browser, api):
    api.upload("phone", skep.BUILD / "examples/hello.elf")  # a digest in the audit trail
    api.ok("DELETE", "/v1/images/phone")
    api.ok("PUT", "/v1/apps/phone", json=document("phone-a-guest-with-quite-a-name", **{"phone-v": {"size_bytes": MIB}}))
    copy = api.ok("PUT", "/v1/volumes/phone-copy", status=202, json={"copy_of": "db"})
    browser.driver.set_window_size(*PHONE)
    for place, text in (("#/guests", "web"), ("#/guest/web", "Console"), ("#/apps", "phone-v"), ("#/app/phone", "it is deleted"),
                        ("#/images", "httpd"), ("#/volumes", "Disks"), ("#/operations", "phone-copy"), ("#/events", "Events"),
                        ("#/host", "Memory"), ("#/certificate", "Fingerprint"), ("#/tokens", "eye"), ("#/audit", "Head")):  # fmt: skip
        browser.open(place)
        browser.shows(text, "main")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), place
    api.ok("DELETE", "/v1/apps/phone")
    assert api.ok("GET", f"/v1/operations/{copy['id']}", params={"wait": 60})["state"] == "done"
    api.ok("DELETE", "/v1/volumes/phone-copy")
    colours = set()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        colours.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(colours) == 2
