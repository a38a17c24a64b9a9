// What views share: looking again when something happens, or after a while, as long as they are shown.

import { tell } from "./dom.js";

/**
 * Calls look() now, every `seconds` while the page is visible, and soon after an event that matters. An error is told once,
 * and taken back when a look succeeds.
 */
export function keepLooking(look, signal, { seconds = 2, kinds = [] } = {}) {
  let timer, busy = false, failed = false;

  async function go() {
    clearTimeout(timer);
    if (busy || signal.aborted) return;
    busy = true;
    try {
      if (!document.hidden) await look();
      if (failed) tell("");
      failed = false;
    } catch (error) {
      if (!signal.aborted && !failed) tell(error.message, true);
      failed = true;
    }
    busy = false;
    if (!signal.aborted) timer = setTimeout(go, seconds * 1000);
  }

  const soon = () => { clearTimeout(timer); timer = setTimeout(go, 50); };
  window.addEventListener("skep-event", ({ detail }) => {
    if (detail.type === "lost" || kinds.includes(detail.kind)) soon();
  }, { signal });
  document.addEventListener("visibilitychange", soon, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  go();
  return soon;
}
