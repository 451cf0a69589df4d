"use strict";
// Texts of files are only ever set as text, and paths only as relative links: nothing of a run is read as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.filter(child => child != null));
  return element;
};
const link = path => "./" + path.split("/").map(encodeURIComponent).join("/");
const isNumber = value => typeof value === "number";
const short = value => !isNumber(value) ? "not finite" : value === 0 ? "0" : value >= 0.01 && value < 1e4 ? String(+value.toPrecision(2))
  : value.toExponential(1);
const verdict = one => one.feasible ? "✓ feasible" : "✗ missed";
// The lowest error, as lists are sorted; what has none comes last.
const errorOf = one => isNumber(one.downscaling_error) ? one.downscaling_error : Infinity;
const plausibilityOf = one => isNumber(one.plausibility) ? one.plausibility : -Infinity;
// Below it 99 % of the generator's own samples are more usual.
const UNUSUAL = 1, isUnusual = one => isNumber(one.plausibility) && one.plausibility < UNUSUAL;
const percent = value => `${short(value)} %`;
const picture = (path, alt, kind) => make("img", { src: link(path), alt, loading: "lazy", decoding: "async", class: kind });

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

function plot(width, height, label) {
  const create = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const svg = create("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const draw = (tag, attributes, text) => {
    const element = svg.appendChild(create(tag, attributes));
    if (text) element.textContent = text;
  };
  return { svg, draw };
}

// How many solutions have which error, on a logarithmic scale.
function histogram() {
  const errors = data.items.flatMap(item => item.solutions).map(errorOf).filter(error => error < Infinity).map(error => Math.log10(Math.max(error, 1e-9)));
  if (!errors.length) return;
  const eps = Math.log10(data.eps), bins = 36, width = 520, height = 150, base = 118;
  let low = eps, high = eps;
  for (const error of errors) { low = Math.min(low, error); high = Math.max(high, error); }
  // A bin begins where solutions are no longer feasible.
  const size = (high - low + 0.2) / (bins - 1);
  low = eps - Math.ceil((eps - low + 0.1) / size) * size; high = low + bins * size;
  const counts = Array(bins).fill(0), x = value => 8 + (value - low) / (high - low) * (width - 16);
  for (const error of errors) counts[Math.min(bins - 1, Math.max(0, Math.ceil((error - low) / size - 1e-9) - 1))]++;
  const most = Math.max(...counts), wide = (width - 16) / bins;
  const below = errors.filter(error => error <= eps).length;
  const { svg, draw } = plot(width, height, `Histogram of downscaling errors: ${below} of ${errors.length} are at most ${data.eps}`);
  counts.forEach((count, i) => {
    const tall = count && Math.max(2, count / most * (base - 24));
    if (count) draw("rect", { x: 9 + i * wide, y: base - tall, width: wide - 2, height: tall, rx: 2,
      fill: low + (i + 0.5) * size <= eps ? "var(--good)" : "var(--missed)" });
  });
  draw("line", { x1: 8, x2: width - 8, y1: base, y2: base, stroke: "var(--line)" });
  draw("line", { x1: x(eps), x2: x(eps), y1: 16, y2: base, stroke: "var(--ink)", "stroke-dasharray": "3 3" });
  const right = x(eps) > width / 2;
  draw("text", { x: x(eps) + (right ? -6 : 6), y: 14, "text-anchor": right ? "end" : "start" }, `feasible: at most ${data.eps}`);
  draw("text", { x: 8, y: base + 18 }, short(10 ** low));
  draw("text", { x: width - 8, y: base + 18, "text-anchor": "end" }, short(10 ** high));
  $("plot").prepend(svg);
  $("plot").hidden = false;
}

// The errors of a search on its way, as points [look, error]: of every so many looks, a power of two, and of the last.
function curveOf(one) {
  const curve = one.curve || [];
  let stride = 1;
  while (stride < one.steps && Math.ceil((one.steps - 1) / stride) + 1 > curve.length) stride *= 2;
  return curve.map((error, i) => [Math.min(i * stride, one.steps - 1) + 1, error]).filter(([, error]) => isNumber(error) && error > 0);
}

