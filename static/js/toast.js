// Short messages at the lower right corner, read out by screen readers.
const box = () => document.getElementById("toasts");

/** Show a message; `tone` is busy, good, wait or bad. Bad ones stay until they are dismissed.
 *  One that says the same takes the place of the former. */
export function toast(text, tone = "busy") {
  for (const shown of [...box().children]) if (shown.textContent.trim() === text) shown.remove();
  const note = document.createElement("div");
  note.className = `note toast-note note-${tone}`;
  const words = document.createElement("div");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn-close";
  close.setAttribute("aria-label", box().dataset.dismiss);
  note.append(words, close);
  box().append(note);
  arm(note, tone === "bad");
}

function arm(note, stays) {
  note.querySelector(".btn-close").addEventListener("click", () => note.remove());
  if (!stays) setTimeout(() => note.remove(), 7000);
}

/** Make the messages that came with the page behave like the others. */
export function armPageMessages() {
  for (const note of box().querySelectorAll("[data-toast]")) arm(note, note.dataset.toast === "error");
}
