// The labelling screen without a mouse: hotkeys, a draft of everything that is kept over a crash, a heartbeat, and the
// next task fetched while the present one is looked at.
import { bindRegions } from './label-regions.js';

const HEARTBEAT_MS = 60_000;
const TYPING = "textarea, select, input:not([type=checkbox]):not([type=hidden])";
let started = performance.now();
let row = 0;
let ahead = null; // {after, next}: the task to show once the answer to the element `after` has been taken

const task = () => document.getElementById("task");
const draftKey = () => `atrium-label-${task().dataset.task}`;
const fields = () => [...task().querySelectorAll("textarea, select, input[type=checkbox], input[name=value]")];

function begin() {
  started = performance.now();
  row = 0;
  for (const image of document.querySelectorAll("img.label-image")) if (image.complete && !image.naturalWidth) imageFailed(image);
  for (const place of document.querySelectorAll("[data-regions]")) bindRegions(place);
  if (task()?.dataset.task) restore();
  markRow();
  task()?.querySelector("[data-typing]")?.focus();
  lookAhead();
}

const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

function post(address, values = {}) {
  return fetch(address, { method: "POST", headers: { "X-CSRFToken": csrf() }, body: new URLSearchParams(values) }).catch(() => null);
}

async function lookAhead() {
  const after = task();
  if (!after?.dataset.ahead || ahead?.after === after) return;
  ahead = { after, next: null };
  const answer = await post(after.dataset.ahead);
  if (answer?.status !== 200) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("task");
  if (ahead?.after !== after) return;
  ahead.next = next;
  after.dataset.holds = next?.dataset.slot ?? "";
}

const heldAhead = () => (ahead?.after === task() ? ahead.next?.dataset : undefined);

// What is held ahead is free again at once when the page is left; after a crash, when its lease has run out.
function letGo() {
  const place = heldAhead();
  ahead = null;
  if (place) navigator.sendBeacon(place.letGo, new URLSearchParams({ token: place.token, csrfmiddlewaretoken: csrf() }));
}

function restore() {
  const kept = localStorage.getItem(draftKey());
  if (!kept) return;
  const values = JSON.parse(kept);
  fields().forEach((field, at) => {
    const value = values[at];
    if (value === undefined) return;
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
    field.dispatchEvent(new Event("restored", { bubbles: true }));
  });
  const comment = task().querySelector("[data-comment]");
  if (comment?.querySelector("textarea").value) comment.open = true;
}

function keep() {
  if (!task()?.dataset.task) return;
  const values = fields().map((field) => (field.type === "checkbox" ? field.checked : field.value));
  localStorage.setItem(draftKey(), JSON.stringify(values));
}

function markRow() {
  for (const line of document.querySelectorAll("[data-table-row]"))
    line.classList.toggle("table-active", Number(line.dataset.tableRow) === row);
  for (const [at, line] of document.querySelectorAll("[data-rows] .label-row").entries())
    line.classList.toggle("is-current", at === row);
}

function rowKey(key) {
  const selects = document.querySelectorAll("[data-rows] select");
  if (!selects.length) return false;
  if (key === "ArrowDown" || key === "ArrowUp") {
    row = Math.max(0, Math.min(selects.length - 1, row + (key === "ArrowDown" ? 1 : -1)));
  } else {
    const option = selects[row].querySelector(`[data-row-key="${CSS.escape(key)}"]`);
    if (!option) return false;
    option.selected = true;
    row = Math.min(selects.length - 1, row + 1);
    keep();
  }
  markRow();
  return true;
}

function openComment() {
  const comment = task()?.querySelector("[data-comment]");
  if (!comment) return false;
  comment.open = true;
  comment.querySelector("textarea").focus();
  return true;
}

function press(selector) {
  const button = document.querySelector(selector);
  button?.click();
  return Boolean(button);
}

function typed(event) {
  if (event.key === "Escape") event.target.blur();
  if (!(event.ctrlKey || event.metaKey)) return false;
  if (event.key === "Enter") return press("#task [data-done]");
  return event.key === "x" && event.target.name === "comment" && event.target.selectionStart === event.target.selectionEnd
    ? press("#task [data-skip]") : false;
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (rowKey(event.key)) return true;
  if (event.key === "x" || event.key === "c") return openComment();
  if (event.key === "Enter" && !event.target.closest("button, a, summary")) return press("#task [data-done]");
  return press(`#task [data-hotkey="${CSS.escape(event.key)}"], #preview [data-hotkey="${CSS.escape(event.key)}"]`);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.target.closest("dialog")) return;
  if (event.target.closest(TYPING) ? typed(event) : pressed(event)) event.preventDefault();
});

document.addEventListener("input", (event) => { if (event.target.closest("#task")) keep(); });
document.addEventListener("regions", keep);

document.addEventListener("click", (event) => {
  const start = event.target.closest("[data-load-value]");
  const place = document.querySelector("#task input[name=value]");
  if (!start || !place) return;
  place.value = start.dataset.loadValue;
  place.dispatchEvent(new Event("restored", { bubbles: true }));
});

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-nowhere]")) { event.preventDefault(); return; }
  const seconds = event.target.querySelector("input[name=seconds]");
  if (seconds) seconds.value = ((performance.now() - started) / 1000).toFixed(1);
}, true);

document.addEventListener("htmx:configRequest", (event) => {
  const place = heldAhead();
  if (!place || !event.target.matches(".label-screen")) return;
  event.detail.parameters.ahead = place.slot;
  event.detail.parameters.ahead_token = place.token;
});

// The answer was taken and the task held ahead is the present one now: what came back is only how to undo.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr?.getResponseHeader("X-Next") !== "ahead") return;
  const next = ahead?.next;
  if (!next) { location.reload(); return; }
  next.querySelector("[data-before]").innerHTML = xhr.responseText;
  event.detail.serverResponse = next.outerHTML;
});

// A draft goes when the answer has been taken, not before: a submission that fails leaves it where it is.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr?.status === 200 && task()?.dataset.task && event.detail.target?.id === "task")
    localStorage.removeItem(draftKey());
});

function imageFailed(image) {
  const note = document.getElementById("image-failed");
  if (note) image.replaceWith(note.content.cloneNode(true));
}

document.addEventListener("error", (event) => {
  if (event.target.matches?.("img.label-image")) imageFailed(event.target);
}, true);

document.addEventListener("htmx:afterSwap", begin);
addEventListener("pagehide", letGo);
addEventListener("pageshow", (event) => { if (event.persisted) lookAhead(); });
begin();

setInterval(() => {
  const { heartbeat, token } = task()?.dataset ?? {};
  if (heartbeat && !document.hidden) post(heartbeat, { token });
}, HEARTBEAT_MS);
