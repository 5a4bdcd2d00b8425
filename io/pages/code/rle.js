// Masks: run lengths of COCO, as masks.parquet and pycocotools write them, pixels, and the outline around them.
//
// A mask is a crop: {x0, y0, width, height, pixels}, pixels a Uint8Array of 0 and 1, row by row; (x0, y0) is its first
// pixel in the frame. A ring is a Float32Array x y x y ... of corners, in px: pixel (0, 0) covers [0, 1) x [0, 1), so
// that the area of a ring is the number of pixels inside. Nothing here knows of a page.
//
//   decode(counts, width, height)        pixels of a line of run lengths
//   encode(pixels, width, height)        its line
//   ringsOf(mask)                        rings around its parts, holes as rings that run the other way
//   fill(rings, bounds)                  mask of the pixels whose centres lie inside (even-odd)
//   trimmed(mask)                        the same mask in the smallest box; null where it is empty

export function decode(counts, width, height) {
  const pixels = new Uint8Array(width * height), runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0, shift = 0, more = true, code = 0;
    while (more) {
      code = counts.charCodeAt(at++) - 48;
      if (!(code >= 0 && code < 64)) throw new Error("run lengths with other letters than those of COCO");
      value |= (code & 31) << shift;
      more = (code & 32) !== 0;
      shift += 5;
    }
    if (code & 16) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  let place = 0;
  for (let i = 0; i < runs.length; i++) {
    const end = place + runs[i];
    if (i % 2) for (let p = place; p < end; p++) pixels[(p % height) * width + Math.floor(p / height)] = 1;
    place = end;
  }
  if (place !== width * height) throw new Error("run lengths that do not fill their box");
  return pixels;
}

export function encode(pixels, width, height) {
  const runs = [];
  let value = 0, length = 0;
  for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) {
    if (pixels[y * width + x] === value) length++;
    else { runs.push(length); value = 1 - value; length = 1; }
  }
  runs.push(length);
  let text = "";
  for (let i = 0; i < runs.length; i++) {
    let left = i > 2 ? runs[i] - runs[i - 2] : runs[i], more = true;
    while (more) {
      let code = left & 31;
      left >>= 5;
      more = code & 16 ? left !== -1 : left !== 0;
      if (more) code |= 32;
      text += String.fromCharCode(code + 48);
    }
  }
  return text;
}

// Every side between a pixel inside and one outside is an edge with the inside to its right; edges are joined to rings.
// Where two pixels touch at a corner only, the ring turns to the right, so that they stay two parts.
export function ringsOf({ x0, y0, width, height, pixels }) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] === 1;
  const across = width + 1, next = new Map();
  const add = (ax, ay, bx, by) => {
    const key = ay * across + ax, list = next.get(key);
    if (list) list.push([bx, by]); else next.set(key, [[bx, by]]);
  };
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    if (!pixels[y * width + x]) continue;
    if (!inside(x, y - 1)) add(x, y, x + 1, y);
    if (!inside(x + 1, y)) add(x + 1, y, x + 1, y + 1);
    if (!inside(x, y + 1)) add(x + 1, y + 1, x, y + 1);
    if (!inside(x - 1, y)) add(x, y + 1, x, y);
  }
  const rings = [];
  for (const key of next.keys()) {
    while (next.get(key).length) {
      const ring = [], start = [key % across, Math.floor(key / across)];
      let here = start, direction = null;
      do {
        const list = next.get(here[1] * across + here[0]);
        let k = 0;
        if (list.length > 1 && direction) {
          const right = [-direction[1], direction[0]];
          k = list.findIndex(([x, y]) => x - here[0] === right[0] && y - here[1] === right[1]);
          if (k < 0) k = 0;
        }
        const [to] = list.splice(k, 1), turned = [to[0] - here[0], to[1] - here[1]];
        if (!direction || turned[0] !== direction[0] || turned[1] !== direction[1]) ring.push(here[0] + x0, here[1] + y0);
        direction = turned;
        here = to;
      } while (here[0] !== start[0] || here[1] !== start[1]);
      rings.push(Float32Array.from(ring));
    }
  }
  return rings;
}

export function fill(rings, bounds) {
  const [left, top, right, bottom] = bounds;
  let low = Infinity, high = -Infinity, first = Infinity, last = -Infinity;
  for (const ring of rings) for (let i = 0; i < ring.length; i += 2) {
    low = Math.min(low, ring[i]); high = Math.max(high, ring[i]);
    first = Math.min(first, ring[i + 1]); last = Math.max(last, ring[i + 1]);
  }
  const x0 = Math.max(left, Math.floor(low)), y0 = Math.max(top, Math.floor(first));
  const width = Math.min(right, Math.ceil(high)) - x0, height = Math.min(bottom, Math.ceil(last)) - y0;
  if (!(width > 0 && height > 0)) return null;
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const level = y0 + y + 0.5, cuts = [];
    for (const ring of rings) for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
      const ya = ring[j + 1], yb = ring[i + 1];
      if ((ya <= level) !== (yb <= level)) cuts.push(ring[j] + (level - ya) / (yb - ya) * (ring[i] - ring[j]));
    }
    cuts.sort((a, b) => a - b);
    for (let c = 0; c + 1 < cuts.length; c += 2) {
      const from = Math.max(0, Math.ceil(cuts[c] - 0.5) - x0), to = Math.min(width, Math.ceil(cuts[c + 1] - 0.5) - x0);
      for (let x = from; x < to; x++) pixels[y * width + x] = 1;
    }
  }
  return trimmed({ x0, y0, width, height, pixels });
}

export function trimmed({ x0, y0, width, height, pixels }) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (pixels[y * width + x]) {
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    bottom = y;
  }
  if (right < 0) return null;
  const w = right - left + 1, h = bottom - top + 1, cut = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) cut.set(pixels.subarray((top + y) * width + left, (top + y) * width + left + w), y * w);
  return { x0: x0 + left, y0: y0 + top, width: w, height: h, pixels: cut };
}
