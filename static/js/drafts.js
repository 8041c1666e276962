// A form that is sent while the portal does not answer loses nothing: what was typed stays in this tab until the answer
// to a form says, by a cookie, that it arrived, and stands in the form again when its page is opened the next time.
import { toast } from "./toast.js";

const PREFIX = "atrium-sent-";
const LONGEST_MS = 3_600_000;
const NOT_KEPT = /^(hidden|password|file|submit|button|reset|image)$/;

const isPost = (form) => form.getAttribute("method")?.toLowerCase() === "post"; // a field may be called `method`
const placeOf = (form) => new URL(form.getAttribute("action") ?? "", location.href).href;
const fields = (form) => [...form.elements].filter((field) => field.name && field.type && !NOT_KEPT.test(field.type));

function valueOf(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked;
  return field.type === "select-multiple" ? [...field.selectedOptions].map((option) => option.value) : field.value;
}

function fill(field, value) {
  if (field.type === "checkbox" || field.type === "radio") field.checked = value;
  else if (field.type === "select-multiple") for (const option of field.options) option.selected = value.includes(option.value);
  else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

function hasArrived() {
  const told = /(^|; )atrium_taken=/.test(document.cookie);
  document.cookie = "atrium_taken=; path=/; max-age=0; samesite=lax";
  return told;
}

function forget() {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
}

function keep(event) {
  const form = event.target;
  if (event.defaultPrevented || !isPost(form) || form.hasAttribute("hx-post")) return;
  if (!fields(form).some((field) => field.matches("textarea, input:not([type=checkbox]):not([type=radio])"))) return;
  const values = fields(form).map((field) => [field.name, valueOf(field)]);
  const draft = { at: Date.now(), place: placeOf(form), values };
  hasArrived(); // what an earlier form was told says nothing of this one
  sessionStorage.setItem(PREFIX + location.pathname, JSON.stringify(draft));
}

function restore(words) {
  const key = PREFIX + location.pathname;
  const draft = JSON.parse(sessionStorage.getItem(key));
  if (!draft) return;
  sessionStorage.removeItem(key);
  const form = [...document.forms].find((each) => isPost(each) && placeOf(each) === draft.place);
  if (!form || Date.now() - draft.at > LONGEST_MS) return;
  const free = fields(form);
  for (const [name, value] of draft.values) {
    const at = free.findIndex((field) => field.name === name);
    if (at >= 0) fill(free.splice(at, 1)[0], value);
  }
  toast(words.restored, "wait");
}

export function drafts(words) {
  if (hasArrived()) forget();
  restore(words);
  document.addEventListener("submit", keep);
}
