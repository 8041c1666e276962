// The labelling screen without a mouse: hotkeys, a heartbeat that keeps the place, a draft of the comment.
const HEARTBEAT_MS = 60_000;
let started = performance.now();

const task = () => document.getElementById("task");
const draftKey = () => `atrium-label-${task()?.dataset.task}`;

function restore() {
  started = performance.now();
  const comment = task()?.querySelector("textarea[name=comment]");
  const kept = comment && sessionStorage.getItem(draftKey());
  if (kept) {
    comment.value = kept;
    comment.closest("details").open = true;
  }
}

document.addEventListener("input", (event) => {
  if (event.target.matches("#task textarea[name=comment]")) sessionStorage.setItem(draftKey(), event.target.value);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  if (event.key === "x") {
    const skip = task()?.querySelector("[data-skip]");
    if (!skip) return;
    event.preventDefault();
    skip.open = true;
    skip.querySelector("textarea").focus();
    return;
  }
  const choice = task()?.querySelector(`[data-hotkey="${CSS.escape(event.key)}"]`);
  if (choice) {
    event.preventDefault();
    choice.click();
  }
});

document.addEventListener("submit", (event) => {
  const seconds = event.target.querySelector("input[name=seconds]");
  if (seconds) seconds.value = ((performance.now() - started) / 1000).toFixed(1);
}, true);

document.addEventListener("htmx:afterSwap", restore);
restore();

setInterval(async () => {
  const { heartbeat, token } = task()?.dataset ?? {};
  if (!heartbeat || document.hidden) return;
  const headers = { "X-CSRFToken": JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"] };
  await fetch(heartbeat, { method: "POST", headers, body: new URLSearchParams({ token }) }).catch(() => {});
}, HEARTBEAT_MS);
