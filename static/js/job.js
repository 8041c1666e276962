// The page of a job, or of an environment that is made: the log from the first line, search, follow, the state when it
// changes, and the time that goes by.
import { connect } from "atrium/live";

const MOST_LINES = 20000;
const MOVING = ["starting", "running", "locking", "building"];
const log = document.getElementById("log");
const find = document.getElementById("log-find");
const found = document.getElementById("log-found");
const follow = document.getElementById("log-follow");
const state = document.getElementById("job-state");
const colours = /\x1b\[[0-9;?]*[A-Za-z]/g;

let lines = [];
let open = "";
let leftOut = false;
let silence = ""; // what stands for a log without a line, once the socket has said that there is none

// A carriage return starts the line anew, the way a terminal shows progress bars.
const shown = (line) => line.replace(/\r$/, "").split("\r").pop().replace(colours, "");

function matches(line) {
  return line.toLowerCase().includes(find.value.toLowerCase());
}

function mark(line) {
  const words = find.value.toLowerCase();
  const row = document.createElement("span");
  const lower = line.toLowerCase();
  let at = 0;
  for (let next = lower.indexOf(words); next >= 0; next = lower.indexOf(words, at)) {
    const hit = document.createElement("mark");
    hit.textContent = line.slice(next, next + words.length);
    row.append(line.slice(at, next), hit);
    at = next + words.length;
  }
  row.append(line.slice(at) + "\n");
  return row;
}

function draw() {
  const all = open ? [...lines, shown(open)] : lines;
  const first = leftOut ? [`[${log.dataset.leftOut}]`] : [];
  if (find.value) {
    const hits = all.filter(matches);
    log.replaceChildren(...hits.slice(-2000).map(mark));
    found.textContent = `${hits.length} ${log.dataset.found}`;
  } else {
    log.textContent = [...first, ...all].join("\n") || silence;
    found.textContent = "";
  }
  if (follow.checked) log.scrollTop = log.scrollHeight;
}

let planned = false;
function plan() {
  if (planned) return;
  planned = true;
  setTimeout(() => { planned = false; draw(); }, 50);
}

function append(text) {
  const parts = (open + text).split("\n");
  open = parts.pop();
  for (const part of parts) lines.push(shown(part));
  if (lines.length > MOST_LINES) {
    lines = lines.slice(-MOST_LINES);
    leftOut = true;
  }
  plan();
}

let last = null;
function refresh(now) {
  const text = JSON.stringify(now);
  if (text === last) return;
  const first = last === null && now.status === state.dataset.status && !MOVING.includes(now.status);
  last = text;
  if (!first) fetchState();
}

// A dialog that somebody has open stays; what changed meanwhile is fetched when it closes.
let missed = false;
function fetchState() {
  missed = isAsked();
  if (!missed) window.htmx.ajax("GET", state.dataset.url, { target: "#job-state", swap: "innerHTML" });
}
function isAsked() {
  return document.querySelector("#job-state dialog[open]") !== null;
}
state.addEventListener("htmx:beforeSwap", (event) => {
  if (!isAsked()) return;
  event.detail.shouldSwap = false;
  missed = true;
});
state.addEventListener("close", () => missed && fetchState(), true);

connect(log.dataset.socket, (message) => {
  if ("attempt" in message) {
    lines = [];
    open = "";
    leftOut = false;
    plan();
  }
  if ("log" in message) append(message.log);
  if ("state" in message) {
    silence = message.ended ? log.dataset.silent : log.dataset.silentYet;
    plan();
    refresh(message.state);
  }
});

find.addEventListener("input", plan);
follow.addEventListener("change", plan);
log.addEventListener("scroll", () => {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  if (!atEnd && document.activeElement === log) follow.checked = false;
});

function spoken(seconds) {
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  const first = parts.findIndex(([amount]) => amount);
  return parts.slice(first < 0 ? 2 : first).slice(0, 2).map(([amount, unit]) => `${amount}\u00a0${unit}`).join("\u00a0");
}

function tick() {
  for (const element of state.querySelectorAll("[data-since]")) {
    element.textContent = spoken(Math.max(0, Math.round((Date.now() - Date.parse(element.dataset.since)) / 1000)));
  }
}
setInterval(tick, 1000);
