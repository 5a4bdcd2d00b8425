// The page of track label: choosing, accepting, refusing, re-typing, drawing, adjusting; every change is saved at once.

import { AdjustTool, BrushTool, PolygonTool } from "./draw.js";
import { bounds } from "./geometry.js";
import { Keys } from "./keys.js";
import { fill } from "./rle.js";
import { Sheet } from "./sheet.js";
import { UndoStack } from "./undo.js";
import { Viewer } from "./viewer.js";

const $ = id => document.getElementById(id);
const viewer = new Viewer($("viewer"), { label: "image to label" });
const WORDS = { proposed: "waits", accepted: "accepted", changed: "changed", drawn: "drawn", refused: "refused" };
let facts = null, place = -1, sheet = null, chosen = null, lastClass = null, showRefused = false, saving = Promise.resolve(), unsaved = 0;
const undo = new UndoStack(() => {
  $("undo").disabled = !undo.entries.length;
  $("redo").disabled = !undo.undone.length;
});
const sheets = new Map();

async function ask(path, options) {
  const answer = await fetch(path, options), said = await answer.json();
  if (!answer.ok) throw new Error(said.error ?? answer.statusText);
  return said;
}

function tell(words) {
  $("message").textContent = words;
  $("message").hidden = !words;
}

// one after another: the server refuses what does not follow from what it has
function save(name, one) {
  unsaved++;
  $("saved").textContent = "saving";
  saving = saving.then(async () => {
    try {
      const body = JSON.stringify({ name, outlines: one.outlines, done: one.done, revision: one.revision });
      const said = await ask("save", { method: "POST", headers: { "x-insitrack": "1" }, body });
      one.revision = said.revision;
      Object.assign(facts.crops.find(crop => crop.name === name), { done: said.done, begun: true, n_waiting: said.n_waiting, n_kept: said.n_kept });
      tell("");
    } catch (error) {
      tell(`not saved: ${error.message}`);
    }
    unsaved--;
    $("saved").textContent = unsaved ? "saving" : $("message").hidden ? "saved" : "not saved";
    showCrops();
  });
}

function act(change) {
  if (!sheet) return;
  const before = sheet.snapshot();
  change(sheet);
  const after = sheet.snapshot();
  undo.push({ place, before, after });
  save(facts.crops[place].name, sheet);
  show();
}

async function back(entry, side) {
  if (!entry) return;
  if (entry.place !== place) await open(entry.place);
  sheet.restore(entry[side]);
  if (!sheet.get(chosen)) chosen = null;
  save(facts.crops[place].name, sheet);
  show();
}

async function open(at) {
  if (!facts || at < 0 || at >= facts.crops.length) return;
  endTool();
  const crop = facts.crops[at];
  if (!sheets.has(at)) sheets.set(at, new Sheet(await ask(`sheet?place=${at}`), crop.width, crop.height));
  const image = new Image();
  image.src = `image?place=${at}`;
  try { await image.decode(); } catch { tell(`${crop.name}: the image cannot be read`); return; }
  [place, sheet, chosen] = [at, sheets.get(at), null];
  viewer.fitted = true;
  viewer.setPicture(image, crop.width, crop.height);
  viewer.fit();
  history.replaceState(null, "", `#${at + 1}`);
  show();
}

function choose(id, look = false) {
  chosen = id;
  const one = sheet?.get(id);
  if (one && look) {
    const [l, t, r, b] = bounds(sheet.rings(one));
    viewer.lookAt(l - 20, t - 20, r + 20, b + 20);
  }
  show();
}

function onward(way = 1) {
  const next = sheet?.next(chosen, way);
  if (next) choose(next.id, true);
  else { chosen = null; show(); }
}

function decide(name) {
  if (!sheet?.get(chosen)) { onward(); return; }
  const id = chosen, next = sheet.next(id)?.id;
  act(one => one[name](id));
  choose(next !== undefined && next !== id ? next : sheet.get(id) && name !== "refuse" ? id : null, true);
}

