// Try it: an image that is chosen, dropped or pasted becomes the field's tensor; what the model sees is shown.
import { borderOf, brightness, numbersOf, pixelsOf } from "./try-picture.js";

const KINDS = ["image/png", "image/jpeg"];
const LARGEST_BYTES = 30_000_000;
const LONGEST_SIDE = 1024; // a larger one is made smaller first, so that a photo takes no seconds

/** The pixels of a file, at most LONGEST_SIDE on a side. Throws for what is no image. */
async function pictureOf(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Call `take(picture)` for each image that is chosen, dropped on `root` or pasted while it is the one to fill. */
export function takeImages(root, take) {
  const chooser = root.querySelector("[data-image-file]");
  const error = root.querySelector("[data-error]");
  const read = async (file) => {
    if (!file) return;
    error.textContent = "";
    if (!KINDS.includes(file.type)) error.textContent = chooser.dataset.wrong;
    else if (file.size > LARGEST_BYTES) error.textContent = chooser.dataset.large;
    else {
      try {
        take(await pictureOf(file));
      } catch {
        error.textContent = chooser.dataset.wrong;
      }
    }
    chooser.value = "";
  };
  chooser.addEventListener("change", () => read(chooser.files[0]));
  root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("dropping"); });
  root.addEventListener("dragleave", () => root.classList.remove("dropping"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("dropping");
    read(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const images = [...document.querySelectorAll("[data-takes-image]")];
    const target = images.find((each) => each.contains(document.activeElement)) ?? images[0];
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (target !== root || !file) return;
    event.preventDefault();
    read(file);
  });
}

/** Whether dark ink stands on light paper, where a capability that takes drawings wants ink to be high. */
export function isOnPaper(picture) {
  return brightness(borderOf(picture)) > 0.5;
}

/** A field that takes an image file alone. */
export class Picture {
  constructor(root) {
    this.input = root.querySelector("input[type=hidden]");
    this.canvas = root.querySelector("canvas");
    const facts = this.input.dataset;
    this.want = {
      rows: Number(facts.rows), columns: Number(facts.columns), channels: Number(facts.channels),
      first: facts.first === "true", minimum: Number(facts.minimum), maximum: Number(facts.maximum),
      integers: facts.integers === "true", whole: false, inverted: false,
    };
    [this.canvas.width, this.canvas.height] = [this.want.columns, this.want.rows];
    this.invert = root.querySelector("[data-invert]");
    this.invert.addEventListener("click", () => {
      this.want.inverted = !this.want.inverted;
      this.invert.setAttribute("aria-pressed", this.want.inverted);
      this.take();
    });
    takeImages(root, (picture) => { this.picture = picture; this.take(); });
    this.show();
  }

  take() {
    if (!this.picture) return;
    this.input.value = JSON.stringify(numbersOf(this.picture, this.want));
    this.show();
  }

  show() {
    this.invert.disabled = !this.picture;
    this.canvas.hidden = !this.input.value;
    if (!this.input.value) return;
    const pixels = pixelsOf(JSON.parse(this.input.value), this.want);
    this.canvas.getContext("2d").putImageData(new ImageData(pixels, this.want.columns, this.want.rows), 0, 0);
  }
}
