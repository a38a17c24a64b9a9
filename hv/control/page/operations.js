// Operations: what takes longer than a call, how far it is, and how it ended.

import { call, list, may } from "./api.js";
import { attempt, button, bytes, confirmed, h, moment, renew, state, table } from "./dom.js";
import { keepLooking } from "./live.js";

function progressOf({ done_bytes: done, total_bytes: total, state: word, volume }) {
  const text = `${bytes(done)} of ${bytes(total)}`;
  return word === "running" ? h("label", {}, text, h("progress", { max: total, value: done, "aria-label": `Copy to ${volume}` })) : text;
}

function resultOf({ state: word, volume, error }) {
  if (word === "done") return h("a", { href: "#/volumes" }, volume);
  return word === "failed" ? error.detail : word === "cancelled" ? "nothing is left of it" : "";
}

export function operationsView(view, _, signal) {
  const rows = h("div", { id: "operations" });

  async function cancel({ id, volume }) {
    if (!await confirmed(`End the copy to ${volume}? What was copied so far is deleted.`, "End it", "Let it run")) return;
    await attempt(() => call("DELETE", `/v1/operations/${id}`), `The copy to ${volume} is about to end.`);
    soon();
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Operations")), rows);

  const soon = keepLooking(async () => renew(rows, table([
    ["Volume", ({ volume }) => volume],
    ["Copy of", ({ source }) => source],
    ["State", ({ state: word, cancelling }) => state(cancelling ? "cancelling" : word)],
    ["Progress", progressOf],
    ["Result", resultOf, "long"],
    ["Began", ({ began_at: at }) => moment(at)],
    ["Ended", ({ ended_at: at }) => moment(at)],
    ["By", ({ caller }) => caller],
    ["", (operation) => may("operator") && operation.state === "running" && !operation.cancelling &&
      button("Cancel", () => cancel(operation), "bad")],
  ], await list("/v1/operations", { signal }), "There were none since the service started: full copies of volumes are such.")),
  signal, { seconds: 1, kinds: ["volumes"] });
}
