// One guest: its state over time, its console, what was asked of it.

import { call, get, guestPath, may, openConsole } from "./api.js";
import { attempt, button, bytes, confirmed, h, moment, renew, state, terms } from "./dom.js";
import { keepLooking } from "./live.js";
import { Plot, Rate } from "./plot.js";

export function guestView(view, name, signal) {
  const facts = h("section", { className: "panel" }), actions = h("div", { className: "bar" }), crash = h("div");
  const plots = guestPlots(), spec = h("pre");

  view.append(h("div", { className: "bar" }, h("h2", {}, name), actions), facts, h("div", { className: "panels" },
    plots.map(({ plot }) => plot.element)), h("p"), consolePanel(name, signal), crash,
  h("details", { className: "panel" }, h("summary", {}, "Spec"), spec));

  async function look() {
    const guest = await get(guestPath(name), { signal });
    const { status } = guest;
    renew(facts, factsOf(guest));
    if (may("operator")) renew(actions, ...actionsOf(guest, soon));
    spec.textContent = JSON.stringify(guest.spec, null, 2);
    renew(crash, ...(status.crash ? [crashPanel(status.crash)] : []));
    const seconds = performance.now() / 1000;
    for (const { plot, values } of plots) plot.add(...values(status, seconds));
  }

  const soon = keepLooking(look, signal, { seconds: 1, kinds: ["guests"] });
}

function factsOf({ spec, status }) {
  return terms([
    ["State", state(status.state)],
    ["Why", status.error],
    ["Exit code", status.exit_code === null ? null : String(status.exit_code ?? "")],
    ["Image", spec.image],
    ["Addresses", (status.addresses ?? []).join(", ")],
    ["vCPUs", status.vcpus && `${status.vcpus.on} of ${status.vcpus.wanted}`],
    ["Started", moment(status.started_at)],
    ["Ended", moment(status.ended_at)],
    ["Restarts", status.restarts || null],
    ["Volumes", spec.volumes.map((volume) => volume.mount ? `${volume.name} at ${volume.mount}` : volume.name).join(", ")],
  ]);
}

/** So that a button that is pressed late doesn't do what another has come to do in its place. */
function keyed(element) {
  element.dataset.key = element.textContent;
  return element;
}

function actionsOf({ name, spec }, soon) {
  const wish = (desired, [verb, done]) => keyed(button(verb, () =>
    attempt(() => call("PATCH", guestPath(name), { desired_state: desired }), `${name} ${done}.`).then(soon)));
  const wished = spec.desired_state;
  return [
    wished === "stopped" && wish("running", ["Start", "is started"]),
    wished === "running" && wish("paused", ["Pause", "is paused"]),
    wished === "paused" && wish("running", ["Resume", "goes on"]),
    wished !== "stopped" && wish("stopped", ["Stop", "is asked to stop"]),
    keyed(button("Delete", async () => {
      if (!await confirmed(`Delete ${name}? It is ended, and its spec is forgotten; its volumes stay.`, "Delete")) return;
      if (await attempt(() => call("DELETE", guestPath(name)), `${name} is deleted.`)) location.hash = "#/guests";
    }, "bad")),
  ].filter(Boolean);
}

function guestPlots() {
  const cpu = new Rate(), received = new Rate(), sent = new Rate();
  const sum = (status, what) => (status.networks ?? []).reduce((total, network) => total + (network[what] ?? 0), 0);
  const perSecond = (rate) => `${bytes(rate)}/s`;
  return [
    { plot: new Plot("CPU", (value) => `${value.toFixed(1)} %`, [""], 10),
      values: (status, seconds) => [cpu.next(status.cpu_time_ns ?? 0, seconds)].map((rate) => rate === null ? null : rate / 1e7) },
    { plot: new Plot("Memory", bytes, ["used", "promised"]),
      values: (status) => [status.memory_used_bytes ?? 0, status.memory_promised_bytes ?? 0] },
    { plot: new Plot("Traffic", perSecond, ["in", "out"], 1024),
      values: (status, seconds) => [received.next(sum(status, "rx_bytes"), seconds), sent.next(sum(status, "tx_bytes"), seconds)] },
  ];
}

