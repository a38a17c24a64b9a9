// The API, with the token that this tab was given. It stays in the tab.

const KEY = "skep-token";

export const session = {
  get token() { return sessionStorage.getItem(KEY); },
  set token(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  },
};

const ROLES = ["viewer", "operator", "admin"];

/** Who is signed in, as Skep tells it. */
export const caller = { name: "", role: "viewer", scope: null };
/** Whether that one has this role, or a higher one: what it may not do isn't offered. */
export const may = (role) => ROLES.indexOf(caller.role) >= ROLES.indexOf(role);

export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) window.dispatchEvent(new Event("skep-signed-out"));
  return new Problem(response.status, body.detail ?? `Skep answered ${response.status}.`);
}

/** The response, if it is a success. */
export async function send(method, path, { json, signal, headers = {} } = {}) {
  const options = { method, signal, cache: "no-store", headers: { Authorization: `Bearer ${session.token}`, ...headers } };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(0, "Skep can't be reached.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function call(method, path, json, options) {
  const response = await send(method, path, { json, ...options });
  const kind = response.headers.get("Content-Type") ?? "";
  return kind.includes("json") ? response.json() : response.text();
}

export const get = (path, options) => call("GET", path, undefined, options);
export const list = async (path, options) => (await get(path, options)).items;
export const guestPath = (name, more = "") => `/v1/guests/${encodeURIComponent(name)}${more}`;

/** Uploads a file; onProgress gets the part that is done, 0 to 1. */
export function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.setRequestHeader("Authorization", `Bearer ${session.token}`);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Problem(0, "The upload was broken off."));
    request.onload = () => {
      if (request.status < 300) return resolve();
      let detail;
      try { detail = JSON.parse(request.responseText).detail; } catch { /* no JSON: the status has to do */ }
      return reject(new Problem(request.status, detail ?? `Skep answered ${request.status}.`));
    };
    request.send(file);
  });
}

/**
 * Follows the events until the signal aborts, over broken connections too. onEvent gets each event; "lost" says that
 * everything must be looked at anew, as at the beginning.
 */
export async function follow(onEvent, signal) {
  let last = null;
  while (!signal.aborted && session.token) {
    try {
      const response = await send("GET", "/v1/events", { signal, headers: last ? { "Last-Event-ID": last } : {} });
      for await (const { id, data } of serverSentEvents(response.body)) {
        last = id ?? last;
        if (data) onEvent(JSON.parse(data));
      }
    } catch (error) {
      if (signal.aborted || error.status === 401 || error.status === 403) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** The events of a stream, as WHATWG HTML describes them, as far as Skep uses that. */
async function* serverSentEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s)));
      yield { id: fields.id, data: fields.data };
    }
  }
}

/** A guest's console as a WebSocket. Browsers can't send headers with one, so the token is among the protocols. */
export function openConsole(name, input, offset) {
  const encoded = [...new TextEncoder().encode(session.token)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const query = new URLSearchParams({ ...(input && { input: "true" }), ...(offset !== undefined && { offset }) });
  const address = `wss://${location.host}${guestPath(name, "/console")}?${query}`;
  const socket = new WebSocket(address, ["skep.console", `skep.token.${encoded}`]);
  socket.binaryType = "arraybuffer";
  return socket;
}
