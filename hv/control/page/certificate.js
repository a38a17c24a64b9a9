// The server's certificate: what it is, a request for another, and another.

import { call, get, may } from "./api.js";
import { attempt, button, confirmed, field, formDialog, h, moment, renew, terms } from "./dom.js";
import { keepLooking } from "./live.js";

const PATH = "/v1/host/certificate";
const AFTERWARDS = "From the next connection on it is another one, which the browser may ask about when this page is loaded anew.";

const namesOf = (data) => data.get("names").split(/[\s,]+/).filter(Boolean);

export function certificateView(view, _, signal) {
  const facts = h("section", { className: "panel" }), pem = h("pre"), request = h("div");

  function install() {
    formDialog("Replace the certificate", [
      field("Certificate, PEM: its own first, then its issuer's, and so on", { name: "certificate", rows: 8, required: true }),
      field("Its private key, PEM (empty = the one in use, or of the latest request)", { name: "key", rows: 6 }),
      h("p", { className: "faint" }, AFTERWARDS),
    ], "Replace", async (data) => {
      await call("PUT", PATH, { certificate: data.get("certificate"), ...(data.get("key").trim() && { key: data.get("key") }) });
      soon();
    });
  }

  function ask() {
    formDialog("Request a certificate", [
      field("Names of hosts or addresses", { name: "names", required: true }),
      field("Key", { name: "key", options: ["current", "new"] }),
    ], "Request", async (data) => {
      const { request: text } = await call("POST", `${PATH}/request`, { names: namesOf(data), key: data.get("key") });
      renew(request, h("section", { className: "panel" }, h("h3", {}, "For an authority to sign"), h("pre", { id: "request" }, text)));
    });
  }

  async function make() {
    if (!await confirmed(`Make a new key and a self-signed certificate? ${AFTERWARDS}`, "Make it")) return;
    await attempt(() => call("POST", `${PATH}/renew`, {}), "There is a new certificate.");
    soon();
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Certificate"), may("admin") && [
    button("Replace", install), button("Request one", ask), button("Make a new one", make, "bad"),
  ]), facts, request, h("details", { className: "panel" }, h("summary", {}, "PEM"), pem));

  const soon = keepLooking(async () => {
    const now = await get(PATH, { signal });
    renew(facts, terms([
      ["Origin", now.origin], ["Fingerprint", h("code", {}, now.fingerprint)], ["Pin", h("code", {}, `sha256//${now.public_key_pin}`)],
      ["Key", now.key], ["Subject", now.subject], ["Issuer", now.issuer], ["Names", now.names.join(", ")],
      ["Valid from", moment(now.not_before)], ["Valid until", moment(now.not_after)],
      ["Requested", now.requested ? "a fresh key waits for its certificate" : null],
    ]));
    pem.textContent = now.certificate;
  }, signal, { seconds: 30, kinds: ["host"] });
}
