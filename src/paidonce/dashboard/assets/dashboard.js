// What the dashboard does where scripts run. Everything works without it: links lead to pages, forms are sent.
//
//   <a data-partial="id" href="…">, <form data-partial="id" method="get">
//       load only the element with this id, and its pager, from the page that they lead to; the history has it
//   <form data-confirm="Refund 10.00 EUR?">   asks once before it is sent
//   <div id="…" data-stream="checkout.* chk_…">  is loaded again when an event of the merchant has such a type or id
//   <p data-live="URL" data-target="id">      says whether the stream at the URL is open; each event loads the target
//   <main data-events="URL">                  the stream for data-stream, from where the log was when the page was read
"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const pageOf = (url) => url.pathname + url.search;
  let shownPage = pageOf(location);

  async function load(url, ids) {
    const response = await fetch(url, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    const path = new URL(url, location.href).pathname;
    if (!response.ok || new URL(response.url).pathname !== path) throw new Error("not this page");
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of ids) {
      const fresh = page.getElementById(id);
      if (fresh && get(id)) get(id).replaceWith(document.adoptNode(fresh));
    }
    const main = get("content");
    const freshMain = page.getElementById("content");
    if (main && freshMain && freshMain.dataset.events) main.dataset.events = freshMain.dataset.events;
    return page;
  }

  async function visit(url, id, isNew) {
    const old = get(id);
    if (!old) return location.assign(url);
    old.setAttribute("aria-busy", "true");
    try {
      const page = await load(url, [id, `${id}-pager`]);
      if (isNew) history.pushState({ partial: id }, "", url);
      shownPage = pageOf(location);
      document.title = page.title;
      const shown = get(id);
      const target = shown.hasAttribute("tabindex") ? shown : shown.querySelector("[tabindex]");
      if (isNew && target) target.focus();
      listen();
    } catch {
      location.assign(url);
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-partial]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    visit(link.href, link.dataset.partial, true);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) return event.preventDefault();
    if (form.method === "get" && form.dataset.partial) {
      event.preventDefault();
      const fields = [...new FormData(form)].filter(([, value]) => value !== "");
      const query = new URLSearchParams(fields).toString();
      visit(form.action.split("?")[0] + (query ? `?${query}` : ""), form.dataset.partial, true);
    } else if (form.method === "post") {
      // After the form is sent. Two presses are one action anyway, by the key in the form.
      const sent = [...form.querySelectorAll("button:enabled")];
      setTimeout(() => sent.forEach((one) => (one.disabled = one.dataset.sent = true)));
    }
  });

  addEventListener("pageshow", () => document.querySelectorAll("button[data-sent]").forEach((one) => (one.disabled = false)));
  // A link to a place within the page, such as the skip link, is a popstate too, and needs no reload.
  addEventListener("popstate", () => pageOf(location) === shownPage || location.reload());

  // Live updates. One connection for each page that is visible, because browsers keep six for a host.
  let stream = null;
  let due = new Set();
  let timer = 0;

  function isBeingEdited(element) {
    return (
      (element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) ||
      [...element.querySelectorAll("input:not([type=hidden]), textarea")].some((one) =>
        one.type === "checkbox" || one.type === "radio" ? one.checked !== one.defaultChecked : one.value !== one.defaultValue
      )
    );
  }

  async function refresh() {
    timer = 0;
    const ready = [...due].filter((id) => get(id) && !isBeingEdited(get(id)));
    due = new Set([...due].filter((id) => get(id) && !ready.includes(id)));
    const open = ready.flatMap((id) => [...get(id).querySelectorAll("details[open]")].map((one) => one.id)).filter(Boolean);
    const focused = document.activeElement && document.activeElement.id;
    try {
      if (ready.length) await load(location.href, ready.flatMap((id) => [id, `${id}-pager`]));
      open.forEach((id) => get(id) && (get(id).open = true));
      if (focused && get(focused) && document.activeElement !== get(focused)) get(focused).focus({ preventScroll: true });
    } catch {
      return close(); // The session has ended, most likely: the next click tells.
    }
    if (due.size) plan(2000);
  }

  function plan(delay) {
    if (!timer) timer = setTimeout(refresh, delay);
  }

  function matches(pattern, type, data) {
    return pattern
      .split(" ")
      .some((one) => one === type || (one.endsWith(".*") && type.startsWith(one.slice(0, -1))) || (one.includes("_") && data.includes(`"${one}"`)));
  }

  function happened(type, data) {
    document.querySelectorAll("[data-stream]").forEach((one) => one.id && matches(one.dataset.stream, type, data) && due.add(one.id));
    document.querySelectorAll("[data-live]").forEach((one) => due.add(one.dataset.target));
    if (due.size) plan(400);
  }

  function tell(text) {
    document.querySelectorAll("[data-live]").forEach((one) => (one.textContent = text));
  }

  // An EventSource hands on named events only to who names them, so the stream is read as it is.
  async function follow(url, mine, position) {
    const headers = position ? { "Last-Event-ID": position } : {};
    try {
      const response = await fetch(url, { headers, signal: mine.signal, credentials: "same-origin" });
      if (!response.ok || response.redirected) return tell("");
      tell("Live: what happens is shown at once.");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: ?(.*)/s)));
          position = fields.id || position;
          if (fields.event) happened(fields.event, fields.data || "");
        }
      }
    } catch {
      if (mine.signal.aborted) return;
    }
    tell("The connection is lost. It is made again by itself.");
    setTimeout(() => stream === mine && follow(url, mine, position), 2000);
  }

  function close() {
    if (stream) stream.abort();
    stream = null;
  }

  function listen() {
    const live = document.querySelector("[data-live]");
    const main = document.querySelector("main[data-events]");
    const url = live ? live.dataset.live : main && document.querySelector("[data-stream]") && main.dataset.events;
    close();
    if (!url || document.hidden || !window.TextDecoderStream) return;
    stream = new AbortController();
    follow(url, stream, "");
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return close();
    document.querySelectorAll("[data-stream]").forEach((one) => one.id && due.add(one.id));
    document.querySelectorAll("[data-live]").forEach((one) => due.add(one.dataset.target));
    clearTimeout(timer);
    refresh().then(listen);
  });
  listen();
})();
