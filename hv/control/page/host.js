// The machine: CPUs, memory, mitigations, power.

import { call, get, may } from "./api.js";
import { attempt, button, bytes, confirmed, duration, h, moment, renew, state, table, terms } from "./dom.js";
import { keepLooking } from "./live.js";
import { Plot, Rate } from "./plot.js";

export function hostView(view, _, signal) {
  const facts = h("section", { className: "panel" }), memory = h("section", { className: "panel" });
  const cpus = h("div", { className: "panels" }), mitigations = h("section", { className: "panel" });
  const plots = [];

  async function end(what, verb) {
    if (!await confirmed(`${verb} the machine? All guests are asked to stop first.`, verb)) return;
    await attempt(() => call("POST", `/v1/host/${what}`, {}), "All guests are asked to stop.");
  }

  view.append(h("div", { className: "bar" }, h("h2", {}, "Host"), may("admin") && [
    button("Reboot", () => end("reboot", "Reboot"), "bad"), button("Shut down", () => end("shutdown", "Shut down"), "bad"),
  ]), facts, memory, cpus, h("p"), mitigations);

  function plotOf(cpu) {
    plots[cpu] ??= { plot: new Plot(`CPU ${cpu}`, (value) => `${value.toFixed(0)} %`, ["guests", "Skep"], 100),
      guest: new Rate(), core: new Rate() };
    if (!plots[cpu].plot.element.isConnected) cpus.append(plots[cpu].plot.element);
    return plots[cpu];
  }

  keepLooking(async () => {
    const host = await get("/v1/host", { signal });
    const seconds = host.uptime_ns / 1e9;
    renew(facts, terms([
      ["Version", host.version], ["Address", host.address], ["CPU", `${host.cpus} × ${host.cpu_model}`], ["Power", state(host.power)],
      ["Up for", duration(host.uptime_ns)], ["Time", moment(host.time)], ["Guests", String(host.counts.guests)],
      ["Storage", h("span", {}, state(host.storage.state), host.storage.bytes
        ? ` ${bytes(host.storage.used_bytes)} of ${bytes(host.storage.bytes)}` : "")],
      ["Control service", `${host.control.restarts} restarts${host.control.safe_mode ? ", in safe mode" : ""}`],
    ]));
    const { total, used, promised } = host.memory;
    const meter = (label, value) => [h("label", {}, `${label} ${bytes(value)} of ${bytes(total)}`,
      h("meter", { min: 0, max: total, value, high: total * .9, optimum: 0 }))];
    renew(memory, h("h3", {}, "Memory"), ...meter("Used", used), ...meter("Promised", promised));
    for (const { cpu, guest_ns: guest, core_ns: core } of host.cpu_times) {
      const { plot, ...rates } = plotOf(cpu);
      plot.add(...[rates.guest.next(guest, seconds), rates.core.next(core, seconds)].map((rate) => rate === null ? null : rate / 1e7));
    }
    renew(mitigations, h("h3", {}, "CPU flaws"), table([
      ["Flaw", ([flaw]) => flaw], ["Mitigation", ([, word]) => word],
    ], Object.entries(host.mitigations), "None is known."));
  }, signal, { seconds: 1, kinds: ["host"] });
}
