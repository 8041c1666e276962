// Plays a recorded terminal (asciicast v2) in xterm.js: play and pause, speed, seek, long pauses cut short.

const LONGEST_PAUSE_S = 2;
const MONOSPACE = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace';
const player = document.getElementById("player");
const button = document.getElementById("play");
const slider = document.getElementById("seek");
const speed = document.getElementById("speed");
const cut = document.getElementById("cut");
const clock = document.getElementById("clock");
const words = player.dataset;

let header = { width: 80, height: 24 };
let events = []; // [seconds, kind, data], in the time that is played
let recorded = [];
let next = 0;
let at = 0;
let last = null;
let terminal = null;

const total = () => events.at(-1)?.[0] ?? 0;
const spoken = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function parsed(text) {
  const found = [];
  for (const line of text.split("\n")) {
    try {
      if (line) found.push(JSON.parse(line));
    } catch { /* half a line: the recording ends there */ }
  }
  return found;
}

/** The events with their times as played: as recorded, or with long pauses cut short. */
function timed() {
  let before = 0;
  let now = 0;
  return recorded.map(([seconds, kind, data]) => {
    now += cut.checked ? Math.min(seconds - before, LONGEST_PAUSE_S) : seconds - before;
    before = seconds;
    return [now, kind, data];
  });
}

function show([, kind, data]) {
  if (kind === "o") terminal.write(data);
  else if (kind === "r") terminal.resize(...data.split("x").map(Number));
}

function draw() {
  slider.value = String(at);
  clock.textContent = `${spoken(at)} / ${spoken(total())}`;
  slider.setAttribute("aria-valuetext", clock.textContent);
}

function seek(seconds) {
  if (seconds < at) {
    terminal.reset();
    terminal.resize(header.width, header.height);
    next = 0;
  }
  at = seconds;
  while (next < events.length && events[next][0] <= at) show(events[next++]);
  draw();
}

function playing(yes) {
  last = yes ? performance.now() : null;
  button.querySelector("[data-words]").textContent = yes ? words.pause : words.play;
  button.querySelector("[data-of=play]").hidden = yes;
  button.querySelector("[data-of=pause]").hidden = !yes;
  if (yes) requestAnimationFrame(step);
}

function step(now) {
  if (last === null) return;
  seek(Math.min(at + ((now - last) / 1000) * Number(speed.value), total()));
  last = now;
  if (at >= total()) playing(false);
  else requestAnimationFrame(step);
}

function arrange() {
  const share = total() ? at / total() : 0;
  events = timed();
  slider.max = String(total());
  seek(0);
  seek(share * total());
}

button.addEventListener("click", () => {
  if (last === null && at >= total()) seek(0);
  playing(last === null);
});
slider.addEventListener("input", () => seek(Number(slider.value)));
cut.addEventListener("change", arrange);
document.addEventListener("keydown", (event) => {
  if (event.code !== "Space" || event.target.closest("input, select, button, textarea, a")) return;
  event.preventDefault();
  button.click();
});

const { Terminal } = await import(words.xterm);
const answer = await fetch(words.file);
if (answer.ok) {
  const [first, ...rest] = parsed(await answer.text());
  header = first ?? header;
  recorded = rest.filter((event) => Array.isArray(event) && event.length === 3);
  terminal = new Terminal({ cols: header.width, rows: header.height, fontSize: 13, lineHeight: 1.2, fontFamily: MONOSPACE, scrollback: 5000, disableStdin: true, screenReaderMode: true, theme: { background: "#14181f" } });
  terminal.open(document.getElementById("screen"));
  arrange();
  for (const field of [button, slider, speed, cut]) field.disabled = false;
  if (recorded.length) playing(true);
  else clock.textContent = words.empty;
} else {
  clock.textContent = words.failed;
}
