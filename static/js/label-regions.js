// Regions of a text, a series or an image: drawn with the mouse or made and moved by keys alone.
// The regions live in the hidden input `value` as JSON; `regions` is dispatched at each change.
const COLOURS = 8;
const STEP = 0.01;
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const svg = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

class Regions {
  constructor(root, canvas) {
    Object.assign(this, { root, canvas, regions: [], current: -1, colour: {} });
    this.input = root.querySelector("input[name=value]");
    this.list = root.querySelector("[data-region-list]");
    this.labels = [...root.querySelectorAll("[data-region-label]")].map((button) => button.dataset.regionLabel);
    this.labels.forEach((label, at) => { this.colour[label] = at % COLOURS; });
    for (const button of root.querySelectorAll("[data-region-label]"))
      button.addEventListener("click", () => this.add(button.dataset.regionLabel));
    for (const swatch of root.querySelectorAll("[data-swatch]")) swatch.classList.add(`is-${swatch.dataset.swatch % COLOURS}`);
    this.input.addEventListener("restored", () => this.read());
    this.prepare();
    this.read();
  }

  read() {
    this.regions = JSON.parse(this.input.value || "[]");
    this.current = this.regions.length - 1;
    this.draw();
  }

  changed() {
    this.input.value = JSON.stringify(this.regions);
    this.draw();
    this.root.dispatchEvent(new Event("regions", { bubbles: true }));
  }

  add(label, place = this.place()) {
    if (!place) return;
    this.regions.push({ ...place, label });
    this.current = this.regions.length - 1;
    this.label = label;
    this.changed();
  }

  remove(at) {
    this.regions.splice(at, 1);
    this.current = Math.min(this.current, this.regions.length - 1);
    this.changed();
  }

  draw() {
    this.show();
    this.list.replaceChildren(...this.regions.map((region, at) => this.line(region, at)));
    if (!this.regions.length) this.list.append(Object.assign(document.createElement("li"), {
      className: "text-secondary", textContent: this.list.dataset.empty }));
  }

  line(region, at) {
    const line = document.createElement("li");
    line.className = `label-region${at === this.current ? " is-current" : ""}`;
    const swatch = Object.assign(document.createElement("span"), { className: `label-swatch is-${this.colour[region.label]}` });
    const name = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-link btn-sm p-0" });
    name.textContent = `${region.label} · ${this.describe(region)}`;
    name.addEventListener("click", () => { this.current = at; this.draw(); });
    const away = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-link btn-sm p-0", textContent: "×" });
    away.setAttribute("aria-label", `${this.list.dataset.delete}: ${name.textContent}`);
    away.addEventListener("click", () => this.remove(at));
    line.append(swatch, name, away);
    return line;
  }

  key(event) {
    const region = this.regions[this.current];
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "[" || event.key === "]") {
      const many = this.regions.length || 1;
      this.current = (this.current + (event.key === "]" ? 1 : many - 1)) % many;
      this.draw();
    } else if ((event.key === "Backspace" || event.key === "Delete") && region) this.remove(this.current);
    else if (arrow && this.move(region, arrow, event.shiftKey)) { /* moved */ }
    else if (region && this.further(region, event.key)) this.changed();
    else return false;
    return true;
  }

  further() { return false; }
  prepare() {}
}

class Spans extends Regions {
  prepare() {
    this.text = this.canvas.textContent;
    this.words = [...this.text.matchAll(/\p{Script=Han}|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)]
      .map((match) => [match.index, match.index + match[0].length]);
    this.from = this.to = 0;
    document.addEventListener("selectionchange", this.selected = () => this.readSelection());
  }

  readSelection() {
    if (!this.canvas.isConnected) { document.removeEventListener("selectionchange", this.selected); return; }
    const range = getSelection().rangeCount ? getSelection().getRangeAt(0) : null;
    if (!range || range.collapsed || !this.canvas.contains(range.commonAncestorContainer)) { this.marked = null; return; }
    const before = document.createRange();
    before.setStart(this.canvas, 0);
    before.setEnd(range.startContainer, range.startOffset);
    const start = before.toString().length;
    this.marked = { start, end: start + range.toString().length };
  }

