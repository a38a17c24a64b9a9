// The guests, and making one of a file.

import { call, guestPath, list, may, upload } from "./api.js";
import { bytes, field, formDialog, h, parseBytes, renew, state, table } from "./dom.js";
import { keepLooking } from "./live.js";
import { Rate } from "./plot.js";

const PAGE = 200;

export function guestsView(view, _, signal) {
  const rates = new Map(), rows = h("div", { id: "guests" });
  let first = "", trail = [];

  const drop = dropZone((file) => createDialog(file), "Drop an ELF file here to run it, or ");
  const pages = h("div", { className: "bar" });
  view.append(h("div", { className: "bar" }, h("h2", {}, "Guests"),
    may("operator") && h("button", { type: "button", className: "main", onclick: () => createDialog(null) }, "New guest")),
  may("operator") ? drop : "", rows, pages);

  function cpu(guest) {
    const { name, status } = guest;
    if (!rates.has(name)) rates.set(name, new Rate());
    const rate = rates.get(name).next(status.cpu_time_ns ?? 0, performance.now() / 1000);
    return rate === null ? "" : `${(rate / 1e7).toFixed(1)} %`;
  }

  async function look() {
    const guests = await list(`/v1/guests?limit=${PAGE + 1}&view=basic${first ? `&after=${first}` : ""}`, { signal });
    const shown = guests.slice(0, PAGE);
    renew(rows, table([
      ["Name", ({ name }) => h("a", { href: `#/guest/${encodeURIComponent(name)}` }, name)],
      ["State", ({ status }) => state(status.state)],
      ["Image", ({ spec }) => spec.image],
      ["Addresses", ({ status }) => (status.addresses ?? []).join(", ")],
      ["CPU", cpu, "number"],
      ["Memory", ({ status }) => `${bytes(status.memory_used_bytes ?? 0)} of ${bytes(status.memory_promised_bytes ?? 0)}`, "number"],
      ["Restarts", ({ status }) => status.restarts || "", "number"],
    ], shown, "There are no guests yet."));
    const turn = (label, action) => h("button", { type: "button", onclick: () => { action(); soon(); } }, label);
    renew(pages, ...[
      trail.length && turn("Previous", () => { first = trail.pop(); }),
      guests.length > PAGE && turn("Next", () => { trail.push(first); first = shown.at(-1).name; }),
    ].filter(Boolean));
  }

  const soon = keepLooking(look, signal, { kinds: ["guests"] });
}

/** A place for files to be dropped on, which also has a button for choosing one. */
export function dropZone(take, text) {
  const input = h("input", { type: "file", hidden: true, onchange: () => { take(input.files[0]); input.value = ""; } });
  const zone = h("div", { className: "drop" }, text,
    h("button", { type: "button", onclick: () => input.click() }, "choose one"), input);
  zone.ondragover = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  };
  return zone;
}

/** A name that the API takes, made of a file's. */
export function nameOf(file) {
  return file.name.replace(/\.(elf|json)$/i, "").toLowerCase().replace(/[^a-z0-9-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63);
}

async function createDialog(file) {
  const images = file ? [] : (await list("/v1/images").catch(() => [])).map(({ name }) => name);
  const progress = h("progress", { hidden: true, value: 0, "aria-label": "Upload" });
  const fields = [
    file ? field("Image", { name: "image", value: nameOf(file), required: true }) : field("Image", { name: "image", options: images }),
    field("Name", { name: "name", value: file ? nameOf(file) : "", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,62}" }),
    field("Memory", { name: "memory", value: "4M", required: true }),
    field("Address (A.B.C.D/length or dhcp; empty = no network)", { name: "address" }),
    field("Gateway", { name: "gateway" }),
    field("IPv6 address (ADDRESS/64 or auto; empty = no IPv6)", { name: "address6" }),
    field("IPv6 gateway", { name: "gateway6" }),
    field("Arguments, separated by spaces", { name: "args" }),
    progress,
  ];
  formDialog(file ? `Run ${file.name}` : "New guest", fields, "Create", async (data) => {
    const text = (name) => (data.get(name) ?? "").trim();
    const network = { address: text("address") };
    for (const name of ["gateway", "address6", "gateway6"]) if (text(name)) network[name] = text(name);
    const spec = {
      image: text("image"), memory_bytes: parseBytes(text("memory")), desired_state: "running",
      args: text("args") ? text("args").split(/\s+/) : [], networks: network.address ? [network] : [],
    };
    if (file) {
      progress.hidden = false;
      await upload(`/v1/images/${encodeURIComponent(spec.image)}`, file, (done) => { progress.value = done; });
    }
    await call("PUT", guestPath(text("name")), spec, { headers: { "If-None-Match": "*" } });
    location.hash = `#/guest/${encodeURIComponent(text("name"))}`;
  });
}
