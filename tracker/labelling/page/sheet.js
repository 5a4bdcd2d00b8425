// The outlines of one image, and what may become of them. It knows nothing of the page.
//
//   const sheet = new Sheet(facts, width, height)     facts: {outlines, start, done, revision} as the server has them
//   sheet.outlines                       [{id, defect_class, state, x_px, y_px, width_px, height_px, counts, probability}]
//   sheet.rings(outline)                 rings as in rle.js
//   sheet.byDoubt()                      outlines, those that wait and are nearest one half first
//   sheet.next(id, way)                  the one that waits after (way 1) or before it; null where none does
//   sheet.accept(id), sheet.refuse(id), sheet.retype(id, name), sheet.reshape(id, mask), sheet.reset(id)
//   sheet.draw(mask, name)               a new outline; its id
//   sheet.settle(state)                  all that wait become accepted or refused
//   sheet.snapshot(), sheet.restore(s)   the whole of it, for undo
//
// The state of an outline: proposed (by the model, not looked at), accepted, changed, drawn, refused.

import { decode, encode, ringsOf } from "./rle.js";

const KEPT = ["accepted", "changed", "drawn"];
const shape = ({ x0, y0, width, height, pixels }) => ({ x_px: x0, y_px: y0, width_px: width, height_px: height, counts: encode(pixels, width, height) });
const same = (a, b) => ["defect_class", "counts", "x_px", "y_px"].every(key => a[key] === b[key]);

export class Sheet {
  constructor({ outlines, start, done, revision }, width, height) {
    Object.assign(this, { outlines, done, revision, width, height, drawn: new Map() });
    this.start = new Map(start.map(one => [one.id, one]));
  }

  get(id) { return this.outlines.find(one => one.id === id) ?? null; }
  get waiting() { return this.outlines.filter(one => one.state === "proposed").length; }
  // the class of most outlines that are not refused; null where there are none
  get usual() {
    const counts = new Map();
    for (const one of this.outlines) if (one.state !== "refused") counts.set(one.defect_class, (counts.get(one.defect_class) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
  }
  get kept() { return this.outlines.filter(one => KEPT.includes(one.state)).length; }

  rings({ x_px: x0, y_px: y0, width_px: width, height_px: height, counts }) {
    const key = `${x0} ${y0} ${width} ${counts}`;
    if (!this.drawn.has(key)) this.drawn.set(key, ringsOf({ x0, y0, width, height, pixels: decode(counts, width, height) }));
    return this.drawn.get(key);
  }

  byDoubt() {
    const order = { proposed: 0, accepted: 1, changed: 1, drawn: 1, refused: 2 };
    const doubt = one => Math.abs((one.probability ?? 1) - 0.5);
    return [...this.outlines].sort((a, b) => order[a.state] - order[b.state] || doubt(a) - doubt(b) || a.id - b.id);
  }

  next(id, way = 1) {
    const list = this.byDoubt().filter(one => one.state === "proposed" || one.id === id), at = list.findIndex(one => one.id === id);
    const order = at < 0 ? list : [...list.slice(at + 1), ...list.slice(0, at)];
    if (way < 0) order.reverse();
    return order.find(one => one.state === "proposed") ?? null;
  }

  accept(id) { const one = this.get(id); this.#set(id, { state: this.#likeStart(one) ? "accepted" : one.state === "drawn" || !this.start.has(id) ? "drawn" : "changed" }); }

  refuse(id) {
    if (this.start.has(id)) this.#set(id, { state: "refused" });
    else this.#change(this.outlines.filter(one => one.id !== id));
  }

  retype(id, name) { this.#reformed(id, { defect_class: name }); }
  reshape(id, mask) { this.#reformed(id, shape(mask)); }
  reset(id) { if (this.start.has(id)) this.#set(id, { ...this.start.get(id) }); }

  draw(mask, name) {
    const id = Math.max(0, ...this.outlines.map(one => one.id), ...this.start.keys()) + 1;
    this.#change([...this.outlines, { id, defect_class: name, state: "drawn", probability: null, ...shape(mask) }]);
    return id;
  }

  settle(state) { this.#change(this.outlines.map(one => one.state === "proposed" ? { ...one, state } : one)); }
  finish(done) { this.done = done; }

  snapshot() { return { outlines: this.outlines, done: this.done }; }
  restore({ outlines, done }) { Object.assign(this, { outlines, done }); }

  #likeStart(one) { const start = this.start.get(one.id); return Boolean(start && same(start, one)); }

  #reformed(id, change) {
    const one = { ...this.get(id), ...change };
    this.#set(id, { ...change, state: !this.start.has(id) ? "drawn" : this.#likeStart(one) ? "accepted" : "changed" });
  }

  #set(id, change) { this.#change(this.outlines.map(one => one.id === id ? { ...one, ...change } : one)); }

  // an image that is changed is no longer done: whoever labelled it says so again
  #change(outlines) { Object.assign(this, { outlines, done: false }); }
}