// One solution's curve, those of the input's other solutions behind it.
function curves(item, number) {
  const all = item.solutions.map(curveOf), mine = all[number];
  $("curve").hidden = mine.length < 2;
  if (mine.length < 2) return;
  const width = 460, height = 190, left = 46, right = 14, top = 14, base = 154;
  let least = data.eps, most = data.eps, looks = 1;
  for (const [look, error] of all.flat()) {
    looks = Math.max(looks, look);
    least = Math.min(least, error);
    most = Math.max(most, error);
  }
  const low = Math.log10(least) - 0.05, high = Math.log10(most) + 0.05;
  const x = look => left + (look - 1) / Math.max(1, looks - 1) * (width - left - right);
  const y = error => top + (high - Math.log10(error)) / (high - low) * (base - top);
  const [last, reached] = mine.at(-1);
  const { svg, draw } = plot(width, height, `Error of the search at each of its ${last} looks: ${short(mine[0][1])} at the first, ${short(reached)} at the last`);
  for (let power = Math.floor(low); power <= high; power++) for (const digit of high - low < 1.5 ? [1, 2, 5] : [1]) {
    const value = Number(`${digit}e${power}`), at = Math.log10(value);
    if (at < low || at > high) continue;
    draw("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "var(--line)" });
    draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, short(value));
  }
  draw("line", { x1: left, x2: width - right, y1: y(data.eps), y2: y(data.eps), stroke: "var(--ink)", "stroke-dasharray": "3 3" });
  const line = (points, attributes) => draw("polyline", { points: points.map(([look, error]) => `${x(look).toFixed(1)},${y(error).toFixed(1)}`).join(" "),
    fill: "none", "stroke-linejoin": "round", ...attributes });
  all.forEach((points, i) => { if (i !== number && points.length > 1) line(points, { stroke: "var(--soft)", "stroke-opacity": 0.4 }); });
  line(mine, { stroke: "var(--accent)", "stroke-width": 2.5 });
  draw("circle", { cx: x(last), cy: y(reached), r: 4, fill: "var(--accent)" });
  draw("text", { x: left, y: base + 20 }, "look 1");
  draw("text", { x: width - right, y: base + 20, "text-anchor": "end" }, String(looks));
  $("curve").querySelector("svg")?.remove();
  $("curve").prepend(svg);
}

// The list: rows are made as they are scrolled to.
const presetOf = (item, one) => one.preset || item.preset;
const presets = [...new Set(data.items.flatMap(item => item.solutions.map(one => presetOf(item, one))).filter(Boolean))];
const groups = [...new Set(data.items.map(item => item.group).filter(Boolean))];
const nameOf = (item, i) => item.solutions[i].preset || `Solution ${i + 1}`;
const hasPlausibility = data.items.some(item => item.solutions.some(one => isNumber(one.plausibility)));
let shown = [], made = 0;
const least = entry => Math.min(...entry.solutions.map(errorOf));
const best = entry => Math.max(...entry.solutions.map(plausibilityOf));
const isMissed = ({ item }) => item.solutions.every(one => !one.feasible);
const orders = {
  listed: null,
  missed: (a, b) => isMissed(b) - isMissed(a),
  lowest: (a, b) => (least(a) - least(b)) || 0,
  highest: (a, b) => (least(b) - least(a)) || 0,
  plausible: (a, b) => (best(b) - best(a)) || 0,
};

function choose() {
  const text = $("find").value.toLowerCase(), wanted = $("verdict").value, preset = $("preset").value, group = $("group").value;
  shown = [];
  for (const item of data.items) {
    if (text && !item.title.toLowerCase().includes(text) || group && item.group !== group) continue;
    if (wanted === "none" && !isMissed({ item })) continue;
    const solutions = item.solutions.filter(one => (!preset || presetOf(item, one) === preset)
      && (wanted === "feasible" ? one.feasible : wanted === "missed" ? !one.feasible : true));
    if (solutions.length) shown.push({ item, solutions });
  }
  const order = $("sort").value;
  if (orders[order]) {
    shown.sort(orders[order]);
    const sign = order === "highest" ? -1 : 1;
    if (order !== "missed") for (const entry of shown) entry.solutions.sort(order === "plausible" ? (a, b) => (plausibilityOf(b) - plausibilityOf(a)) || 0
      : (a, b) => sign * (errorOf(a) - errorOf(b)) || 0);
  }
  const solutions = shown.reduce((sum, entry) => sum + entry.solutions.length, 0);
  $("count").textContent = `${shown.length} of ${data.items.length} inputs, ${solutions} solution${solutions === 1 ? "" : "s"}`;
  $("list").replaceChildren();
  made = 0;
  more();
}

function more() {
  const part = document.createDocumentFragment();
  for (const end = Math.min(shown.length, made + 24); made < end; made++) part.append(row(shown[made]));
  $("list").append(part);
  $("end").hidden = made >= shown.length;
}

