// Reloads the page when the state that it shows has changed. Without this script the page reloads by itself.
(() => {
  "use strict";
  const waiting = document.querySelector("[data-events]");
  const reload = () => location.replace(location.href);
  if (waiting && window.EventSource) {
    const source = new EventSource(waiting.dataset.events);
    source.addEventListener("changed", () => { source.close(); reload(); });
    source.onerror = () => { if (source.readyState === 2) setTimeout(reload, 5000); };
    addEventListener("pagehide", () => source.close());
  }
  // A page that the browser kept while the buyer was elsewhere may show what is over.
  addEventListener("pageshow", (event) => { if (event.persisted) reload(); });
  // Leads back to the shop, except where the buyer does something on this page: reads it with the keys, or prints it.
  const leaving = document.querySelector("[data-leave-seconds]");
  if (leaving) {
    const timer = setTimeout(() => location.assign(leaving.href), 1000 * leaving.dataset.leaveSeconds);
    for (const sign of ["keydown", "pointerdown", "beforeprint"]) addEventListener(sign, () => clearTimeout(timer));
  }
  const form = document.querySelector("form[data-once]");
  if (form) form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    setTimeout(() => { button.disabled = true; });
  });
})();
