// Try it: the drawing board, its small picture that can be set by keyboard, and marks beside wrong fields.
import { rasterise } from "./try-drawing.js";
import { isOnPaper, Picture, takeImages } from "./try-file.js";
import { inkOf, numbersOf } from "./try-picture.js";
import { prepareSeries } from "./try-series.js";

const ready = new WeakSet();

class Board {
  constructor(root) {
    this.root = root;
    this.input = root.querySelector("input[type=hidden]");
    this.canvas = root.querySelector("canvas");
    this.seen = root.querySelector("[data-seen]");
    const shape = this.input.dataset.shape.split(",").map(Number);
    [this.rows, this.columns] = shape.slice(-2);
    this.maximum = Number(this.input.dataset.maximum) || 1;
    this.strokes = [];
    this.cursor = null;
    this.image = this.input.value ? JSON.parse(this.input.value).map(Number) : this.blank();
    this.canvas.style.aspectRatio = `${this.columns} / ${this.rows}`;
    this.seen.style.gridTemplateColumns = `repeat(${this.columns}, 1fr)`;
    this.seen.style.aspectRatio = `${this.columns} / ${this.rows}`;
    this.seen.replaceChildren(...this.image.map(() => document.createElement("i")));
    this.listen();
    this.show();
    this.paint();
  }

  blank() { return new Array(this.rows * this.columns).fill(0); }

  listen() {
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.extend(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.canvas.addEventListener(end, () => this.finish());
    }
    this.root.querySelector("[data-clear]").addEventListener("click", () => this.reset([]));
    this.root.querySelector("[data-undo]").addEventListener("click", () => this.reset(this.strokes.slice(0, -1)));
    this.seen.addEventListener("keydown", (event) => this.key(event));
    this.seen.addEventListener("blur", () => { this.cursor = null; this.show(); });
    document.addEventListener("atrium:theme", () => this.paint());
    takeImages(this.root, (picture) => this.takePicture(picture));
  }

  takePicture(picture) {
    this.strokes = [];
    this.image = numbersOf(inkOf(picture), {
      rows: this.rows, columns: this.columns, channels: 1, first: false, whole: true,
      minimum: Number(this.input.dataset.minimum), maximum: this.maximum,
      integers: this.input.dataset.integers === "true", inverted: isOnPaper(picture),
    });
    this.input.value = this.image.some(Boolean) ? JSON.stringify(this.image) : "";
    this.paint();
    this.show();
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * 280, y: ((event.clientY - box.top) / box.height) * 280 };
  }

  begin(event) {
    if (event.button) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    if (!this.strokes.length) this.image = this.blank();
    this.drawing = [this.point(event)];
    this.strokes.push(this.drawing);
    this.changed();
  }

  extend(event) {
    if (!this.drawing) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const each of moves.length ? moves : [event]) this.drawing.push(this.point(each));
    this.changed();
  }

  finish() {
    if (!this.drawing) return;
    this.drawing = null;
    this.changed();
  }

  reset(strokes) {
    this.strokes = strokes;
    this.changed();
  }

  changed() {
    cancelAnimationFrame(this.frame);
    this.take();
    this.frame = requestAnimationFrame(() => { this.paint(); this.show(); });
  }

  take() {
    this.image = rasterise(this.strokes, this.rows, this.columns, this.maximum);
    this.input.value = this.image.some(Boolean) ? JSON.stringify(this.image) : "";
  }

  key(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key in steps) {
      const [down, right] = steps[event.key];
      const at = this.cursor ?? 0;
      const row = Math.max(0, Math.min(this.rows - 1, Math.floor(at / this.columns) + (this.cursor === null ? 0 : down)));
      const column = Math.max(0, Math.min(this.columns - 1, (at % this.columns) + (this.cursor === null ? 0 : right)));
      this.cursor = row * this.columns + column;
    } else if (event.key === " " || event.key === "Enter") {
      this.cursor ??= 0;
      this.image[this.cursor] = this.image[this.cursor] ? 0 : this.maximum;
      this.strokes = [];
      this.input.value = this.image.some(Boolean) ? JSON.stringify(this.image) : "";
      this.paint();
    } else {
      return;
    }
    event.preventDefault();
    this.show();
    this.root.querySelector("[data-cell]").textContent =
      `${Math.floor(this.cursor / this.columns) + 1}/${(this.cursor % this.columns) + 1}: ${this.image[this.cursor]}`;
  }

  show() {
    [...this.seen.children].forEach((cell, at) => {
      const ink = this.image[at] / this.maximum;
      cell.classList.toggle("cursor", at === this.cursor);
      cell.style.setProperty("--ink", ink);
      cell.style.opacity = at === this.cursor ? 1 : ink;
    });
  }

  paint() {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--at-ink").trim() || "#000";
    context.clearRect(0, 0, width, height);
    context.fillStyle = context.strokeStyle = ink;
    if (!this.strokes.length) return this.paintImage(context, width, height);
    context.lineWidth = width * 0.075;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.strokes) {
      context.beginPath();
      stroke.forEach((point, at) => context[at ? "lineTo" : "moveTo"]((point.x / 280) * width, (point.y / 280) * height));
      if (stroke.length === 1) context.lineTo((stroke[0].x / 280) * width + 0.1, (stroke[0].y / 280) * height);
      context.stroke();
    }
  }

  paintImage(context, width, height) {
    const [w, h] = [width / this.columns, height / this.rows];
    this.image.forEach((value, at) => {
      context.globalAlpha = value / this.maximum;
      context.fillRect((at % this.columns) * w, Math.floor(at / this.columns) * h, w + 0.5, h + 0.5);
    });
    context.globalAlpha = 1;
  }
}

function prepare() {
  for (const root of document.querySelectorAll("[data-drawing]")) {
    if (ready.has(root)) continue;
    ready.add(root);
    new Board(root);
  }
  for (const root of document.querySelectorAll("[data-picture]")) {
    if (ready.has(root)) continue;
    ready.add(root);
    new Picture(root);
  }
  prepareSeries();
}

function mark() {
  const errors = document.querySelector("#answer template[data-errors]");
  for (const place of document.querySelectorAll("#try-form [data-error]")) {
    const found = errors?.content.querySelector(`[data-for="${place.dataset.error}"]`);
    place.textContent = found?.textContent ?? "";
    document.getElementById(place.dataset.error)?.classList.toggle("is-invalid", Boolean(found));
  }
  document.querySelector("#try-form .is-invalid")?.focus();
}

prepare();
document.body.addEventListener("htmx:load", prepare);
document.body.addEventListener("htmx:afterSwap", (event) => event.detail.target.id === "answer" && mark());

// Who writes another answer means it.
document.addEventListener("input", (event) => {
  if (event.target.type === "radio") return;
  const choice = event.target.closest("[data-choice]")?.querySelector("input[type=radio]");
  if (choice) choice.checked = true;
});
