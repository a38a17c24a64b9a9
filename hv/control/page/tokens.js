// Tokens: who may do what. A secret is shown once, when it is made.

import { call, list } from "./api.js";
import { attempt, button, bytes, confirmed, field, formDialog, h, moment, parseBytes, renew, state, table } from "./dom.js";
import { keepLooking } from "./live.js";

const path = (name) => `/v1/tokens/${encodeURIComponent(name)}`;

function quotasOf({ scope }) {
  const { guests = null, vcpus = null, memory_bytes: memory = null, volume_bytes: volumes = null } = scope?.quotas ?? {};
  return [guests !== null && `${guests} guests`, vcpus !== null && `${vcpus} vCPUs`, memory !== null && `${bytes(memory)} of memory`,
    volumes !== null && `${bytes(volumes)} of volumes`].filter(Boolean).join(", ");
}

/** What a form says that a token may do. */
function wishOf(data) {
  const text = (name) => data.get(name).trim();
  const quotas = {
    ...(text("guests") && { guests: Number(text("guests")) }), ...(text("vcpus") && { vcpus: Number(text("vcpus")) }),
    ...(text("memory") && { memory_bytes: parseBytes(text("memory")) }),
    ...(text("volumes") && { volume_bytes: parseBytes(text("volumes")) }),
  };
  if (Object.keys(quotas).length && !text("prefix")) throw new Error("Quotas need a prefix.");
  return {
    role: text("role"),
    ...(text("prefix") && { scope: { prefix: text("prefix"), quotas } }),
    ...(text("expires") && { expires_at: new Date(text("expires")).toISOString() }),
  };
}

function showSecret({ name, token }) {
  const secret = h("code", { className: "secret", tabIndex: 0, "aria-label": "Secret" }, token);
  const copied = h("span", { className: "faint", role: "status" });
  const copy = () => navigator.clipboard.writeText(token).then(() => { copied.textContent = "copied"; },
    () => getSelection().selectAllChildren(secret));
  const dialog = h("dialog", { onclose: () => dialog.remove() },
    h("form", { method: "dialog" }, h("h2", {}, `The token of ${name}`), secret,
      h("p", { className: "faint" }, "It is shown this once: Skep doesn't know it any more."),
      h("div", { className: "bar" }, button("Copy", copy), copied, h("button", { className: "main", autofocus: true }, "Done"))));
  document.body.append(dialog);
  dialog.showModal();
}

export function tokensView(view, _, signal) {
  const rows = h("div", { id: "tokens" });

  function makeNew() {
    formDialog("New token", [
      field("Name", { name: "name", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,22}" }),
      field("Role", { name: "role", options: ["viewer", "operator", "admin"] }),
      field("Sees only names that begin so (empty = all)", { name: "prefix", pattern: "[a-z0-9][a-z0-9\\-]{0,38}" }),
      h("fieldset", {}, h("legend", {}, "At most, together (empty = no limit)"),
        field("Guests", { name: "guests", type: "number", min: 0 }), field("vCPUs", { name: "vcpus", type: "number", min: 0 }),
        field("Memory", { name: "memory" }), field("Volumes", { name: "volumes" })),
      field("Expires (empty = never)", { name: "expires", type: "datetime-local" }),
    ], "Create", async (data) => {
      const name = data.get("name"), wish = wishOf(data);
      if ((await list("/v1/tokens")).some((token) => token.name === name)) throw new Error(`There is a token ${name}.`);
      showSecret(await call("PUT", path(name), wish));
      soon();
    });
  }

  async function rotate({ name, role, scope, expires_at }) {
    if (!await confirmed(`Give ${name} another secret? Whoever has the former one is refused from then on.`, "Rotate")) return;
    await attempt(async () => showSecret(await call("PUT", `${path(name)}?rotate=true`, { role, scope, expires_at })));
    soon();
  }

  async function revoke({ name }) {
    if (!await confirmed(`Revoke the token ${name}? Whoever has it is refused from then on.`, "Revoke")) return;
    await attempt(() => call("DELETE", path(name)), `${name} is revoked.`);
    soon();
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Tokens"),
    h("button", { type: "button", className: "main", onclick: makeNew }, "New token")), rows);

  const soon = keepLooking(async () => renew(rows, table([
    ["Name", ({ name }) => name],
    ["Role", ({ role }) => role],
    ["Sees", ({ scope }) => scope ? `${scope.prefix}…` : "all"],
    ["At most", quotasOf],
    ["Made", ({ made_at: at }) => moment(at)],
    ["Expires", ({ expires_at: at, expired }) => expired ? h("span", {}, state("expired"), " ", moment(at)) : at ? moment(at) : "never"],
    ["Last used", ({ last_used_at: at }) => moment(at)],
    ["", (token) => h("span", {}, button("Rotate", () => rotate(token)), " ", button("Revoke", () => revoke(token), "bad"))],
  ], await list("/v1/tokens", { signal }), "There is no token but that of the boot.")), signal, { seconds: 5, kinds: ["tokens"] });
}
