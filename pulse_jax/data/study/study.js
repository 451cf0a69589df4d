"use strict";
// Texts are only ever set as text, and of what was saved only names of this page's own pictures are taken.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const link = name => "./" + encodeURIComponent(name);
const known = new Set(data.pictures);
const isScore = value => Number.isInteger(value) && value >= 1 && value <= 5;

// The theme: the system's, until the button says otherwise.
const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const themed = theme => { if (theme) document.documentElement.dataset.theme = theme; $("theme").textContent = isDark() ? "Light theme" : "Dark theme"; };
let stored = null;
try { stored = localStorage.getItem("theme"); } catch { /* not kept, and that is all */ }
themed(["light", "dark"].includes(stored) ? stored : null);
$("theme").onclick = () => {
  themed(isDark() ? "light" : "dark");
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* as above */ }
};

// What is kept: of every rater the scores, by picture.
const place = `pulse-jax study ${data.study}`;
let kept = { current: null, raters: Object.create(null) }, isSaved = true, keeps = true;
function cleaned(scores) {
  const found = new Map();
  for (const [name, score] of scores) if (known.has(name) && isScore(score)) found.set(name, score);
  return found;
}
function recall() {
  try {
    const read = JSON.parse(localStorage.getItem(place) || "{}");
    for (const [rater, scores] of Object.entries(read.raters || {})) kept.raters[rater] = cleaned(Object.entries(scores));
    if (read.current in kept.raters) kept.current = read.current;
  } catch { kept = { current: null, raters: Object.create(null) }; }
}
function keep() {
  const raters = Object.fromEntries(Object.entries(kept.raters).map(([rater, scores]) => [rater, Object.fromEntries(scores)]));
  try { localStorage.setItem(place, JSON.stringify({ current: kept.current, raters })); } catch {
    keeps = false;
    warn("This browser does not keep ratings: save them before you close the page.");
  }
}
function warn(text) { $("warning").textContent = text; $("warning").hidden = !text; }
addEventListener("beforeunload", event => { if (!keeps && !isSaved) event.preventDefault(); });

