// The page of a review: what is shown, what is selected, and what becomes of a click or a key.

import { ask, change } from "./api.js";
import { Chosen } from "./chosen.js";
import { Curves } from "./curves.js";
import { AdjustTool, BrushTool, PolygonTool, shapeText } from "./draw.js";
import { FrameCache } from "./frames.js";
import { Keys } from "./keys.js";
import { Lists, told } from "./lists.js";
import { decode, ringsOf } from "./rle.js";
import { Viewer } from "./viewer.js";

const $ = id => document.getElementById(id), words = name => name.replace(/_/g, " ");
const PLAY_MS = 60, HINT_MS = 3500;

class Review {
  constructor(facts) {
    Object.assign(this, { facts, place: 0, shown: -1, scope: "all", span: null, outlines: new Map(), version: -1, busy: Promise.resolve(), timings: {} });
    this.colours = Object.fromEntries(facts.classes.map(one => [one.name, one.colour]));
    this.placeOf = new Map(facts.numbers.map((number, place) => [number, place]));
    this.viewer = new Viewer($("view"), { label: "frame with the outlines of its defects" });
    this.frames = new FrameCache(place => `frame?place=${place}`, facts.numbers.length, { bytes: matchMedia("(max-width: 900px)").matches ? 96e6 : 384e6 });
    this.lists = new Lists($("list"), { colours: this.colours, choose: (id, frame, add) => this.choose(id, frame, add), restore: id => this.edit({ action: "restore", track_id: id }) });
    this.chosen = new Chosen($("chosen"), { classes: facts.classes.map(one => one.name), colours: this.colours, placeOf: number => this.placeOf.get(number), act: (what, value) => this.act(what, value), goTo: number => this.goTo(this.placeOf.get(number)), pictures: !facts.no_frames });
    this.curves = new Curves(facts.curves, t => this.goTo(nearest(facts.t_s, t)));
    this.#page();
    this.#keys();
  }

  get number() { return this.facts.numbers[this.place]; }
  get selected() { return [...this.viewer.selected]; }
  get tracks() { return this.selected.filter(id => !id.startsWith("dropped ")); }

  async start() {
    const { numbers, t_s } = this.facts;
    $("place").max = numbers.length - 1;
    this.viewer.setPicture(null, this.facts.width, this.facts.height);
    this.viewer.fit();
    if (this.facts.no_frames) this.banner(`Outlines on black: ${this.facts.no_frames}`);
    const [state] = await Promise.all([ask("state"), this.goTo(0)]);
    this.take(state);
    this.curves.load();
    this.curves.at(t_s[0]);
    await this.refresh();
    const before = await ask("curves?before=1");
    this.curves.show({ before });
  }

  // what follows from edits: outlines, lists, curves
  async refresh() {
    const began = performance.now();
    this.outlines.clear();
    const parts = [this.paint(), ask("curves").then(now => { this.curves.show({ now }); this.timings.curves = performance.now() - began; })];
    parts.push(ask("tracks").then(tracks => { this.lists.tracks = tracks; this.lists.show(); this.select(this.selected); }));
    if (this.lists.dropped || $("dropped").checked || this.lists.tab === "dropped") parts.push(this.readDropped());
    await Promise.all(parts);
    this.timings.refresh = performance.now() - began;
  }

  async readDropped() { this.lists.dropped = await ask("tracks?dropped=1"); this.lists.show(); }

  take(state) {
    this.version = state.version;
    this.lists.edits = state.edits;
    this.lists.changed = new Set(state.changed);
    $("undo").disabled = !state.edits.length;
    $("redo").disabled = !state.n_undone;
    $("write").disabled = !state.edits.length || state.writing;
    $("write").textContent = state.writing ? "writing…" : "write new run";
    const n = state.edits.length;
    $("saved").textContent = n ? `${n} ${n === 1 ? "edit" : "edits"}, kept in edits.csv` : "no edits";
    if (state.refused) this.banner(state.refused, "bad");
    else if (state.written) this.banner(`The new run is in ${state.written}`, "good");
    if (state.writing) setTimeout(() => ask("state").then(one => this.take(one)), 700);
  }

  // edits go one after another: each stands on the one before
  edit(cells) {
    const began = performance.now();
    this.busy = this.busy.then(async () => {
      const state = await change("edit", Object.fromEntries(Object.entries(cells).map(([key, value]) => [key, String(value)])));
      this.take(state);
      this.hint(told(state.edits.at(-1)));
      await this.#after(state);
      this.timings.edit = performance.now() - began;
      return state.done;
    }).catch(error => { this.hint(error.message, true); return null; });
    return this.busy;
  }

