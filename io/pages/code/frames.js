// Frames of a movie in memory, decoded ahead, so that scrubbing draws at once.
//
//   const frames = new FrameCache(place => `frame?place=${place}`, n, { bytes });    n places, 0 to n - 1
//   frames.get(place)              ImageBitmap, or null where it has not come yet
//   await frames.load(place)       ImageBitmap; null where there is none (the server answered 204 or an error)
//   frames.around(place, step)     decodes ahead in the direction of `step`, and a little behind
//   frames.addEventListener("loaded", ...)    detail: the place
//
// What was looked at longest ago is forgotten first, once `bytes` are held.

const AT_ONCE = 4, AHEAD = 48, BEHIND = 12;

export class FrameCache extends EventTarget {
  constructor(address, n, { bytes = 384e6 } = {}) {
    super();
    Object.assign(this, { address, n, most: bytes, held: 0 });
    this.bitmaps = new Map();
    this.asked = new Map();
    this.missing = new Set();
    this.wanted = [];
  }

  get(place) {
    const found = this.bitmaps.get(place);
    if (!found) return null;
    this.bitmaps.delete(place);
    this.bitmaps.set(place, found);
    return found;
  }

  async load(place) {
    if (this.missing.has(place)) return null;
    return this.get(place) ?? (this.asked.get(place) ?? this.#fetch(place));
  }

  around(place, step = 1) {
    const order = [], way = step < 0 ? -1 : 1, size = this.bitmaps.size ? this.held / this.bitmaps.size : 4e6;
    const room = Math.max(4, Math.floor(0.8 * this.most / size)), ahead = Math.min(AHEAD, room);
    for (let i = 0; i <= ahead; i++) order.push(place + way * i);
    for (let i = 1; i <= Math.min(BEHIND, room - ahead); i++) order.push(place - way * i);
    this.wanted = order.filter(p => p >= 0 && p < this.n && !this.bitmaps.has(p) && !this.asked.has(p) && !this.missing.has(p));
    this.#next();
  }

  #next() {
    while (this.asked.size < AT_ONCE && this.wanted.length) this.#fetch(this.wanted.shift());
  }

  #fetch(place) {
    const coming = this.#decoded(place).then(bitmap => {
      this.asked.delete(place);
      if (bitmap) this.#keep(place, bitmap);
      this.dispatchEvent(new CustomEvent("loaded", { detail: place }));
      this.#next();
      return bitmap;
    });
    this.asked.set(place, coming);
    return coming;
  }

  async #decoded(place) {
    try {
      const answer = await fetch(this.address(place));
      if (answer.status === 200) return await createImageBitmap(await answer.blob());
      if (answer.status === 204) this.missing.add(place);
    } catch { /* no connection: asked again when it is looked at again */ }
    return null;
  }

  #keep(place, bitmap) {
    this.bitmaps.set(place, bitmap);
    this.held += 4 * bitmap.width * bitmap.height;
    for (const [old, one] of this.bitmaps) {
      if (this.held <= this.most || this.bitmaps.size <= 2) break;
      this.bitmaps.delete(old);
      this.held -= 4 * one.width * one.height;
      one.close();
    }
  }
}
