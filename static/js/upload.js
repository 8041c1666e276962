// Uploads with progress, from a file, a folder or a drop. Without scripts the form still sends one file.
const form = document.querySelector("[data-upload]");
const words = form.dataset;
const zone = form.querySelector("[data-drop]");
const error = form.querySelector("[data-upload-error]");
const bar = form.querySelector("[data-upload-progress]");
let chosen = []; // [{path, file}]

function inWords(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function choose(entries) {
  chosen = entries;
  const size = entries.reduce((sum, { file }) => sum + file.size, 0);
  const names = entries.length === 1 ? entries[0].path : `${entries.length} ${words.chosen}`;
  form.querySelector("[data-chosen]").textContent = `${names} · ${inWords(size)}`;
  fail("");
}

function fail(message) {
  error.hidden = !message;
  error.querySelector("p").textContent = message;
  if (message) error.scrollIntoView({ block: "nearest" });
}

for (const input of form.querySelectorAll('input[type="file"]')) {
  input.addEventListener("change", () => {
    choose([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
  });
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, refuse) => entry.file(done, refuse));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((done, refuse) => reader.readEntries(done, refuse));
    if (!part.length) return;
    for (const child of part) await walk(child, found);
  }
}

zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", async (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  choose(found);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!chosen.length) { fail(words.none); return; }
  const body = new FormData(form);
  body.delete("files");
  for (const { path, file } of chosen) { body.append("files", file, file.name); body.append("paths", path); }
  send(body);
});

function send(body) {
  const button = form.querySelector("button:not([type])");
  const request = new XMLHttpRequest();
  const show = (percent, phase) => {
    bar.querySelector("progress").value = percent;
    bar.querySelector("[data-percent]").textContent = `${Math.round(percent)} %`;
    bar.querySelector("[data-phase]").textContent = phase;
  };
  const end = (message) => { button.disabled = false; bar.hidden = true; fail(message); };
  fail("");
  button.disabled = true;
  bar.hidden = false;
  show(0, words.sending);
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) show((event.loaded / event.total) * 100, words.sending);
  });
  request.upload.addEventListener("load", () => show(100, words.checking));
  request.addEventListener("error", () => end(words.lost));
  request.addEventListener("load", () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* no JSON: an error page */ }
    if (request.status < 300 && answer.url) location.assign(answer.url);
    else end(answer.message || answer.detail || `${request.status} ${request.statusText}`);
  });
  request.open("POST", form.getAttribute("action") || location.pathname);
  request.setRequestHeader("Accept", "application/json");
  request.send(body);
}