function tile(item, one) {
  const number = item.solutions.indexOf(one) + 1;
  const lines = make("span", {}, one.preset ? make("strong", {}, one.preset) : null, one.preset ? make("br") : null, make("span", { class: one.feasible ? "good" : "missed" }, verdict(one)), make("br"),
    make("span", { class: "soft num" }, `error ${short(one.downscaling_error)}`));
  if (isNumber(one.plausibility)) lines.append(make("br"), isUnusual(one) ? make("span", { class: "missed num" }, "⚠ unusual")
    : make("span", { class: "soft num" }, `plausible ${percent(one.plausibility)}`));
  const button = make("button", { class: "tile", type: "button" }, picture(one.image, `${nameOf(item, number - 1)} of ${item.title}`, "big"),
    make("span", { class: "cap" }, picture(one.downscaled, "", "small-picture crisp"), lines));
  button.onclick = () => open(item, number - 1);
  return make("li", {}, button);
}

function still(path, name, detail, kind = "") {
  return make("li", {}, make("div", { class: "tile" }, picture(path, name, `big ${kind}`),
    make("span", { class: "cap" }, make("span", {}, name, make("br"), make("span", { class: "soft" }, detail)))));
}

function row({ item, solutions }) {
  const feasible = item.solutions.filter(one => one.feasible).length;
  const told = make("p", { class: "small soft" });
  told.append(make("span", feasible ? {} : { class: "missed" }, feasible ? `${feasible} of ${item.solutions.length} feasible`
    : `✗ none of ${item.solutions.length} feasible`), ...[item.group, item.preset, ...item.notes].filter(Boolean).map(text => ` · ${text}`));
  const list = make("ul", { class: "strip" }, still(item.solved, "Input", `${item.size} × ${item.size} pixels`, "crisp"),
    ...solutions.map(one => tile(item, one)), item.original ? still(item.original, "Original", "not shown to the search") : null);
  return make("article", { class: "row" }, make("h3", {}, item.title), told, list);
}

// Arrow keys: along the solutions of an input, and to those of the inputs above and below.
$("list").addEventListener("keydown", event => {
  const button = event.target.closest("button.tile");
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key], along = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!button || !(sideways || along)) return;
  const article = button.closest(".row"), mine = [...article.querySelectorAll("button.tile")], place = mine.indexOf(button);
  const next = sideways < 0 || along < 0 ? "previousElementSibling" : "nextElementSibling";
  let target = sideways && mine[place + sideways];
  if (!target) {
    if (next === "nextElementSibling" && !article[next]) more();
    const others = article[next] ? [...article[next].querySelectorAll("button.tile")] : [];
    target = sideways < 0 ? others.at(-1) : sideways ? others[0] : others[Math.min(place, others.length - 1)];
  }
  event.preventDefault();
  if (target) { target.focus(); target.scrollIntoView({ block: "nearest" }); }
});

// One solution in full, and any two pictures of its input against each other.
let at = null;
const pictures = item => [
  [item.solved, "Input"], ...(item.original ? [[item.original, "Original"]] : []),
  ...item.solutions.flatMap((one, i) => [[one.image, nameOf(item, i)], [one.downscaled, `${nameOf(item, i)}, downscaled`],
    ...(one.variations || []).map(path => [path, `${nameOf(item, i)}, other noise`])]),
];

function open(item, number) {
  const fresh = !at || at.item !== item;
  at = { item, number };
  const one = item.solutions[number];
  $("dialog-title").textContent = `${item.title}: ${one.preset || `solution ${number + 1} of ${item.solutions.length}`}`;
  for (const name of ["left", "right"]) $(name).replaceChildren(...pictures(item).map(([path, label]) => make("option", { value: path }, label)));
  $("left").value = fresh || !at.left ? item.solved : $("left").value;
  $("right").value = one.image;
  const rows = [["Verdict", verdict(one)], ["Downscaling error", `${isNumber(one.downscaling_error) ? one.downscaling_error.toPrecision(4) : "not finite"} (at most ${data.eps} is feasible)`],
    ["Steps", `${one.steps}, ended as ${one.status}`], ["Loss", short(one.loss)], ["Search", `restart ${one.restart}`]];
  if (one.moved) rows.push(["Moved", `${short(255 * one.moved)} of 255 levels`]);
  if (isNumber(one.plausibility)) rows.push(["Plausibility", `${isUnusual(one) ? "⚠ unusual: " : ""}${percent(one.plausibility)} of the generator's own samples are less usual`]);
  if (isNumber(one.latent_plausibility)) rows.push(["Its w", `${percent(one.latent_plausibility)} of samples have a larger norm under the flow`]);
  rows.push(...(one.measures || []));
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  $("free").disabled = item.solutions.filter(one => one.feasible).length < 2;
  if ($("free").disabled && $("free").checked) $("slide").checked = true;
  curves(item, number);
  $("command").textContent = one.command;
  const links = [["The picture", one.image], [`Its latent: row ${one.row ?? number} of solutions.npz`, one.latents || item.latents], ["The input's sheet", item.sheet]];
  $("links").replaceChildren(...links.filter(([, path]) => path).map(([name, path]) => make("li", {}, make("a", { href: link(path) }, name))));
  compare();
  if (!$("dialog").open) $("dialog").showModal();
}

