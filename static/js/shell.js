// What every page can do: keys, theme, dialogs, copying, messages, the bell, errors of htmx.
import { drafts } from "./drafts.js";
import { connect } from "./live.js";
import { armPageMessages, toast } from "./toast.js";

const words = document.getElementById("toasts").dataset;
const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable], .xterm, dialog[open]")) {
      if (event.key === "Escape" && event.target.id === "find") closeResults(event.target);
      return;
    }
    if (event.key === "/") {
      const find = document.getElementById("find");
      event.preventDefault();
      if (find?.offsetParent) find.focus();
      else document.querySelector('.shell-top a[href*="search"]')?.click();
    }
    if (event.key === "?") document.getElementById("keys-dialog").showModal();
  });
}

function closeResults(find) {
  document.getElementById("find-results").replaceChildren();
  find.blur();
}

function search() {
  const results = document.getElementById("find-results");
  if (!results) return;
  document.addEventListener("click", (event) => event.target.closest(".find") || results.replaceChildren());
  document.querySelector(".find").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [document.getElementById("find"), ...results.querySelectorAll("a")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length]?.focus();
    event.preventDefault();
  });
}

function theme() {
  const root = document.documentElement;
  const set = (value) => {
    root.dataset.bsTheme = value;
    document.dispatchEvent(new CustomEvent("atrium:theme"));
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    if (root.dataset.theme === "auto") set(event.matches ? "dark" : "light");
  });
  document.querySelector("[data-theme-switch]")?.addEventListener("click", (event) => {
    const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    set(next);
    fetch(event.currentTarget.dataset.url, {
      method: "POST",
      headers: { "X-CSRFToken": csrf() },
      body: new URLSearchParams({ theme: next }),
    });
  });
}

function clicks() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog).showModal();
    if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog").close();
    if (event.target.closest("[data-back]")) history.length > 1 ? history.back() : location.assign("/");
    const adder = event.target.closest("[data-add-row]");
    if (adder) addRow(adder.closest("[data-form-rows]"));
    const copy = event.target.closest("[data-copy]");
    if (copy) copyText(document.querySelector(copy.dataset.copy));
  });
}

// Rows of a form are those of a Django formset: the count stands in …-TOTAL_FORMS, an empty one in the template.
function addRow(rows) {
  const total = rows.querySelector('[name$="-TOTAL_FORMS"]');
  const row = rows.querySelector("template").content.firstElementChild.cloneNode(true);
  row.innerHTML = row.innerHTML.replaceAll("__prefix__", total.value);
  rows.querySelector("[data-add-row]").before(row);
  total.value = Number(total.value) + 1;
  row.querySelector("input, select, textarea").focus();
  fullRows(rows);
}

function fullRows(rows) {
  const total = rows.querySelector('[name$="-TOTAL_FORMS"]');
  rows.querySelector("[data-add-row]").hidden = Number(total.value) >= Number(rows.dataset.most);
}

async function copyText(source) {
  const text = "value" in source ? source.value : source.textContent;
  try {
    await navigator.clipboard.writeText(text);
    toast(words.copied, "good");
  } catch {
    getSelection().selectAllChildren(source);
  }
}

function htmxErrors() {
  document.body.addEventListener("htmx:sendError", () => toast(words.offline, "bad"));
  // A refusal does not take away the form that was refused: it stands before it.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { elt } = event.detail.requestConfig;
    elt.previousElementSibling?.matches("[data-refusal]") && elt.previousElementSibling.remove();
    if (!event.detail.serverResponse.includes("data-refusal") || !event.detail.target.contains(elt)) return;
    event.detail.target = elt;
    event.detail.swapOverride = "beforebegin";
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    const answer = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    toast(answer.querySelector("[data-message], .problem p")?.textContent || words.failed, "bad");
  });
  document.body.addEventListener("htmx:load", (event) => {
    charts(event.detail.elt);
    scrollable(event.detail.elt);
    dependents(event.detail.elt);
  });
}

// A table or log that is wider than its place is scrolled by keyboard too; a table fades out where it goes on.
function scrollable(root) {
  for (const box of root.querySelectorAll?.(".table-responsive, pre, .log") ?? []) {
    if (box.matches(".table-responsive")) {
      goesOn(box);
      box.onscroll = () => goesOn(box);
    }
    const spills = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    if (!spills || box.hasAttribute("tabindex") || box.querySelector("a, button, input, select")) continue;
    box.tabIndex = 0;
  }
}

function goesOn(box) {
  box.toggleAttribute("data-goes-on", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
}

// Of many tabs on a phone the chosen one is in sight.
function chosenTabs() {
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
    const tabs = tab.closest(".tabs");
    tabs.scrollLeft = tab.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;
  }
}

// A control with data-only-for="name:value value" is shown while its form's control of that name has one of the values.
function dependents(root) {
  for (const control of root.querySelectorAll?.("[data-only-for]") ?? []) {
    const [name, values] = control.dataset.onlyFor.split(":");
    const chosen = control.form.elements[name];
    const show = () => {
      control.closest(".field").hidden = !values.split(" ").includes(chosen.value);
    };
    chosen.addEventListener("change", show);
    show();
  }
}

async function charts(root) {
  const found = root.matches?.("[data-chart]") ? root.parentElement : root;
  if (!found?.querySelector?.("[data-chart]:not([data-ready])")) return;
  const { prepareCharts } = await import("./chart.js");
  prepareCharts(found);
}

function bell() {
  const button = document.getElementById("bell");
  if (!button) return;
  connect("/ws/notifications/", (data) => {
    const count = document.getElementById("bell-count");
    count.textContent = data.unread;
    count.hidden = !data.unread;
    button.setAttribute("aria-label", data.unread ? `${button.dataset.label} (${data.unread})` : button.dataset.label);
    if (data.title) toast(data.title);
    // The open list follows, but not below the hands of somebody who walks through it by keyboard.
    const items = document.getElementById("bell-items");
    const open = button.getAttribute("aria-expanded") === "true";
    if (open && !items.contains(document.activeElement)) button.dispatchEvent(new Event("bell-changed"));
  });
}

// A new person is shown times as their browser tells them.
function zone() {
  document.cookie = `atrium_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;
}

armPageMessages();
zone();
for (const rows of document.querySelectorAll("[data-form-rows]")) fullRows(rows);
keys();
search();
theme();
clicks();
htmxErrors();
drafts(words);
bell();
charts(document.body);
scrollable(document.body);
chosenTabs();
dependents(document.body);
addEventListener("resize", () => scrollable(document.body));
