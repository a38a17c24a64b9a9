// What happened since the page was opened.

import { h, moment, renew, table } from "./dom.js";

const KEPT = 500;
const seen = [];

window.addEventListener("skep-event", ({ detail }) => {
  seen.unshift(detail);
  seen.length = Math.min(seen.length, KEPT);
});

function show(rows) {
  renew(rows, table([
    ["Time", ({ time }) => moment(time)],
    ["What", ({ kind, name, type }) => [kind, name, type].filter(Boolean).join(" ")],
    ["Change", ({ change }) => Object.entries(change ?? {}).map(([key, value]) =>
      `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ")],
    ["By", ({ caller }) => caller],
  ], seen, "Nothing has happened since you signed in."));
}

export function eventsView(view, _, signal) {
  const rows = h("div", { id: "events" });
  view.append(h("div", { className: "bar" }, h("h2", {}, "Events")), rows);
  window.addEventListener("skep-event", () => show(rows), { signal });
  show(rows);
}