// Another order for every rater, the same one whenever that rater comes back.
function shuffled(names, word) {
  let state = 2166136261;
  for (const byte of new TextEncoder().encode(word)) state = Math.imul(state ^ byte, 16777619);
  const random = () => {
    state = state + 0x9e3779b9 | 0;
    let mixed = Math.imul(state ^ state >>> 16, 0x21f0aaad);
    mixed = Math.imul(mixed ^ mixed >>> 15, 0x735a2d97);
    return ((mixed ^ mixed >>> 15) >>> 0) / 2 ** 32;
  };
  const order = [...names];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

let order = [], at = 0, view = "";
const scores = () => kept.raters[kept.current];
const firstMissing = () => order.findIndex(name => !scores().has(name));

function show(name, focus) {
  view = name;
  for (const one of ["welcome", "examples", "rating", "done"]) $(one).hidden = one !== name;
  $("save").hidden = !["examples", "rating"].includes(name) || !scores().size;
  $("count").textContent = name === "welcome" ? "" : `${kept.current} · ${scores().size} of ${order.length} rated`;
  scrollTo(0, 0);
  if (focus) $(focus).focus();
}

function begin(rater) {
  kept.current = rater;
  kept.raters[rater] ||= new Map();
  order = shuffled(data.pictures, `${data.study} ${rater}`);
  keep();
  if (data.examples.length && !scores().size) show("examples", "examples-title");
  else goOn();
}

function goOn() {
  at = firstMissing();
  if (at < 0) finish(); else turn(at);
}

const load = name => {
  const image = new Image();
  image.src = link(name);
  return image;
};
let ahead = null;

function turn(to) {
  at = to;
  const name = order[at], image = $("picture"), score = scores().get(name);
  $("place").textContent = image.alt = `Picture ${at + 1} of ${order.length}`;
  $("missing").hidden = true;
  image.hidden = false;
  image.src = link(name);
  for (const button of $("scores").children) button.setAttribute("aria-pressed", String(+button.value === score));
  $("progress").max = order.length;
  $("progress").value = scores().size;
  $("back").disabled = at === 0;
  $("see-examples").hidden = !data.examples.length;
  show("rating", view === "rating" ? null : "place");
  $("count").textContent = `Picture ${at + 1} of ${order.length} · ${scores().size} rated`;
  if (at + 1 < order.length) ahead = load(order[at + 1]);
}

// Small pictures are shown larger, each by a whole number of times.
$("picture").addEventListener("load", event => {
  const image = event.target, side = Math.max(image.naturalWidth, image.naturalHeight);
  image.style.width = `${image.naturalWidth * Math.max(1, Math.round(448 / side))}px`;
});
$("picture").addEventListener("error", () => {
  $("picture").hidden = true;
  $("missing").textContent = "This picture is missing: this page needs all files of its folder beside it.";
  $("missing").hidden = false;
});

function rate(score) {
  const image = $("picture");
  // Nobody rates what is not yet there.
  if (view !== "rating" || !image.complete || !image.naturalWidth || image.hidden) return;
  scores().set(order[at], score);
  isSaved = false;
  keep();
  forth();
}
function forth() { if (at + 1 < order.length) turn(at + 1); else finish(); }
function back() { if (at > 0) turn(at - 1); }

function finish() {
  const left = order.length - scores().size;
  $("done-title").textContent = left ? `${left} of ${order.length} are not rated yet` : "All pictures are rated. Thank you";
  $("done-text").textContent = left ? "Rate them too, or save what there is; you can go on later." :
    "Save your ratings as a file, and give it to whoever asked you.";
  $("go-missing").hidden = !left;
  show("done", "done-title");
}

function save() {
  const ratings = order.filter(name => scores().has(name)).map(name => ({ picture: name, score: scores().get(name) }));
  const told = { program: "pulse-jax", format: 1, study: data.study, rater: kept.current, ratings };
  const url = URL.createObjectURL(new Blob([JSON.stringify(told, null, 1) + "\n"], { type: "application/json" }));
  const word = kept.current.replace(/[^\p{L}\p{N}_-]+/gu, "_").slice(0, 40);
  const a = document.createElement("a");
  a.href = url;
  a.download = `ratings_${word}_${data.study.slice(0, 8)}.json`;
  a.click();
  isSaved = true;
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function resume(file) {
  let read = null;
  try { read = file.size < 2 ** 26 ? JSON.parse(await file.text()) : null; } catch { /* told below */ }
  const rater = typeof read?.rater === "string" ? read.rater.trim() : "";
  const isOurs = read?.program === "pulse-jax" && rater && rater.length <= 200 && Array.isArray(read.ratings);
  if (!isOurs) return warn("This is not a file that such a page has saved.");
  if (read.study !== data.study) return warn("This file belongs to another study.");
  warn("");
  const found = cleaned(read.ratings.map(one => [one?.picture, one?.score]));
  kept.raters[rater] = new Map([...(kept.raters[rater] || []), ...found]);
  begin(rater);
}

for (const example of data.examples) {
  const item = document.createElement("li"), image = load(example.picture);
  image.alt = `Example of a ${example.score}`;
  item.append(image);
  $(example.score === 1 ? "worst" : "best").append(item);
}
for (let score = 1; score <= 5; score++) {
  const button = document.createElement("button");
  button.type = "button";
  button.value = button.textContent = score;
  button.setAttribute("aria-label", `${score}${score === 1 ? ", worst" : score === 5 ? ", best" : ""}`);
  button.onclick = () => rate(score);
  $("scores").append(button);
}
$("begin").onsubmit = event => {
  event.preventDefault();
  const rater = $("rater").value.trim();
  if (rater) begin(rater); else $("rater").focus();
};
$("load").onchange = event => { if (event.target.files[0]) resume(event.target.files[0]); event.target.value = ""; };
$("rate-now").onclick = $("go-missing").onclick = goOn;
$("see-examples").onclick = () => show("examples", "examples-title");
$("save").onclick = $("save-now").onclick = save;
$("back").onclick = back;
$("next").onclick = forth;
$("look-back").onclick = () => turn(order.length - 1);
$("another").onclick = () => { kept.current = null; keep(); $("rater").value = ""; show("welcome", "rater"); };
document.addEventListener("keydown", event => {
  if (view !== "rating" || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const act = { ArrowLeft: back, ArrowRight: forth }[event.key] || (/^[1-5]$/.test(event.key) && (() => rate(+event.key)));
  if (act) { event.preventDefault(); act(); }
});

recall();
if (kept.current !== null) begin(kept.current); else show("welcome");
