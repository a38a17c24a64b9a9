// Signing in, and which view is shown.

import { caller, follow, get, may, session } from "./api.js";
import { attempt, field, h, tell } from "./dom.js";
import { appsView, appView } from "./apps.js";
import { auditView } from "./audit.js";
import { certificateView } from "./certificate.js";
import { eventsView } from "./events.js";
import { guestsView } from "./guests.js";
import { guestView } from "./guest.js";
import { hostView } from "./host.js";
import { imagesView } from "./images.js";
import { operationsView } from "./operations.js";
import { tokensView } from "./tokens.js";
import { volumesView } from "./volumes.js";

const VIEWS = {
  guests: guestsView, guest: guestView, apps: appsView, app: appView, images: imagesView, volumes: volumesView,
  operations: operationsView, events: eventsView, host: hostView, certificate: certificateView, tokens: tokensView, audit: auditView,
};
const LISTED_IN = { guest: "guests", app: "apps" }; // of views without a link of their own
const view = document.getElementById("view"), nav = document.getElementById("nav");

let leave = new AbortController(); // the present view
let signOut = null; // ends what goes on as long as somebody is signed in

/** A view is a function of (element, name, signal); what it starts ends with the signal. */
function show() {
  if (!session.token) return signIn();
  const [section, name] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const link = nav.querySelector(`[href="#/${CSS.escape(section)}"]`);
  const chosen = section in VIEWS && may(link?.dataset.role ?? "viewer") ? section : "guests";
  leave.abort();
  leave = new AbortController();
  nav.hidden = false;
  for (const link of nav.querySelectorAll("a")) {
    link.hidden = !may(link.dataset.role ?? "viewer");
    const here = link.hash === `#/${LISTED_IN[chosen] ?? chosen}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view.replaceChildren();
  VIEWS[chosen](view, name, leave.signal);
}

function signIn() {
  leave.abort();
  nav.hidden = true;
  const form = h("form", { className: "panel sign-in" }, h("h2", {}, "Sign in"),
    field("Token", { name: "token", type: "password", required: true, autofocus: true, autocomplete: "current-password" }),
    h("p", { className: "faint" }, "It is kept in this tab until that is closed."),
    h("button", { className: "main" }, "Sign in"));
  form.onsubmit = async (event) => {
    event.preventDefault();
    session.token = new FormData(form).get("token").trim();
    if (!await begin()) session.token = null;
  };
  view.replaceChildren(form);
  form.querySelector("input").focus();
}

/** Views listen for "skep-event" on the window. Whether Skep knows the token. */
async function begin() {
  signOut?.abort();
  signOut = null;
  if (!await attempt(async () => { Object.assign(caller, await get("/v1/caller")); })) return false;
  signOut = new AbortController();
  tell("");
  document.getElementById("caller").textContent = `${caller.name} (${caller.role})`;
  follow((event) => window.dispatchEvent(new CustomEvent("skep-event", { detail: event })), signOut.signal);
  attempt(async () => { document.getElementById("hostname").textContent = (await get("/v1/host")).hostname; });
  show();
  return true;
}

function end() {
  session.token = null;
  signOut?.abort();
  signIn();
}

document.getElementById("sign-out").onclick = end;
window.addEventListener("skep-signed-out", () => { if (signOut && !signOut.signal.aborted) end(); });
window.addEventListener("hashchange", show);
if (!session.token || !await begin()) signIn();