function retype(index) {
  const name = facts?.classes[index]?.name;
  if (!name) return;
  lastClass = name;
  if (sheet?.get(chosen)) act(one => one.retype(chosen, name));
  else show();
}

const newClass = () => lastClass ?? sheet?.usual ?? facts.classes.at(-1).name;
const whole = () => [0, 0, viewer.width, viewer.height];
const maskOf = shape => shape.kind === "mask" ? shape.mask : fill(shape.rings, whole());

function startTool(kind) {
  if (!sheet) return;
  endTool();
  const one = sheet.get(chosen), changes = kind === "adjust" || (kind === "brush" && one);
  if (kind === "adjust" && !one) { tell("choose an outline to adjust first"); return; }
  const done = shape => {
    const id = changes ? one.id : null, mask = shape && maskOf(shape);
    endTool();
    if (!shape) return;
    if (!mask) { tell("this outline is empty; draw it again"); return; }
    if (id === null) act(it => { chosen = it.draw(mask, newClass()); });
    else act(it => it.reshape(id, mask));
  };
  const rings = changes ? sheet.rings(one) : [];
  viewer.tool = kind === "polygon" ? new PolygonTool(viewer, done) : kind === "brush" ? new BrushTool(viewer, done, { rings }) : new AdjustTool(viewer, done, { rings });
  viewer.toolKind = kind;
  tell("");
  showTools();
  viewer.redraw();
}

function endTool() {
  viewer.tool = viewer.toolKind = null;
  viewer.overlay.style.cursor = "";
  showTools();
  viewer.redraw();
}

async function finish() {
  if (!sheet) return;
  if (sheet.done) { act(one => one.finish(false)); return; }
  let state = null;
  if (sheet.waiting) {
    const n = sheet.waiting;
    $("ask-words").textContent = `${n} ${n === 1 ? "outline waits" : "outlines wait"}. What is neither accepted nor refused cannot be a label.`;
    $("ask").returnValue = "";
    $("ask").showModal();
    await new Promise(resolve => $("ask").addEventListener("close", resolve, { once: true }));
    state = $("ask").returnValue;
    if (!state) { onward(); return; }
  }
  act(one => { if (state) one.settle(state); one.finish(true); });
  const open_ = facts.crops.findIndex((crop, at) => at !== place && !(sheets.get(at)?.done ?? crop.done));
  if (open_ >= 0) await open(open_);
  else tell("all images are labelled: close the page and stop the command with Ctrl+C, then track train");
}

const element = (tag, more = {}, ...inside) => { const one = Object.assign(document.createElement(tag), more); one.append(...inside); return one; };
const colourOf = name => facts.classes.find(one => one.name === name)?.colour ?? "#fff";

function showTools() {
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === viewer.toolKind));
  $("tool-done").hidden = $("tool-cancel").hidden = !viewer.tool;
}

function showCrops() {
  const n = facts.crops.length, isDone = (crop, at) => sheets.get(at)?.done ?? crop.done, done = facts.crops.filter(isDone).length;
  $("done-words").textContent = `${done} of ${n} done`;
  $("bar").style.width = `${100 * done / Math.max(1, n)}%`;
  $("progress").setAttribute("aria-label", `${done} of ${n} images are labelled`);
  const list = $("crops");
  if (list.children.length !== n) {
    list.replaceChildren(...facts.crops.map((crop, at) => element("li", {}, element("button", { onclick: () => open(at), title: crop.name },
      element("img", { src: `image?place=${at}`, alt: "", loading: "lazy" }), element("span", { className: "words" })))));
  }
  for (const [at, crop] of facts.crops.entries()) {
    const button = list.children[at].firstChild, it = sheets.get(at);
    button.setAttribute("aria-current", String(at === place));
    button.classList.toggle("is-done", isDone(crop, at));
    button.setAttribute("aria-label", `image ${at + 1}, frame ${crop.frame}, ${isDone(crop, at) ? "done" : "not done"}`);
    const state = isDone(crop, at) ? `done, ${it?.kept ?? crop.n_kept}` : `${it?.waiting ?? crop.n_waiting} wait`;
    button.lastChild.replaceChildren(element("span", { textContent: `frame ${crop.frame}` }), element("br"), element("span", { className: "state", textContent: state }));
  }
}