function crashPanel(crash) {
  return h("section", { className: "panel" }, h("h3", {}, `Latest crash: ${crash.reason}`), terms([
    ["At", moment(crash.at)], ["Address", crash.address], ["Message", crash.message],
  ]), h("pre", {}, (crash.backtrace ?? []).join("\n")));
}

const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g, SCREEN_MAX = 256 * 1024;

/** Text as a terminal without a cursor would show it. */
function plain(text) {
  const lines = text.replace(ESCAPES, "").replaceAll("\r\n", "\n").split("\n");
  return lines.map((line) => line.slice(line.lastIndexOf("\r") + 1)).join("\n").replace(/[^\n\t\x20-\uffff]/g, "");
}

/** The console; input is asked for when somebody types, and sent by lines. */
function consolePanel(name, signal) {
  const screen = h("pre", { className: "screen", tabIndex: 0, role: "log", "aria-label": "Console output" });
  const status = h("span", { className: "faint", role: "status" });
  const line = h("input", { "aria-label": "Console input", placeholder: "Input, sent with Enter", autocomplete: "off" });
  const form = h("form", {}, line);
  let socket, offset, decoder = new TextDecoder(), text = "", retry, drawn = 0;

  function show() {
    const atEnd = screen.scrollTop + screen.clientHeight >= screen.scrollHeight - 5;
    drawn = 0;
    screen.textContent = plain(text);
    if (atEnd) screen.scrollTop = screen.scrollHeight;
  }

  function put(more) {
    text = (text + more).slice(-SCREEN_MAX);
    drawn ||= requestAnimationFrame(show);
  }

  /** Goes on behind the last byte that was seen. `queued` is sent when the console is open for input. */
  function open(input, queued) {
    clearTimeout(retry);
    const here = socket = openConsole(name, input, offset);
    here.onopen = () => {
      status.textContent = input ? "open for input" : "";
      if (queued !== undefined) here.send(queued);
    };
    here.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const { lost_bytes: lost } = JSON.parse(data);
        if (offset !== undefined) offset += lost;
        return put(`\n[${lost} bytes are lost]\n`);
      }
      if (offset !== undefined) offset += data.byteLength;
      return put(decoder.decode(data, { stream: true }));
    };
    here.onclose = ({ code, reason }) => {
      if (signal.aborted || here !== socket) return;
      status.textContent = reason || (input && code === 1006 ? "somebody else writes to this console" : "not connected");
      if (code !== 1000) retry = setTimeout(() => start(), 2000);
    };
  }

  /** The log's offset isn't in what browsers show of a WebSocket's answer, so it is asked for. */
  async function start() {
    try {
      const guest = await get(guestPath(name), { signal });
      if (offset === undefined || offset < guest.status.log_first || offset > guest.status.log_end) {
        offset = guest.status.log_first;
        text = "";
        decoder = new TextDecoder();
      }
      open(false);
    } catch (error) {
      if (!signal.aborted && error.status !== 404) retry = setTimeout(start, 2000);
    }
  }

  form.onsubmit = (event) => {
    event.preventDefault();
    const input = `${line.value}\n`;
    line.value = "";
    if (socket?.readyState === WebSocket.OPEN && socket.url.includes("input=true")) return socket.send(input);
    const former = socket;
    open(true, input);
    return former?.close();
  };
  window.addEventListener("skep-event", ({ detail }) => {
    if (detail.kind === "guests" && detail.name === name && socket?.readyState === WebSocket.CLOSED) start();
  }, { signal });
  signal.addEventListener("abort", () => { clearTimeout(retry); socket?.close(); });
  start();
  return h("section", { className: "panel" }, h("div", { className: "bar" }, h("h2", {}, "Console"), status,
    button("Download the log", () => attempt(() => download(name)))), screen, may("operator") && form);
}

async function download(name) {
  const log = await call("GET", guestPath(name, "/log"));
  const address = URL.createObjectURL(new Blob([log], { type: "text/plain" }));
  h("a", { href: address, download: `${name}.log` }).click();
  URL.revokeObjectURL(address);
}