function compare() {
  const crisp = path => path === at.item.solved || at.item.solutions.some(one => one.downscaled === path);
  for (const [name, side] of [["left", "a"], ["right", "b"]]) {
    const path = $(name).value, image = $(side);
    image.src = link(path);
    image.alt = $(name).selectedOptions[0].textContent;
    image.classList.toggle("crisp", crisp(path));
  }
  const free = $("free").checked, difference = free || $("difference").checked;
  $("stage").classList.toggle("difference", difference);
  $("spread").hidden = !free;
  $("pick").style.visibility = free ? "hidden" : "";  // its place stays
  $("cut-label").hidden = difference;
  $("gain-label").hidden = !difference;
  if (free) spread(at.item);
  $("stage").style.setProperty("--cut", `${$("cut").value}%`);
  $("stage").style.setProperty("--gain", $("gain").value);
  $("gain-value").textContent = `${$("gain").value} times as bright`;
}

// How far an input's feasible solutions are from each other, on average: each from the next, the last from the first.
let spreadOf = null;
async function spread(item) {
  if (spreadOf === item) return;
  spreadOf = item;
  const canvas = $("spread"), feasible = item.solutions.filter(one => one.feasible);
  canvas.setAttribute("aria-label", `Where the ${feasible.length} feasible solutions of ${item.title} differ`);
  canvas.width = 0;  // nothing of another input, meanwhile
  const decoded = async one => {
    const image = new Image();
    image.src = link(one.image);
    await image.decode();
    return image;
  };
  try {
    const first = await decoded(feasible[0]), { naturalWidth: width, naturalHeight: height } = first;
    const pair = new OffscreenCanvas(width, height).getContext("2d"), sum = new OffscreenCanvas(width, height).getContext("2d");
    let image = first;
    for (let i = 0; i < feasible.length; i++) {  // of many, no more than three are in memory
      const next = i + 1 < feasible.length ? await decoded(feasible[i + 1]) : first;
      if (spreadOf !== item) return;
      pair.globalCompositeOperation = "copy";
      pair.drawImage(image, 0, 0);
      pair.globalCompositeOperation = "difference";
      pair.drawImage(next, 0, 0);
      sum.globalAlpha = 1 / (i + 1);
      sum.drawImage(pair.canvas, 0, 0);
      image = next;
    }
    Object.assign(canvas, { width, height }).getContext("2d").drawImage(sum.canvas, 0, 0);
  } catch {  // a picture is gone: the next look tries again
    if (spreadOf === item) spreadOf = null;
  }
}

const step = by => { const count = at.item.solutions.length; open(at.item, (at.number + by + count) % count); };
$("before").onclick = () => step(-1);
$("after").onclick = () => step(1);
$("close").onclick = () => $("dialog").close();
$("dialog").addEventListener("click", event => { if (event.target === $("dialog")) $("dialog").close(); });
$("dialog").addEventListener("keydown", event => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by && !event.target.matches("input, select")) { event.preventDefault(); step(by); }
});
for (const name of ["left", "right", "cut", "gain", "slide", "difference", "free"]) $(name).addEventListener("input", compare);
$("error-map").onclick = () => {
  $("left").value = at.item.solved;
  $("right").value = at.item.solutions[at.number].downscaled;
  $("difference").checked = true;
  compare();
};
$("copy").onclick = async () => {
  const text = $("command").textContent;
  try { await navigator.clipboard.writeText(text); $("copied").textContent = "Copied"; } catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = document.execCommand("copy") ? "Copied" : "Selected: copy it with the keyboard";
  }
  setTimeout(() => { $("copied").textContent = ""; }, 3000);
};

for (const name of presets) $("preset").append(make("option", { value: name }, name));
for (const name of groups) $("group").append(make("option", { value: name }, name));
$("preset-label").hidden = presets.length < 2;
$("group-label").hidden = groups.length < 2;
if (hasPlausibility) $("sort").append(make("option", { value: "plausible" }, "Plausibility"));
for (const name of ["find", "verdict", "sort", "preset", "group"]) $(name).addEventListener("input", choose);
new IntersectionObserver(entries => { if (entries.some(entry => entry.isIntersecting)) more(); }, { rootMargin: "1500px" }).observe($("end"));
histogram();
choose();