  // A web page counts UTF-16 units, the portal characters: the value holds characters.
  units(characters) { return [...this.text].slice(0, characters).join("").length; }
  characters(units) { return [...this.text.slice(0, units)].length; }

  place() {
    const found = this.marked ?? (this.words.length ? { start: this.words[this.from][0], end: this.words[this.to][1] } : null);
    getSelection().removeAllRanges();
    return found && { start: this.characters(found.start), end: this.characters(found.end) };
  }

  move(_region, [by, down], extend) {
    if (down || !this.words.length) return false;
    const last = this.words.length - 1;
    this.to = clamp(this.to + by, extend ? this.from : 0, last);
    if (!extend) this.from = this.to;
    this.draw();
    return true;
  }

  describe(region) { return [...this.text].slice(region.start, region.end).join(""); }

  show() {
    const marks = this.regions.map((region, at) => ({ at, start: this.units(region.start), end: this.units(region.end), label: region.label }));
    const cursor = this.words.length ? [this.words[this.from][0], this.words[this.to][1]] : [0, 0];
    const edges = [...new Set([0, this.text.length, ...cursor, ...marks.flatMap((mark) => [mark.start, mark.end])])].sort((a, b) => a - b);
    this.canvas.replaceChildren(...edges.slice(0, -1).map((start, at) => {
      const over = marks.filter((mark) => mark.start <= start && mark.end >= edges[at + 1]).at(-1);
      const piece = document.createElement(over ? "mark" : "span");
      piece.textContent = this.text.slice(start, edges[at + 1]);
      if (over) piece.className = `label-mark is-${this.colour[over.label]}${over.at === this.current ? " is-current" : ""}`;
      if (over) piece.title = over.label;
      if (start >= cursor[0] && edges[at + 1] <= cursor[1]) piece.classList.add("label-cursor");
      return piece;
    }));
  }
}

class Drawn extends Regions {
  prepare() {
    const holder = document.createElement("div");
    holder.className = "label-drawing";
    this.canvas.replaceWith(holder);
    this.layer = svg("svg", { class: "label-layer", viewBox: "0 0 1 1", preserveAspectRatio: "none" });
    holder.append(this.canvas, this.layer);
    this.layer.addEventListener("pointerdown", (event) => this.down(event));
    this.layer.addEventListener("pointermove", (event) => this.drag(event));
    this.layer.addEventListener("pointerup", (event) => this.up(event));
    this.layer.addEventListener("dblclick", () => this.close());
  }

  at(event) {
    const box = this.layer.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1)];
  }

  down(event) {
    event.preventDefault();
    this.layer.setPointerCapture(event.pointerId);
    this.start = this.at(event);
  }

  drag(event) {
    if (!this.start) return;
    this.draft = this.between(this.start, this.at(event));
    this.show();
  }

  up(event) {
    const place = this.start && this.between(this.start, this.at(event));
    this.start = this.draft = null;
    if (place && this.large(place)) this.add(this.label ?? this.labels[0], place);
    else this.show();
  }

  close() {}

  show() {
    const drawn = this.draft ? [...this.regions, { ...this.draft, label: this.label ?? this.labels[0] }] : this.regions;
    this.layer.replaceChildren(...drawn.map((region, at) => {
      const shape = this.shape(region);
      shape.setAttribute("class", `label-shape is-${this.colour[region.label]}${at === this.current ? " is-current" : ""}`);
      shape.setAttribute("vector-effect", "non-scaling-stroke");
      return shape;
    }), ...this.handles());
  }

  handles() { return []; }
}

class Boxes extends Drawn {
  place() { return { x: 0.35, y: 0.35, width: 0.3, height: 0.3 }; }
  between([ax, ay], [bx, by]) { return { x: Math.min(ax, bx), y: Math.min(ay, by), width: Math.abs(ax - bx), height: Math.abs(ay - by) }; }
  large(place) { return place.width > 0.005 && place.height > 0.005; }
  shape({ x, y, width, height }) { return svg("rect", { x, y, width, height }); }
  describe({ x, y, width, height }) { return [x, y, width, height].map((value) => Math.round(100 * value)).join(" "); }

