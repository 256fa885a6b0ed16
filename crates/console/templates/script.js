"use strict";
// Brings what is new into an open page. Every page works without it: a button asks for what is brought here unasked.
(() => {
  const byId = (id) => document.getElementById(id);

  // Puts the parts of a fetched page in the place of those shown; the focus stays where it was.
  const swap = (fetched) => {
    for (const then of fetched.querySelectorAll("[data-swap]")) {
      const now = byId(then.id);
      if (!now || now.innerHTML === then.innerHTML) continue;
      if (now.id === "wants" && fields(now) === fields(then)) continue;
      const focused = now.contains(document.activeElement) ? document.activeElement : null;
      const href = focused && focused.getAttribute("href");
      now.replaceChildren(...then.childNodes);
      const again = href && [...now.querySelectorAll("a")].find((link) => link.getAttribute("href") === href);
      if (again) again.focus({ preventScroll: true });
    }
  };
  const fields = (part) => [...part.querySelectorAll("[name]")].map((field) => field.name).join();
  const page = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  const live = document.body.dataset.live;
  if (live) {
    let stale = false;
    const refresh = async () => {
      stale = document.hidden;
      if (stale) return;
      const answer = await fetch(location.href).catch(() => null);
      if (answer && answer.ok) swap(await page(answer));
    };
    new EventSource(live).addEventListener("news", refresh);
    document.addEventListener("visibilitychange", () => stale && refresh());
  }

  const form = byId("editor");
  if (!form) return;
  const file = byId("file");
  let waiting = 0;
  let asking = new AbortController();
  let isTrying = false;

  const ask = async (go) => {
    // What is tried is waited for: a test send that has begun is posted, so its answer is shown, and it is not posted twice.
    const isCheck = go === "check";
    if (!isCheck && isTrying) return;
    if (isCheck) {
      asking.abort();
      asking = new AbortController();
    } else {
      isTrying = true;
      byId("tried").textContent = go === "test" ? "Posting …" : "";
    }
    const body = new URLSearchParams(new FormData(form));
    body.set("go", go);
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body, signal: isCheck ? asking.signal : null });
      const fetched = await page(answer);
      // Checked while typing: what was tried before stays.
      if (isCheck) fetched.getElementById("tried")?.remove();
      swap(fetched);
      if (!isCheck && !fetched.getElementById("tried")) byId("tried").textContent = fetched.querySelector("main").innerText;
    } catch (error) {
      if (error.name !== "AbortError") byId(isCheck ? "findings" : "tried").textContent = "The console does not answer.";
    } finally {
      if (!isCheck) isTrying = false;
    }
  };

  file.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 300, "check");
  });
  form.addEventListener("submit", (event) => {
    const go = event.submitter && event.submitter.value;
    if (!["check", "preview", "test"].includes(go)) return;
    event.preventDefault();
    clearTimeout(waiting);
    ask(go);
  });
  // A finding leads to its place in the text.
  byId("findings").addEventListener("click", (event) => {
    const link = event.target.closest("a[data-line]");
    if (!link) return;
    event.preventDefault();
    const line = Number(link.dataset.line);
    const before = file.value.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, text) => sum + text.length + 1, 0) + Number(link.dataset.column) - 1;
    file.focus();
    file.setSelectionRange(at, at);
    const height = parseFloat(getComputedStyle(file).lineHeight) || 20;
    file.scrollTop = Math.max(0, (line - 8) * height);
  });
})();
