// The page of a release: what its calls show, as it comes over the websocket. Without one the fragment goes on asking
// every two seconds by itself (templates/releases/_live.html), and what it brings is shown the same way.
import { connect } from "atrium/live";
import { draw } from "atrium/chart";

const comparison = document.getElementById("live-comparison");
const fragment = () => document.getElementById("release-live");
let heard = false; // the websocket has said something and is still there

function show(told) {
  const stages = document.getElementById("live-stages");
  if (stages && stages.dataset.told !== told.stages) {
    const open = [...stages.querySelectorAll("details")].map((each) => each.open);
    stages.innerHTML = told.stages;
    stages.dataset.told = told.stages;
    stages.querySelectorAll("details").forEach((each, place) => { each.open = open[place] ?? false; });
    tick();
  }
  const blockers = document.getElementById("live-blockers");
  if (blockers && blockers.dataset.told !== told.blockers) {
    blockers.innerHTML = told.blockers;
    blockers.dataset.told = told.blockers;
  }
  const why = document.getElementById("why-not");
  if (why && why.textContent !== told.why_not) why.textContent = told.why_not;
  compare(told);
}

let drawn = "";
function compare({ figure, table }) {
  const text = JSON.stringify(figure);
  if (text === drawn) return;
  drawn = text;
  comparison.hidden = figure.data.length === 0;
  comparison.querySelector("[data-figure]").textContent = text;
  comparison.querySelector(".chart-table").innerHTML = table;
  const plot = comparison.querySelector(".chart-plot");
  if (!comparison.hidden && !plot.hidden) draw(plot, figure).catch(() => {});
}

// A dialog that somebody has open stays; what changed meanwhile is fetched when it closes.
let missed = false;
const asked = () => fragment().querySelector("dialog[open]") !== null;
function fetchFragment() {
  missed = asked();
  if (!missed) window.htmx.ajax("GET", comparison.dataset.url, { target: "#release-live", swap: "outerHTML" });
}

connect(
  comparison.dataset.socket,
  (told) => {
    heard = true;
    show(told);
    if (told.mark !== fragment().dataset.mark) fetchFragment();
  },
  () => {},
  () => { heard = false; },
);

document.addEventListener("htmx:beforeRequest", (event) => {
  if (heard && event.detail.elt.id === "release-live") event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "release-live" || !asked()) return;
  event.detail.shouldSwap = false;
  missed = true;
});
document.addEventListener("close", () => missed && fetchFragment(), true);
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "release-live") return;
  const told = document.getElementById("live-told");
  if (told) show(JSON.parse(told.textContent));
  tick();
});

// How long the stage under way has lasted, to the second in its first hour.
function spoken(seconds) {
  const parts = [[Math.floor(seconds / 86400), "d"], [Math.floor(seconds / 3600) % 24, "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  const first = parts.findIndex(([amount]) => amount);
  return parts.slice(first < 0 ? 3 : first).slice(0, 2).map(([amount, unit]) => `${amount}\u00a0${unit}`).join("\u00a0");
}

function tick() {
  for (const element of document.querySelectorAll("#live-stages [data-since]")) {
    element.textContent = spoken(Math.max(0, Math.round((Date.now() - Date.parse(element.dataset.since)) / 1000)));
  }
}
tick();
setInterval(tick, 1000);
