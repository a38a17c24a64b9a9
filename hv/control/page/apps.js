// Apps: guests and volumes of one document. What a document would change is shown before it is made.

import { call, get, list, may, send } from "./api.js";
import { attempt, button, bytes, confirmed, field, formDialog, h, labelsOf, renew, state, table, terms } from "./dom.js";
import { dropZone, nameOf } from "./guests.js";
import { keepLooking } from "./live.js";

const KINDS = ["apps", "guests", "volumes"];

const appPath = (name, more = "") => `/v1/apps/${encodeURIComponent(name)}${more}`;
const guestLink = (name) => h("a", { href: `#/guest/${encodeURIComponent(name)}` }, name);
const volumeLink = (name) => h("a", { href: "#/volumes" }, name);

/** How many of its guests and volumes there are. */
function partsOf({ guests, volumes }) {
  const all = [...Object.values(guests), ...Object.values(volumes)];
  return { there: all.filter((word) => word !== "missing").length, all: all.length };
}

function partsText(status) {
  const { there, all } = partsOf(status);
  return `${there} of ${all}`;
}

function members(states, link) {
  const all = Object.entries(states);
  return all.length ? h("ul", { className: "parts" }, all.map(([name, word]) => h("li", { "data-key": name }, link(name), " ", state(word)))) : "";
}

/** Asks with the names of all that goes, and deletes that, and nothing that was added meanwhile; whether it was done. */
async function remove(name) {
  let spec, etag;
  const look = async () => {
    const response = await send("GET", appPath(name));
    etag = response.headers.get("ETag");
    ({ spec } = await response.json());
  };
  if (!await attempt(look) || !await confirmed(lossOf(name, spec), "Delete")) return false;
  return attempt(() => send("DELETE", appPath(name), { headers: { "If-Match": etag } }),
    `${name} is deleted, or will be when its guests have ended.`);
}

function lossOf(name, { guests, volumes }) {
  const namesOf = (keep) => Object.keys(volumes).filter((volume) => Boolean(volumes[volume].keep) === keep).join(", ");
  const ended = Object.keys(guests).join(", "), deleted = namesOf(false), kept = namesOf(true);
  return [
    `Delete the app ${name}?`, ended && `Its guests are ended and forgotten: ${ended}.`,
    deleted && `Its volumes are deleted with all their data: ${deleted}.`, kept && `These stay: ${kept}.`,
  ].filter(Boolean).join(" ");
}

export function appsView(view, _, signal) {
  const rows = h("div", { id: "apps" });
  const drop = dropZone(async (file) => documentDialog(nameOf(file), await file.text()), "Drop an app's document here, paste it, or ");

  view.append(h("div", { className: "bar" }, h("h2", {}, "Apps"),
    may("operator") && h("button", { type: "button", className: "main", onclick: () => documentDialog("", "") }, "New app")),
  may("operator") ? drop : "", rows);

  window.addEventListener("paste", (event) => {
    if (!may("operator") || event.target.closest("input, textarea") || document.querySelector("dialog")) return;
    documentDialog("", event.clipboardData.getData("text"));
  }, { signal });

  const soon = keepLooking(async () => renew(rows, table([
    ["Name", ({ name }) => h("a", { href: `#/app/${encodeURIComponent(name)}` }, name)],
    ["State", ({ status }) => state(status.state)],
    ["Parts", ({ status }) => partsText(status)],
    ["Guests", ({ status }) => members(status.guests, guestLink)],
    ["Volumes", ({ status }) => members(status.volumes, volumeLink)],
    ["Labels", ({ labels }) => labelsOf(labels)],
    ["Why", ({ status }) => status.error, "long"],
    ["", ({ name }) => may("operator") && button("Delete", () => remove(name).then(soon), "bad")],
  ], await list("/v1/apps", { signal }), "There are no apps yet.")), signal, { kinds: KINDS });
}