  back(what) {
    this.busy = this.busy.then(async () => {
      const state = await change(what);
      this.take(state);
      if (state.done) this.hint(`${what === "undo" ? "taken back: " : "done again: "}${told(state.done)}`);
      await this.#after(state);
    }).catch(error => this.hint(error.message, true));
    return this.busy;
  }

  async #after() {
    await this.refresh();
    const there = new Set(this.lists.tracks.track_id.map(String));
    this.select(this.selected.filter(id => id.startsWith("dropped ") || there.has(id)));
  }

  async write() {
    try { this.take(await change("write")); } catch (error) { this.hint(error.message, true); }
  }

  async goTo(place, step = Math.sign(place - this.place) || 1) {
    const { numbers, t_s, status } = this.facts, began = performance.now();
    this.place = Math.max(0, Math.min(numbers.length - 1, place));
    $("place").value = this.place;
    const time = t_s[this.place] < 0 ? "" : `, ${t_s[this.place].toFixed(2)} s`;
    $("clock").textContent = `frame ${this.number}${time}${status[this.place] === "processed" ? "" : ", " + status[this.place]}`;
    $("place").setAttribute("aria-valuetext", $("clock").textContent);
    const here = this.place, bitmap = this.frames.get(here);
    if (bitmap) this.viewer.setPicture(bitmap, bitmap.width, bitmap.height);
    this.curves.at(t_s[here]);
    this.chosen.at(this.number);
    if (!this.facts.no_frames) this.frames.around(here, step);
    this.#outlinesAhead(here, step);
    const painted = this.paint();
    this.timings.scrub = performance.now() - began;
    if (!bitmap && !this.facts.no_frames) {
      const late = await this.frames.load(here);
      if (here === this.place) this.viewer.setPicture(late, late?.width ?? this.facts.width, late?.height ?? this.facts.height);
    }
    await painted;
  }

  async paint() {
    const here = this.place, found = this.outlines.get(here);
    const list = Array.isArray(found) ? found : await this.#read(here);
    if (here !== this.place || !list) return;
    this.viewer.setOutlines(list);
    this.shown = here;
  }

  #outlinesAhead(place, step) {
    const way = step < 0 ? -1 : 1;
    for (let k = 1; k <= 10; k++) {
      const next = place + way * k;
      if (next >= 0 && next < this.facts.numbers.length && !this.outlines.has(next) && (this.coming ?? 0) < 3) this.#read(next);
    }
    if (this.outlines.size > 600) for (const old of this.outlines.keys()) if (Math.abs(old - place) > 200) this.outlines.delete(old);
  }

  #read(place) {
    const known = this.outlines.get(place);
    if (known) return known;
    const version = this.version;
    this.coming = (this.coming ?? 0) + 1;
    const reading = ask(`outlines?place=${place}${$("dropped").checked ? "&dropped=1" : ""}`).then(({ rows, dropped }) => {
      const list = [...dropped.map(row => this.#lost(row)), ...rows.map(row => this.#outline(row))];
      if (version === this.version && this.outlines.get(place) === reading) this.outlines.set(place, list);
      return list;
    }).catch(error => { this.outlines.delete(place); this.hint(error.message, true); return null; }).finally(() => { this.coming--; });
    this.outlines.set(place, reading);
    return reading;
  }

  #outline([id, label, observed, probability, x0, y0, width, height, rle]) {
    const rings = ringsOf({ x0, y0, width, height, pixels: decode(rle, width, height) });
    return { id: String(id), rings, colour: this.colours[label], text: String(id), dashed: !observed, label, observed: observed === 1, probability };
  }

  #lost([id, label, x0, y0, width, height, rle]) {
    const rings = ringsOf({ x0, y0, width, height, pixels: decode(rle, width, height) });
    return { id: `dropped ${id}`, rings, colour: "#b8c0ca", text: `? ${id}`, dashed: true, faint: true, label, observed: false };
  }

  select(ids) {
    this.viewer.selected = new Set(ids);
    this.viewer.redraw();
    this.lists.mark(this.viewer.selected);
    $("adjust").disabled = this.tracks.length !== 1;
    if (this.tracks.length === 1) { const facts = this.lists.facts(this.tracks[0]); if (facts) $("newclass").value = facts.defect_class; }
    return this.chosen.show(ids, this.lists.facts(ids[0] ?? ""), this.number).catch(error => this.hint(error.message, true));
  }

  async choose(id, frame, add = false) {
    if (id.startsWith("dropped ") && !$("dropped").checked) { $("dropped").checked = true; this.outlines.clear(); }
    const ids = add ? [...new Set([...this.tracks, id])] : [id];
    const alive = !add && this.viewer.outlines.some(one => one.id === id) && this.lists.tab === "tracks";
    if (!add && !alive) await this.goTo(this.placeOf.get(frame) ?? this.place);
    else await this.paint();
    this.select(ids);
    const found = this.viewer.outlines.find(one => one.id === id);
    if (found) this.viewer.lookAt(...found.box);
  }

  // frames that an edit holds for, as its cells
  #frames(always = false) {
    if (this.scope === "frame" || always && this.scope === "all") return { frame: this.number };
    if (this.scope === "span" && this.span) return { frame: this.span[0], last_frame: this.span[1] };
    return {};
  }

  act(what, value) {
    const [id, other] = this.tracks;
    if (what === "restore") { for (const one of this.selected.filter(name => name.startsWith("dropped "))) this.edit({ action: "restore", track_id: one.slice(8), ...this.#frames() }); return; }
    if (!id) { this.hint("select a track first: click its outline"); return; }
    if (what === "delete") for (const one of this.tracks) this.edit({ action: "delete", track_id: one, ...(value === "frame" ? { frame: this.number } : this.#frames()) });
    else if (what === "class") for (const one of this.tracks) this.edit({ action: "class", track_id: one, defect_class: value, ...this.#frames() });
    else if (what === "split") this.edit({ action: "split", track_id: id, frame: this.number });
    else if (what === "merge") { if (other) this.edit({ action: "merge", track_id: id, other_id: other }); else this.hint("select a second track with Shift and click"); }
    else if (what === "adjust") this.tool("adjust");
  }

  tool(name) {
    const { viewer } = this, was = this.toolName;
    this.#noTool();
    if (name === was || !name) return;
    const id = this.tracks.length === 1 ? this.tracks[0] : null, mine = viewer.outlines.find(one => one.id === id);
    const done = shape => { this.#noTool(); if (shape) this.#drawn(shape, id, mine); };
    if (name === "adjust" && !mine) { this.hint("select a track that has an outline in this frame first"); return; }
    if (name === "draw") viewer.tool = new PolygonTool(viewer, done);
    else if (name === "paint") viewer.tool = new BrushTool(viewer, done, { rings: mine?.rings ?? [] });
    else viewer.tool = new AdjustTool(viewer, done, { rings: mine.rings });
    this.toolName = name;
    $(name).setAttribute("aria-pressed", "true");
    const what = !id ? `a new ${words($("newclass").value)}` : mine?.observed ? `another outline of ${id}` : `what ${id} was in this frame`;
    const how = { draw: "click corners or draw freehand", paint: "paint, Alt rubs out, [ ] size", adjust: "drag corners, edges or all of it; Alt takes a corner out" }[name];
    this.hint(`${name === "adjust" ? `outline of ${id}` : what}: ${how}; Enter when done, Esc to leave`, false, true);
    viewer.overlay.focus({ preventScroll: true });
    viewer.redraw();
  }

  #noTool() {
    this.viewer.tool = null;
    this.toolName = null;
    this.viewer.overlay.style.cursor = "";
    for (const name of ["draw", "paint", "adjust"]) $(name).setAttribute("aria-pressed", "false");
    this.hint("");
    this.viewer.redraw();
  }

  async #drawn(shape, id, mine) {
    const outline = shapeText(shape), frames = this.#frames(true);
    if (id && mine?.observed) { await this.edit({ action: "outline", track_id: id, outline, ...frames }); return; }
    const done = await this.edit({ action: "add", defect_class: $("newclass").value, outline, ...frames, ...(id ? { track_id: id } : {}) });
    if (done && !id) this.select([String(done.new_id)]);
  }

  play() {
    if (this.playing) { clearTimeout(this.playing); this.playing = null; }
    else {
      if (this.place === this.facts.numbers.length - 1) this.goTo(0);
      const next = async () => {
        const began = performance.now();
        if (this.place === this.facts.numbers.length - 1) { this.play(); return; }
        await this.goTo(this.place + 1);
        if (this.playing) this.playing = setTimeout(next, Math.max(0, PLAY_MS - (performance.now() - began)));
      };
      this.playing = setTimeout(next, 0);
    }
    $("play").textContent = this.playing ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", this.playing ? "pause" : "play");
  }

  mark(which) {
    const { numbers } = this.facts, before = this.span ?? [this.number, this.number];
    this.span = which === "from" ? [this.number, Math.max(this.number, before[1])] : [Math.min(this.number, before[0]), this.number];
    if (!numbers.length) return;
    this.setScope("span");
  }

  setScope(scope) {
    this.scope = scope;
    if (scope === "span" && !this.span) this.span = [this.number, this.number];
    document.querySelector(`[name=scope][value=${scope}]`).checked = true;
    if (this.span) { $("from").value = this.span[0]; $("to").value = this.span[1]; }
    const mark = $("spanmark"), last = Math.max(1, this.facts.numbers.length - 1);
    mark.hidden = scope !== "span";
    if (scope === "span") {
      const [from, to] = this.span.map(number => nearest(this.facts.numbers, number) / last);
      mark.style.left = `calc(8px + ${from} * (100% - 16px))`;
      mark.style.width = `max(4px, calc(${to - from} * (100% - 16px)))`;
    }
  }

  hint(text, bad = false, stays = false) {
    clearTimeout(this.hinted);
    $("hint").textContent = text;
    $("hint").style.background = bad ? "var(--hot)" : "";
    if (text && !stays) this.hinted = setTimeout(() => { $("hint").textContent = ""; }, bad ? 2 * HINT_MS : HINT_MS);
  }

  banner(text, kind = "") { $("banner").textContent = text; $("banner").className = kind; $("banner").hidden = !text; }

  next(step) {
    const found = this.lists.neighbour(this.tracks[0] ?? "", step);
    if (found) this.choose(String(found.id), found.frame);
  }

  #page() {
    const { facts, viewer } = this;
    $("name").textContent = facts.name;
    document.title = `${facts.name}: review`;
    $("newclass").append(...facts.classes.map(one => new Option(words(one.name), one.name)));
    const usual = facts.classes.find(one => one.own);
    if (usual) $("newclass").value = usual.name;
    viewer.addEventListener("pick", ({ detail: { outline, add } }) => {
      const ids = !outline ? [] : add ? (this.selected.includes(outline.id) ? this.selected.filter(id => id !== outline.id) : [...this.selected, outline.id]) : [outline.id];
      this.select(ids);
    });
    viewer.addEventListener("hover", ({ detail: { outline } }) => {
      viewer.overlay.title = outline ? `${outline.id}, ${words(outline.label)}${outline.probability == null ? "" : `, probability ${outline.probability.toFixed(2)}`}${outline.observed ? "" : ", not seen in this frame"}` : "";
    });
    $("place").oninput = event => this.goTo(Number(event.target.value));
    for (const name of ["draw", "paint", "adjust"]) $(name).onclick = () => this.tool(name);
    $("play").onclick = () => this.play();
    $("fit").onclick = () => viewer.fit();
    $("undo").onclick = () => this.back("undo");
    $("redo").onclick = () => this.back("redo");
    $("write").onclick = () => this.write();
    $("outlines").onchange = event => { viewer.showOutlines = event.target.checked; viewer.redraw(); };
    $("ids").onchange = event => { viewer.showText = event.target.checked; viewer.redraw(); };
    $("dropped").onchange = () => { this.outlines.clear(); this.paint(); };
    for (const id of ["brightness", "contrast"]) $(id).oninput = () => viewer.setContrast(Number($("brightness").value), Number($("contrast").value));
    for (const radio of document.querySelectorAll("[name=scope]")) radio.onchange = () => this.setScope(radio.value);
    for (const id of ["from", "to"]) $(id).onchange = () => {
      const [from, to] = [Number($("from").value), Number($("to").value)];
      this.span = [Math.min(from, to), Math.max(from, to)];
      this.setScope("span");
    };
    $("tab-dropped").addEventListener("click", () => { if (!this.lists.dropped) this.readDropped(); });
    const kept = (key, value) => { try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); } catch { return null; } };
    if (kept("theme")) document.documentElement.dataset.theme = kept("theme");
    $("theme").onclick = () => {
      const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
      kept("theme", document.documentElement.dataset.theme);
      this.curves.draw();
    };
    this.setScope("all");
  }

  #keys() {
    const step = n => () => this.goTo(this.place + n, Math.sign(n)), toggle = id => () => $(id).click();
    const classes = this.facts.classes.slice(0, 9).map((one, k) => ({ keys: [String(k + 1)], does: words(one.name), group: "Class of the selected", run: () => this.act("class", one.name) }));
    const keys = new Keys([
      { keys: ["ArrowRight"], does: "next frame", group: "Frames", run: step(1) },
      { keys: ["ArrowLeft"], does: "frame before", group: "Frames", run: step(-1) },
      { keys: ["Shift+ArrowRight"], does: "10 frames on", group: "Frames", run: step(10) },
      { keys: ["Shift+ArrowLeft"], does: "10 frames back", group: "Frames", run: step(-10) },
      { keys: ["Home"], does: "first frame", group: "Frames", run: () => this.goTo(0) },
      { keys: ["End"], does: "last frame", group: "Frames", run: () => this.goTo(this.facts.numbers.length - 1) },
      { keys: [" "], does: "play, pause", group: "Frames", run: () => this.play() },
      { keys: ["+", "="], does: "zoom in", group: "View", run: () => this.viewer.zoom(1.4) },
      { keys: ["-"], does: "zoom out", group: "View", run: () => this.viewer.zoom(1 / 1.4) },
      { keys: ["0"], does: "whole frame", group: "View", run: () => this.viewer.fit() },
      { keys: ["o"], does: "outlines", group: "View", run: toggle("outlines") },
      { keys: ["i"], does: "ids", group: "View", run: toggle("ids") },
      { keys: ["h"], does: "what was dropped", group: "View", run: toggle("dropped") },
      { keys: ["c"], does: "contrast as it was", group: "View", run: () => { $("brightness").value = $("contrast").value = 1; this.viewer.setContrast(1, 1); } },
      { keys: ["n"], does: "next doubtful track", group: "Select", run: () => this.next(1) },
      { keys: ["Shift+n"], does: "doubtful track before", group: "Select", run: () => this.next(-1) },
      { keys: ["Shift+click"], does: "one more track", group: "Select" },
      { keys: ["Escape"], does: "nothing selected", group: "Select", run: () => this.select([]) },
      { keys: ["Delete", "x"], does: "delete", group: "Edit", run: () => this.act("delete") },
      { keys: ["Shift+Delete", "Shift+x"], does: "delete in this frame", group: "Edit", run: () => this.act("delete", "frame") },
      { keys: ["m"], does: "merge the two selected", group: "Edit", run: () => this.act("merge") },
      { keys: ["s"], does: "split at this frame", group: "Edit", run: () => this.act("split") },
      { keys: ["r"], does: "restore what was dropped", group: "Edit", run: () => this.act("restore") },
      { keys: ["d"], does: "draw an outline", group: "Edit", run: () => this.tool("draw") },
      { keys: ["b"], does: "paint an outline", group: "Edit", run: () => this.tool("paint") },
      { keys: ["e"], does: "adjust the outline", group: "Edit", run: () => this.tool("adjust") },
      { keys: ["Ctrl+z", "u"], does: "undo", group: "Edit", run: () => this.back("undo") },
      { keys: ["Ctrl+y", "Ctrl+Shift+z"], does: "redo", group: "Edit", run: () => this.back("redo") },
      { keys: ["w"], does: "write new run", group: "Edit", run: () => this.write() },
      ...classes,
      { keys: ["a"], does: "edits hold for the whole track", group: "Frames of an edit", run: () => this.setScope("all") },
      { keys: ["f"], does: "for this frame", group: "Frames of an edit", run: () => this.setScope("frame") },
      { keys: ["["], does: "from this frame", group: "Frames of an edit", run: () => this.mark("from") },
      { keys: ["]"], does: "to this frame", group: "Frames of an edit", run: () => this.mark("to") },
      { keys: ["Enter"], does: "done", group: "While drawing" },
      { keys: ["Escape"], does: "leave", group: "While drawing" },
      { keys: ["Backspace"], does: "one corner back", group: "While drawing" },
      { keys: ["Ctrl+drag"], does: "move the frame", group: "While drawing" },
      { keys: ["?"], does: "this sheet", group: "Select", run: () => this.sheet.showModal() },
    ]);
    keys.first = event => this.viewer.tool?.key(event) ?? false;
    this.sheet = keys.sheet("Keys");
    document.body.append(this.sheet);
    $("help").onclick = () => this.sheet.showModal();
  }
}

function nearest(values, wanted) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (Math.abs(values[k] - wanted) < Math.abs(values[best] - wanted)) best = k;
  return best;
}

try {
  const review = new Review(await ask("run"));
  window.review = review;
  await review.start();
  document.documentElement.dataset.ready = "1";
} catch (error) {
  $("banner").textContent = `The run cannot be shown: ${error.message}`;
  $("banner").className = "bad";
  $("banner").hidden = false;
}
