// Volumes and the disks below them.

import { call, list, may } from "./api.js";
import { attempt, button, bytes, confirmed, field, formDialog, h, labelsOf, moment, parseBytes, renew, state, table } from "./dom.js";
import { keepLooking } from "./live.js";

export function volumesView(view, _, signal) {
  const volumes = h("div", { id: "volumes" }), disks = h("div", { id: "disks" });
  const path = (name) => `/v1/volumes/${encodeURIComponent(name)}`;

  function create(title, fields, specOf, place = "#/volumes") {
    formDialog(title, [field("Name", { name: "name", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,38}" }), ...fields], "Create",
      async (data) => {
        await call("PUT", path(data.get("name")), specOf(data), { headers: { "If-None-Match": "*" } });
        location.hash = place;
        soon();
      });
  }

  const makeNew = () => create("New volume", [field("Size", { name: "size", value: "64M", required: true })],
    (data) => ({ size_bytes: parseBytes(data.get("size")) }));
  const snapshot = (name) => create(`Snapshot of ${name}`, [], () => ({ snapshot_of: name }));
  const copy = async ({ name, disk }) => {
    const others = (await list("/v1/disks")).map(({ id }) => id).filter((id) => id !== disk);
    create(`Full copy of ${name}`, [field("Disk", { name: "disk", options: [disk, ...others] })],
      (data) => ({ copy_of: name, disk: data.get("disk") }), "#/operations");
  };
  const grow = ({ name, size_bytes: size }) => formDialog(`Grow ${name}`,
    [field("Size", { name: "size", value: bytes(size), required: true })], "Grow",
    async (data) => { await call("PATCH", path(name), { size_bytes: parseBytes(data.get("size")) }); soon(); });

  async function remove(name) {
    if (!await confirmed(`Delete the volume ${name} with all its data?`, "Delete")) return;
    await attempt(() => call("DELETE", path(name)), `${name} is deleted.`);
    soon();
  }

  async function format({ id, content }) {
    if (!await confirmed(`Format disk ${id}? All that is on it (${content ?? "it can't be read"}) is lost.`, "Format")) return;
    await attempt(() => call("PUT", `/v1/disks/${id}`, { format: true }), `Disk ${id} is formatted.`);
    soon();
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Volumes"),
    may("operator") && h("button", { type: "button", className: "main", onclick: makeNew }, "New volume")), volumes,
  h("p"), h("div", { className: "bar" }, h("h2", {}, "Disks")), disks);

  const soon = keepLooking(async () => {
    const [all, machine] = await Promise.all([list("/v1/volumes", { signal }), list("/v1/disks", { signal })]);
    renew(volumes, table([
      ["Name", ({ name }) => name],
      ["State", ({ status }) => state(status.state)],
      ["Kind", ({ kind, copy_of: origin }) => origin ? `${kind} of ${origin}` : kind],
      ["Size", ({ size_bytes: size }) => bytes(size), "number"],
      ["Used", ({ status }) => bytes(status.allocated_bytes), "number"],
      ["Guests", ({ status }) => status.guests || "", "number"],
      ["Labels", ({ labels }) => labelsOf(labels)],
      ["Created", ({ created_at: at }) => moment(at)],
      ["", (volume) => may("operator") && h("span", {}, volume.kind !== "snapshot" && button("Grow", () => grow(volume)), " ",
        button("Snapshot", () => snapshot(volume.name)), " ", button("Copy", () => attempt(() => copy(volume))), " ", button("Delete", () => remove(volume.name), "bad"))],
    ], all, "There are no volumes yet."));
    renew(disks, table([
      ["Disk", ({ id, serial }) => serial ? `${id} (${serial})` : id],
      ["State", (disk) => state(disk.state)],
      ["Content", ({ content }) => content ?? "can't be read"],
      ["Size", ({ size_bytes: size }) => bytes(size), "number"],
      ["Used", ({ used_bytes: used }) => used === undefined ? "" : bytes(used), "number"],
      ["Errors", ({ errors }) => errors || "", "number"],
      ["", (disk) => may("admin") && disk.state === "unformatted" && button("Format", () => format(disk), "bad")],
    ], machine, "The machine has no disks."));
  }, signal, { seconds: 5, kinds: ["volumes", "disks"] });
}
