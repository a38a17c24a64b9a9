// Elements without markup from strings: texts stay texts.

/** An element with properties, or attributes where it has no such property, and children. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Gives an element other children, and keeps those that are as they should be, so that focus and selection stay. Children
 * with a data-key become only ones with the same: what somebody is about to press never means something else.
 */
export function renew(element, ...fresh) {
  const key = (node) => node.dataset?.key;
  const alike = (one, other) => one.nodeName === other.nodeName && key(one) === key(other);
  fresh.forEach((wanted, index) => {
    const there = [...element.childNodes].slice(index).find((node) => alike(node, wanted));
    if (!there) return element.insertBefore(wanted, element.childNodes[index] ?? null);
    if (there !== element.childNodes[index]) element.insertBefore(there, element.childNodes[index]);
    return update(there, wanted);
  });
  while (element.childNodes.length > fresh.length) element.lastChild.remove();
}

function update(there, wanted) {
  if (there.nodeType === Node.TEXT_NODE) {
    if (there.data !== wanted.data) there.data = wanted.data;
    return;
  }
  for (const { name, value } of wanted.attributes) if (there.getAttribute(name) !== value) there.setAttribute(name, value);
  // What somebody has opened stays open.
  for (const { name } of [...there.attributes]) if (name !== "open" && !wanted.hasAttribute(name)) there.removeAttribute(name);
  there.onclick = wanted.onclick;
  renew(there, ...wanted.childNodes);
}

/** "team=edge, tier=1" */
export const labelsOf = (labels) => Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(", ");

/** A table; a column is [label, function of an item to its cell, "number", "long" or nothing]. */
export function table(columns, items, empty) {
  if (!items.length) return h("p", { className: "faint" }, empty);
  return h("table", {},
    h("thead", {}, h("tr", {}, columns.map(([label, , kind]) => h("th", { scope: "col", className: kind ?? "" }, label)))),
    h("tbody", {}, items.map((item) => h("tr", { "data-key": item.id ?? item.name },
      columns.map(([label, cell, kind]) => h("td", { className: kind ?? "", "data-label": label }, cell(item) ?? ""))))));
}

/** Pairs of a term and its description; pairs whose description is missing are left out. */
export function terms(pairs) {
  return h("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
}

export function button(label, onclick, className = "") {
  return h("button", { type: "button", onclick, className }, label);
}

let noticeTimer;

/** Says something to whoever looks, or listens. Errors stay until the next one. */
export function tell(text, bad = false) {
  const notice = document.getElementById("notice");
  clearTimeout(noticeTimer);
  notice.textContent = text;
  notice.className = bad ? "bad" : "";
  if (!bad) noticeTimer = setTimeout(() => { notice.textContent = ""; }, 6000);
}

/** Runs what a person asked for, and tells what went wrong. Whether it went well. */
export async function attempt(action, done) {
  try {
    await action();
    if (done) tell(done);
    return true;
  } catch (error) {
    tell(error.message, true);
    return false;
  }
}

/** Asks before something is lost. */
export function confirmed(question, verb, no = "Cancel") {
  return new Promise((resolve) => {
    const dialog = h("dialog", { onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      h("form", { method: "dialog" }, h("p", {}, question), h("div", { className: "bar" },
        h("button", { value: "no", autofocus: true }, no), h("button", { value: "yes", className: "bad" }, verb))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * A dialog with a form; submit(form data, next) closes it unless it throws, or returns what the button does next. That comes
 * again as `next`, unless something is changed before.
 */
export function formDialog(title, fields, verb, submit) {
  const problem = h("p", { className: "state bad", hidden: true, role: "alert" });
  const go = h("button", { className: "main" }, verb);
  let next = null;
  const become = (what) => { next = what; go.textContent = what ?? verb; };
  const form = h("form", { oninput: () => become(null) }, h("h2", {}, title), fields, problem,
    h("div", { className: "bar" }, button("Cancel", () => dialog.close()), go));
  const dialog = h("dialog", { onclose: () => dialog.remove() }, form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try {
      become(await submit(new FormData(form), next));
      if (next) go.scrollIntoView({ block: "nearest" });
      else dialog.close();
    } catch (error) {
      become(null);
      problem.textContent = error.message;
      problem.hidden = false;
    }
    go.disabled = false;
  };
  document.body.append(dialog);
  dialog.showModal();
}

/** An input with its label; with rows one of several lines, with options a choice. */
export function field(label, props) {
  return h("label", {}, label, h(props.options ? "select" : props.rows ? "textarea" : "input", { autocomplete: "off", ...props, options: undefined },
    (props.options ?? []).map((value) => h("option", {}, value))));
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) { count /= 1024; unit++; }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
}

/** "4M", "64 KiB", "1048576" in bytes; an error says what is expected. */
export function parseBytes(text) {
  const match = /^\s*(\d+)\s*([kmgt]?)(i?b)?\s*$/i.exec(text);
  if (!match) throw new Error(`"${text}" is no size: say 4M, 64K or a number of bytes.`);
  return Number(match[1]) * 1024 ** " kmgt".indexOf(match[2].toLowerCase() || " ");
}

export function duration(ns) {
  const seconds = ns / 1e9;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(seconds / 3600);
  return hours < 48 ? `${hours} h ${Math.floor(seconds % 3600 / 60)} min` : `${Math.floor(hours / 24)} days`;
}

export function moment(text) {
  return text ? h("time", { dateTime: text }, new Date(text).toLocaleString()) : "";
}

const GOOD = ["running", "online", "ready", "on", "done", "created"];
const BAD = ["crashed", "crash-looping", "failed", "damaged", "offline", "expired", "degraded", "missing", "deleted"];
const QUIET = ["exited", "stopped", "unformatted", "none", "cancelled"];

export function state(word) {
  const kind = GOOD.includes(word) ? "good" : BAD.includes(word) ? "bad" : QUIET.includes(word) ? "faint" : "wait";
  return h("span", { className: `state ${kind}` }, word);
}
