// Try it: a series of numbers that is pasted or read from a file, drawn as a line; files that fill a field.
const LARGEST = 2_000_000;
const ready = new WeakSet();

export function numbersOf(text) {
  return text.split(/[\s,;]+/).filter(Boolean).map(Number);
}

export function pointsOf(numbers, width, height) {
  const finite = numbers.filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite), span = high - low || 1;
  const step = width / Math.max(1, numbers.length - 1);
  return numbers.map((value, at) => Number.isFinite(value)
    ? `${(at * step).toFixed(1)},${(height - ((value - low) / span) * height).toFixed(1)}` : "").filter(Boolean).join(" ");
}

function draw(area) {
  const numbers = numbersOf(area.value);
  const chart = document.querySelector(`[data-series-of="${area.id}"]`);
  const words = document.querySelector(`[data-series-words="${area.id}"]`);
  const finite = numbers.filter(Number.isFinite);
  chart.querySelector("polyline").setAttribute("points", finite.length > 1 ? pointsOf(numbers, 600, 120) : "");
  words.textContent = finite.length ? `n = ${numbers.length}, ${Math.min(...finite)} … ${Math.max(...finite)}` : "";
}

async function fill(input) {
  const area = document.getElementById(input.dataset.fills);
  const file = input.files[0];
  if (!file || !area) return;
  const text = await file.slice(0, LARGEST).text();
  area.value = area.hasAttribute("data-series") ? numbersOf(text).filter(Number.isFinite).join(", ") : text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
  input.value = "";
}

export function prepareSeries() {
  for (const area of document.querySelectorAll("textarea[data-series]")) {
    if (!ready.has(area)) area.addEventListener("input", () => draw(area));
    ready.add(area);
    draw(area);
  }
  for (const input of document.querySelectorAll("[data-fills]")) {
    if (!ready.has(input)) input.addEventListener("change", () => fill(input));
    ready.add(input);
  }
}
