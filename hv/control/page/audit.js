// The audit trail: what was changed by whom, the latest first.

import { get } from "./api.js";
import { h, moment, renew, state, table, terms } from "./dom.js";
import { keepLooking } from "./live.js";

const PAGE = 100;

/** The records up to the last one. An answer ends where it has become long enough. */
async function read(after, last, signal) {
  const trail = await get(`/v1/audit?after=${after}&limit=${PAGE}`, { signal });
  while (trail.items.length && trail.items.at(-1).id < last) {
    const more = await get(`/v1/audit?after=${trail.items.at(-1).id}&limit=${PAGE}`, { signal });
    trail.valid &&= more.valid;
    trail.items.push(...more.items.filter(({ id }) => id <= last));
  }
  return trail;
}

/** What a change changed of it, member by member. */
function changesOf({ before, after, cut }) {
  const text = (value) => value === undefined ? "–" : JSON.stringify(value);
  const names = [...new Set(Object.keys({ ...before, ...after }))].filter((name) => text(before?.[name]) !== text(after?.[name]));
  const lines = names.map((name) => `${name}: ${text(before?.[name])} → ${text(after?.[name])}`);
  const left = (cut ?? []).map((name) => `${name} is too long to be in the record`);
  if (!lines.length && !left.length) return "";
  const word = !before ? "made" : !after ? "deleted" : names.join(", ");
  return h("details", {}, h("summary", {}, word), h("pre", {}, [...lines, ...left].join("\n")));
}

export function auditView(view, _, signal) {
  const rows = h("div", { id: "audit" }), facts = h("div"), pages = h("div", { className: "bar" });
  let end = null; // the latest record that is shown; null = the latest there is

  const turn = (label, to) => h("button", { type: "button", "data-key": label, onclick: () => { end = to; soon(); } }, label);

  async function look() {
    const last = end ?? (await get("/v1/audit?limit=1", { signal })).last;
    const after = Math.max(0, last - PAGE);
    const trail = await read(after, last, signal);
    renew(rows, table([
      ["Record", ({ id }) => id ?? "", "number"],
      ["Time", ({ time }) => moment(time)],
      ["By", ({ caller }) => caller],
      ["Call", ({ method, path, damaged }) => damaged ? state("damaged") : `${method} ${path}`],
      ["Status", ({ status }) => status ?? "", "number"],
      ["Detail", ({ detail }) => detail, "long"],
      ["Change", changesOf, "long"],
    ], trail.items.reverse(), "Nothing was changed yet."));
    renew(facts, terms([
      ["Kept", `records ${trail.first} to ${trail.last}, ${trail.kept === "disk" ? "on the disk" : "in memory"}`],
      ["Head", h("code", {}, trail.head)],
      ["These records", trail.valid ? "are whole and follow each other" : h("span", { className: "bad" }, "are not whole, or don't follow each other")],
    ]));
    renew(pages, ...[
      end !== null && turn("Latest", null),
      after >= trail.first && turn("Older", after),
    ].filter(Boolean));
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Audit trail")), facts, h("p"), rows, pages);
  const soon = keepLooking(look, signal, { seconds: 10, kinds: ["guests", "apps", "images", "volumes", "disks", "tokens", "client-certificates", "host"] });
}