function showOne(one) {
  $("one-title").textContent = one ? one.defect_class.replaceAll("_", " ") : viewer.tool ? "drawing" : "no outline chosen";
  const chance = one?.probability === null ? "" : `, probability ${one?.probability.toFixed(2)}`;
  $("one-words").textContent = one ? `${WORDS[one.state]}${chance}` : "Click an outline, or press N for the next one that waits.";
  for (const id of ["accept", "refuse"]) $(id).disabled = !one;
  $("reset").disabled = !one || !sheet.start.has(one.id);
  for (const [i, button] of [...$("classes").children].entries()) {
    button.setAttribute("aria-pressed", String((one?.defect_class ?? newClass()) === facts.classes[i].name));
  }
}

function show() {
  if (!sheet) return;
  const crop = facts.crops[place], one = sheet.get(chosen);
  showCrops();
  $("crop-title").textContent = crop.name;
  const scale = crop.nm_per_px === null ? "scale not known" : `${crop.nm_per_px.toPrecision(3)} nm/px`;
  $("crop-words").textContent = `frame ${crop.frame}, ${crop.t_s === null ? "" : `${crop.t_s.toPrecision(4)} s, `}${crop.width} x ${crop.height} px, ${scale}. ${sheet.kept} kept, ${sheet.waiting} wait.`;
  $("finish").replaceChildren(sheet.done ? "done: open it again " : "everything here is labelled ", element("kbd", { textContent: "F" }));
  $("finish").classList.toggle("go", !sheet.done);
  showOne(one);
  const listed = sheet.byDoubt().filter(it => showRefused || it.state !== "refused" || it.id === chosen);
  viewer.selected = new Set(one ? [one.id] : []);
  viewer.setOutlines(listed.map(it => ({
    id: it.id, rings: sheet.rings(it), colour: it.state === "refused" ? "#9aa4b0" : colourOf(it.defect_class),
    text: it.id === chosen ? it.defect_class.replaceAll("_", " ") : "", dashed: it.state === "proposed", faint: it.state === "refused",
  })));
  $("list").replaceChildren(...listed.map(it => {
    const row = element("li", { onclick: () => choose(it.id, true), className: `is-${it.state}` },
      element("span", { className: "swatch" }), element("span", { className: "name", textContent: it.defect_class.replaceAll("_", " ") }),
      element("span", { className: "soft", textContent: it.state === "proposed" ? `${WORDS.proposed}, ${it.probability?.toFixed(2)}` : WORDS[it.state] }));
    row.firstChild.style.background = colourOf(it.defect_class);
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(it.id === chosen));
    return row;
  }));
  const row = $("list").querySelector("[aria-selected=true]");
  if (row) {  // the list alone scrolls, not the page of a phone
    const top = row.offsetTop - $("list").offsetTop, seen = $("list").clientHeight;
    if (top < $("list").scrollTop || top + row.offsetHeight > $("list").scrollTop + seen) $("list").scrollTop = top - seen / 2;
  }
}

function toggle(id, value) {
  $(id).setAttribute("aria-pressed", String(value));
  return value;
}
const flipOutlines = () => { viewer.showOutlines = toggle("outlines", !viewer.showOutlines); viewer.redraw(); };
const flipRefused = () => { showRefused = toggle("refused", !showRefused); show(); };
const stepBack = () => back(undo.undo(), "before"), stepAgain = () => back(undo.redo(), "after");