  move(region, [x, y], resize) {
    if (!region) return false;
    if (resize) {
      region.width = clamp(region.width + x * STEP, STEP, 1 - region.x);
      region.height = clamp(region.height + y * STEP, STEP, 1 - region.y);
    } else {
      region.x = clamp(region.x + x * STEP, 0, 1 - region.width);
      region.y = clamp(region.y + y * STEP, 0, 1 - region.height);
    }
    this.changed();
    return true;
  }
}

class Polygons extends Drawn {
  point = 0;
  place() { return { points: [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]] }; }
  shape({ points }) { return svg("polygon", { points: points.map((point) => point.join(",")).join(" ") }); }
  describe({ points }) { return `${points.length}`; }
  down(event) { event.preventDefault(); this.corners = [...(this.corners ?? []), this.at(event)]; this.outline(); }
  drag(event) { if (this.corners) this.outline(this.at(event)); }
  up() {}
  outline(...more) { this.draft = { points: [...this.corners, ...more] }; this.show(); }

  close() {
    const points = (this.corners ?? []).filter(([x, y], at, all) => !at || x !== all[at - 1][0] || y !== all[at - 1][1]);
    this.corners = this.draft = null;
    if (points.length > 2) this.add(this.label ?? this.labels[0], { points });
    else this.show();
  }

  move(region, [x, y], resize) {
    if (!region) return false;
    const moved = resize ? [region.points[this.point % region.points.length]] : region.points;
    for (const point of moved) {
      point[0] = clamp(point[0] + x * STEP, 0, 1);
      point[1] = clamp(point[1] + y * STEP, 0, 1);
    }
    this.changed();
    return true;
  }

  further(region, key) {
    const many = region.points.length;
    this.point %= many;
    if (key === "." || key === ",") this.point = (this.point + (key === "." ? 1 : many - 1)) % many;
    else if (key === "+") {
      const [a, b] = [region.points[this.point], region.points[(this.point + 1) % many]];
      region.points.splice(this.point + 1, 0, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
      this.point += 1;
    } else if (key === "-" && many > 3) region.points.splice(this.point, 1);
    else return false;
    return true;
  }

  handles() {
    const region = this.regions[this.current];
    return (region?.points ?? []).map(([x, y], at) => svg("rect", {
      x: x - 0.008, y: y - 0.008, width: 0.016, height: 0.016, class: `label-handle${at === this.point ? " is-current" : ""}` }));
  }
}

class Ranges extends Drawn {
  prepare() {
    this.last = Number(this.canvas.dataset.last);
    this.canvas = this.canvas.querySelector("svg");
    super.prepare();
  }

  place() {
    const middle = this.last / 2;
    return { start: Math.floor(middle - this.last / 20), end: Math.ceil(middle + this.last / 20) };
  }

  between([ax], [bx]) { return { start: Math.round(Math.min(ax, bx) * this.last), end: Math.round(Math.max(ax, bx) * this.last) }; }
  large(place) { return place.end > place.start; }
  shape({ start, end }) { return svg("rect", { x: start / this.last, y: 0, width: (end - start) / this.last, height: 1 }); }
  describe({ start, end }) { return `${start} – ${end}`; }

  move(region, [by, down], resize) {
    if (!region || down) return false;
    if (resize) region.end = clamp(region.end + by, region.start + 1, this.last);
    else if (region.start + by >= 0 && region.end + by <= this.last) { region.start += by; region.end += by; }
    this.changed();
    return true;
  }
}

const KINDS = { spans: Spans, boxes: Boxes, polygons: Polygons, ranges: Ranges };
const bound = new WeakMap();

// Ties the buttons and the list below `root` to the input that is shown on the same screen.
export function bindRegions(root) {
  if (bound.has(root)) return;
  const around = root.closest("[data-preview], .label-screen");
  const canvas = around?.querySelector("[data-canvas]");
  if (canvas) bound.set(root, new KINDS[root.dataset.regions](root, canvas));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("textarea, select, input:not([type=hidden]), dialog")) return;
  const root = document.querySelector("#task [data-regions], #preview [data-regions]");
  if (root && bound.get(root)?.key(event)) event.preventDefault();
}, true);
