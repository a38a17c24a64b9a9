// Images: upload and delete.

import { call, list, may, upload } from "./api.js";
import { attempt, button, bytes, confirmed, h, labelsOf, moment, renew, table } from "./dom.js";
import { dropZone, nameOf } from "./guests.js";
import { keepLooking } from "./live.js";

export function imagesView(view, _, signal) {
  const rows = h("div", { id: "images" }), progress = h("progress", { hidden: true, value: 0, "aria-label": "Upload" });

  async function put(file) {
    progress.hidden = false;
    const name = nameOf(file);
    await attempt(() => upload(`/v1/images/${name}`, file, (done) => { progress.value = done; }), `${name} is uploaded.`);
    progress.hidden = true;
    soon();
  }

  async function remove(name) {
    if (!await confirmed(`Delete the image ${name}?`, "Delete")) return;
    await attempt(() => call("DELETE", `/v1/images/${name}`), `${name} is deleted.`);
    soon();
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Images")),
    may("operator") ? dropZone(put, "Drop an ELF file here to upload it, or ") : "", progress, rows);
  const soon = keepLooking(async () => renew(rows, table([
    ["Name", ({ name }) => name],
    ["Size", ({ size }) => bytes(size), "number"],
    ["Labels", ({ labels }) => labelsOf(labels)],
    ["Uploaded", ({ uploaded_at: at }) => moment(at)],
    ["Digest", ({ digest }) => h("code", { title: digest }, digest.slice(7, 19))],
    ["", ({ name }) => may("operator") && button("Delete", () => remove(name), "bad")],
  ], await list("/v1/images", { signal }), "There are no images yet.")), signal, { seconds: 10, kinds: ["images"] });
}