const keys = new Keys([
  { keys: ["a", "Enter"], does: "accept, and on to the next", group: "Outline", run: () => decide("accept") },
  { keys: ["x", "Delete", "Backspace"], does: "refuse, or remove what was drawn", group: "Outline", run: () => decide("refuse") },
  { keys: ["n"], does: "next one that waits", group: "Outline", run: () => onward(1) },
  { keys: ["b"], does: "the one before", group: "Outline", run: () => onward(-1) },
  { keys: ["o"], does: "as the model had it", group: "Outline", run: () => sheet?.start.has(chosen) && act(one => one.reset(chosen)) },
  { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], does: "its class, and that of the next one drawn", group: "Outline", run: event => retype(Number(event.key) - 1) },
  { keys: ["d"], does: "draw: click corners, or drag around it", group: "Draw", run: () => startTool("polygon") },
  { keys: ["g"], does: "paint; with Alt rub out, [ ] size", group: "Draw", run: () => startTool("brush") },
  { keys: ["e"], does: "adjust corners of the chosen one", group: "Draw", run: () => startTool("adjust") },
  { keys: ["Enter", "Escape"], does: "done; leave it", group: "Draw" },
  { keys: ["ArrowRight"], does: "next image", group: "Images", run: () => open(place + 1) },
  { keys: ["ArrowLeft"], does: "image before", group: "Images", run: () => open(place - 1) },
  { keys: ["f"], does: "everything in it is labelled", group: "Images", run: finish },
  { keys: ["Ctrl+z"], does: "undo", group: "Images", run: stepBack },
  { keys: ["Ctrl+Shift+z", "Ctrl+y"], does: "redo", group: "Images", run: stepAgain },
  { keys: ["h"], does: "outlines off and on", group: "View", run: flipOutlines },
  { keys: ["r"], does: "show what was refused", group: "View", run: flipRefused },
  { keys: ["+", "="], does: "zoom in (or the wheel)", group: "View", run: () => viewer.zoom(1.25) },
  { keys: ["-"], does: "zoom out", group: "View", run: () => viewer.zoom(0.8) },
  { keys: ["0"], does: "whole image", group: "View", run: () => viewer.fit() },
  { keys: ["Escape"], does: "choose nothing", group: "View", run: () => choose(null) },
  { keys: ["?", "Shift+?"], does: "these keys", group: "View", run: () => help.showModal() },
]);
keys.first = event => Boolean(viewer.tool?.key?.(event));
const help = keys.sheet();
document.body.append(help);

viewer.addEventListener("pick", event => choose(event.detail.outline?.id ?? null));
for (const [id, run] of Object.entries({
  undo: stepBack, redo: stepAgain, keys: () => help.showModal(), finish, fit: () => viewer.fit(), outlines: flipOutlines, refused: flipRefused,
  accept: () => decide("accept"), refuse: () => decide("refuse"), reset: () => act(one => one.reset(chosen)),
  "tool-done": () => viewer.tool?.close(), "tool-cancel": endTool,
})) $(id).onclick = run;
for (const button of document.querySelectorAll("[data-tool]")) button.onclick = () => startTool(button.dataset.tool);
for (const id of ["brightness", "contrast"]) $(id).oninput = () => viewer.setContrast(Number($("brightness").value), Number($("contrast").value));
window.addEventListener("beforeunload", event => { if (unsaved) event.preventDefault(); });

try {
  facts = await ask("summary");
  document.title = `label ${facts.folder}`;
  $("title").textContent = `${facts.folder}${facts.annotator ? `, as ${facts.annotator}` : ""}`;
  $("classes").replaceChildren(...facts.classes.map(({ name, colour }, i) => {
    const button = element("button", { onclick: () => retype(i) }, element("span", { className: "swatch" }), name.replaceAll("_", " "), element("kbd", { textContent: String(i + 1) }));
    button.firstChild.style.background = colour;
    return button;
  }));
  undo.reset();
  const asked = Number(location.hash.slice(1)) - 1, first = facts.crops.findIndex(crop => !crop.done);
  await open(asked >= 0 && asked < facts.crops.length ? asked : Math.max(0, first));
} catch (error) {
  tell(`cannot be shown: ${error.message}`);
}
