// Terminals of a workspace: several named sessions on its Jupyter server, redrawn after a reload from what
// the server replays. Runs at the workspace's own origin.

import { Terminal } from "../vendor/xterm.mjs";
import { FitAddon } from "../vendor/xterm-addon-fit.mjs";
import { SearchAddon } from "../vendor/xterm-addon-search.mjs";
import { WebLinksAddon } from "../vendor/xterm-addon-web-links.mjs";

const words = document.body.dataset;
const tabs = document.getElementById("tabs");
const screens = document.getElementById("screens");
const banner = document.getElementById("banner");
const REFUSED = 4403;
const MONOSPACE = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace';
const recorded = document.getElementById("recorded");
const watching = "watching" in words; // whoever only reads sees the sessions and types into none
const LOOKS_EVERY_MS = 3000;
const sessions = new Map();
let active = null;

const cookie = (name) => document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";

function tell(text) {
  banner.textContent = text;
  banner.hidden = !text;
  if (!text && watching) {
    banner.textContent = sessions.size ? words.watching : words.none;
    banner.hidden = false;
  }
}

async function api(method, path, body) {
  if (method !== "GET" && !cookie("_xsrf")) await fetch("/lab"); // the server gives its XSRF cookie with a page
  const response = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json", "X-XSRFToken": cookie("_xsrf") },
    body: body && JSON.stringify(body),
  });
  if (response.status === 403) tell(words.refused);
  else if (!response.ok) tell(words.gone);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
  return response.status === 204 ? null : response.json();
}

class Session {
  constructor(name) {
    this.name = name;
    this.pause = 500;
    this.over = false;
    this.early = []; // what was typed before the first connection stood
    this.screen = document.createElement("div");
    this.screen.className = "screen";
    this.screen.hidden = true;
    screens.append(this.screen);
    this.terminal = new Terminal({ scrollback: 10000, fontSize: 14, lineHeight: 1.2, fontFamily: MONOSPACE, screenReaderMode: true, disableStdin: watching, theme: { background: "#14181f" } });
    this.fit = new FitAddon();
    this.search = new SearchAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.loadAddon(this.search);
    // The addon's own way opens an empty tab: the portal's page around this one leaves it no hold of it.
    this.terminal.loadAddon(new WebLinksAddon((_event, address) => window.open(address, "_blank", "noopener,noreferrer")));
    this.terminal.open(this.screen);
    this.terminal.onData((data) => this.send(["stdin", data]));
    this.terminal.onResize(({ rows, cols }) => this.send(["set_size", rows, cols]));
    this.screen.addEventListener("paste", (event) => this.askBeforePaste(event), { capture: true });
    this.tab = this.makeTab();
    this.connect();
  }

  makeTab() {
    const tab = document.createElement("div");
    tab.className = "tab";
    const show = document.createElement("button");
    show.type = "button";
    show.setAttribute("role", "tab");
    show.textContent = this.name;
    show.addEventListener("click", () => activate(this));
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", words.close.replace("{name}", this.name));
    close.addEventListener("click", () => this.end());
    tab.append(show, ...(watching ? [] : [close]));
    tabs.append(tab);
    return tab;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/terminals/websocket/${this.name}`);
    this.socket.addEventListener("open", () => {
      this.pause = 500;
      this.fresh = !watching;
      this.terminal.reset(); // the server replays what was on the screen
      tell("");
      if (active === this) this.resize();
      for (const message of this.early ?? []) this.send(message);
      this.early = null;
    });
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.lost(event.code));
  }

  receive([kind, data]) {
    // The portal says first of all, at each connection, whether it records.
    if (this.fresh) recorded.hidden = kind !== "recorded";
    this.fresh = false;
    if (kind === "stdout") this.terminal.write(data);
    else if (kind === "disconnect") this.remove(words.ended);
  }

  lost(code) {
    if (this.over) return;
    if (code === REFUSED) {
      tell(words.refused);
      return;
    }
    tell(words.lost);
    setTimeout(() => this.retry(), this.pause);
    this.pause = Math.min(this.pause * 2, 10000);
  }

  async retry() {
    try {
      const known = await api("GET", "/api/terminals");
      if (known.some((one) => one.name === this.name)) this.connect();
      else this.remove(words.ended);
    } catch {
      this.lost(0);
    }
  }

  send(message) {
    if (watching) return; // the portal would drop it
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    else if (message[0] === "stdin") this.early?.push(message); // later a banner says that the connection is lost
  }

  resize() {
    this.fit.fit();
    this.send(["set_size", this.terminal.rows, this.terminal.cols]);
  }

  async askBeforePaste(event) {
    if (watching) return;
    const text = event.clipboardData?.getData("text") ?? "";
    const lines = text.replace(/\n$/, "").split("\n").length;
    if (lines < 2) return;
    event.preventDefault();
    event.stopPropagation();
    const dialog = document.getElementById("paste");
    document.getElementById("paste-words").textContent = words.paste.replace("{n}", lines);
    document.getElementById("paste-text").textContent = text;
    dialog.returnValue = "no";
    dialog.showModal();
    await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
    if (dialog.returnValue === "yes") this.terminal.paste(text);
    this.terminal.focus();
  }

  async end() {
    await api("DELETE", `/api/terminals/${this.name}`).catch(() => {});
    this.remove("");
  }

  remove(text) {
    this.over = true;
    this.socket.close();
    this.terminal.dispose();
    this.screen.remove();
    this.tab.remove();
    sessions.delete(this.name);
    tell(text);
    if (active === this) activate(sessions.values().next().value ?? null);
  }
}

function activate(session) {
  active = session;
  for (const one of sessions.values()) {
    one.screen.hidden = one !== session;
    one.tab.toggleAttribute("data-active", one === session);
    one.tab.firstChild.setAttribute("aria-selected", String(one === session));
  }
  if (!session) return;
  history.replaceState(null, "", `#${session.name}`);
  session.resize();
  session.terminal.focus();
}

function add(name) {
  const session = sessions.get(name) ?? new Session(name);
  sessions.set(name, session);
  return session;
}

document.getElementById("new")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = document.getElementById("name");
  const name = field.value.trim();
  if (!/^\w*$/.test(name)) {
    tell(words.badName);
    return;
  }
  const made = sessions.has(name) ? { name } : await api("POST", "/api/terminals", name ? { name } : {});
  field.value = "";
  activate(add(made.name));
});

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.getElementById("find").value;
  if (!active || !text) return;
  if (!active.search.findPrevious(text)) tell(words.unfound.replace("{text}", () => text));
  else if ("unfound" in banner.dataset) tell("");
  banner.toggleAttribute("data-unfound", banner.textContent === words.unfound.replace("{text}", () => text));
});

new ResizeObserver(() => active?.resize()).observe(screens);

const known = await api("GET", "/api/terminals");
const asked = decodeURIComponent(location.hash.slice(1));
for (const { name } of known) add(name);
if (!known.length && !watching) add((await api("POST", "/api/terminals", {})).name);
activate(sessions.get(asked) ?? sessions.values().next().value ?? null);

async function lookForMore() {
  const names = (await api("GET", "/api/terminals").catch(() => [])).map((one) => one.name);
  for (const name of names.filter((each) => !sessions.has(each))) add(name);
  if (!active && sessions.size) activate(sessions.values().next().value);
}

if (watching) {
  tell("");
  setInterval(lookForMore, LOOKS_EVERY_MS);
}