export function appView(view, name, signal) {
  const facts = h("section", { className: "panel" }), guests = h("div", { id: "app-guests" }), volumes = h("div", { id: "app-volumes" });
  const spec = h("pre");

  view.append(h("div", { className: "bar" }, h("h2", {}, name), may("operator") && [
    button("Change", () => attempt(async () => documentDialog(name, JSON.stringify((await get(appPath(name))).spec, null, 2)))),
    button("Delete", async () => { if (await remove(name)) location.hash = "#/apps"; }, "bad"),
  ]), facts, h("h3", {}, "Guests"), guests, h("h3", {}, "Volumes"), volumes,
  h("details", { className: "panel" }, h("summary", {}, "Document"), spec));

  keepLooking(async () => {
    const app = await get(appPath(name), { signal });
    renew(facts, factsOf(app));
    renew(guests, table([
      ["Name", ({ id }) => guestLink(id)],
      ["State", ({ word }) => state(word)],
      ["Image", ({ image }) => image],
      ["Memory", ({ memory_bytes: memory }) => memory === undefined ? "" : bytes(memory), "number"],
      ["Starts after", ({ start_after: others }) => (others ?? []).join(", ")],
      ["Volumes", ({ volumes: used }) => (used ?? []).map((volume) => volume.name).join(", ")],
    ], rowsOf(app.status.guests, app.spec.guests), "It has no guests."));
    renew(volumes, table([
      ["Name", ({ id }) => volumeLink(id)],
      ["State", ({ word }) => state(word)],
      ["Size", ({ size_bytes: size }) => size === undefined ? "" : bytes(size), "number"],
      ["With the app", ({ keep }) => keep ? "it stays" : "it is deleted"],
    ], rowsOf(app.status.volumes, app.spec.volumes), "It has no volumes."));
    spec.textContent = JSON.stringify(app.spec, null, 2);
  }, signal, { seconds: 1, kinds: KINDS });
}

const rowsOf = (states, specs) => Object.entries(states).map(([id, word]) => ({ ...specs[id], id, word }));

function factsOf({ spec, status }) {
  const { there, all } = partsOf(status), busy = ["changing", "deleting"].includes(status.state);
  return terms([
    ["State", state(status.state)],
    ["Why", status.error],
    ["Parts there", busy ? h("label", {}, partsText(status), h("progress", { max: all, value: there })) : partsText(status)],
    ["Labels", labelsOf(spec.labels)],
  ]);
}

/** That the app is as it is now, or isn't there: what was checked is what is made. */
async function conditionOf(name) {
  try {
    return { "If-Match": (await send("GET", appPath(name))).headers.get("ETag") };
  } catch (error) {
    if (error.status !== 404) throw error;
    return { "If-None-Match": "*" };
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The document is no JSON: ${error.message}.`);
  }
}

function changesOf({ change, changes }) {
  const rows = Object.entries(changes).flatMap(([part, those]) => Object.entries(those)
    .map(([name, word]) => ({ id: `${part} ${name}`, part: part.slice(0, -1), name, word })));
  return [
    h("p", {}, change === "none" ? "All is as the document says: nothing would change." : `The app would be ${change === "created" ? change : "changed"}:`),
    table([["Part", ({ part }) => part], ["Name", ({ name }) => name], ["Change", ({ word }) => state(word)]], rows, "It has no parts."),
    Object.values(changes.volumes).includes("deleted") ? h("p", { className: "bad" }, "A volume is deleted with all its data.") : "",
  ];
}

/** A document for an app: first it is checked, then what it would change may be made. */
function documentDialog(name, text) {
  const outcome = h("div", { id: "outcome", role: "status" });
  const stale = () => outcome.replaceChildren();
  let condition;
  formDialog("An app's document", [
    field("Name", { name: "name", value: name, required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,62}", oninput: stale }),
    field("Document, JSON", { name: "document", value: text, rows: 14, required: true, spellcheck: false, oninput: stale }),
    outcome,
  ], "Check", async (data, next) => {
    const path = (more) => appPath(data.get("name"), more), json = parsed(data.get("document"));
    if (next) {
      await call("PUT", path(), json, { headers: condition });
      location.hash = `#/app/${encodeURIComponent(data.get("name"))}`;
      return null;
    }
    stale();
    condition = await conditionOf(data.get("name"));
    outcome.replaceChildren(...changesOf(await call("PUT", path("?dry_run=true"), json, { headers: condition })));
    return "Apply";
  });
}
