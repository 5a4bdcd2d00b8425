// Rings of corners, x y x y ..., in px of the frame: what the viewer and the tools ask of them. No page, no canvas.
//
//   contains(rings, x, y)        whether a place lies inside (even-odd)
//   bounds(rings)                [left, top, right, bottom]
//   areaOf(ring)                 px^2, negative where it runs counter-clockwise on the screen
//   simplified(ring, most)       fewer corners, none of the old ones farther than `most` px from the new line
//   nearestCorner(ring, x, y)    {index, distance}
//   nearestEdge(ring, x, y)      {index, distance}: the edge from corner `index` to the one after it
//   largest(rings)               the ring with the largest area

export function contains(rings, x, y) {
  let inside = false;
  for (const ring of rings) for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    const yi = ring[i + 1], yj = ring[j + 1];
    if ((yi > y) !== (yj > y) && x < ring[i] + (y - yi) / (yj - yi) * (ring[j] - ring[i])) inside = !inside;
  }
  return inside;
}

export function bounds(rings) {
  let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
  for (const ring of rings) for (let i = 0; i < ring.length; i += 2) {
    if (ring[i] < left) left = ring[i];
    if (ring[i] > right) right = ring[i];
    if (ring[i + 1] < top) top = ring[i + 1];
    if (ring[i + 1] > bottom) bottom = ring[i + 1];
  }
  return [left, top, right, bottom];
}

export function areaOf(ring) {
  let twice = 0;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) twice += ring[j] * ring[i + 1] - ring[i] * ring[j + 1];
  return twice / 2;
}

export const largest = rings => rings.reduce((best, ring) => Math.abs(areaOf(ring)) > Math.abs(areaOf(best)) ? ring : best, rings[0]);

function toLine(px, py, ax, ay, bx, by) {
  const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
  const share = length ? Math.max(0, Math.min(1, ((px - ax) * dx + (py - ay) * dy) / length)) : 0;
  return Math.hypot(px - ax - share * dx, py - ay - share * dy);
}

// Ramer 1972, Douglas and Peucker 1973; the ring is cut at its first corner and at the one farthest from it.
export function simplified(ring, most) {
  const n = ring.length / 2;
  if (n <= 4) return Array.from(ring);
  const at = i => [ring[2 * (i % n)], ring[2 * (i % n) + 1]], kept = new Set([0]);
  let far = 0, best = -1;
  for (let i = 1; i < n; i++) {
    const d = Math.hypot(at(i)[0] - at(0)[0], at(i)[1] - at(0)[1]);
    if (d > best) { best = d; far = i; }
  }
  kept.add(far);
  const waiting = [[0, far], [far, n]];
  while (waiting.length) {
    const [from, to] = waiting.pop(), [a, b] = [at(from), at(to)];
    let worst = most, middle = -1;
    for (let i = from + 1; i < to; i++) {
      const d = toLine(...at(i), ...a, ...b);
      if (d > worst) { worst = d; middle = i; }
    }
    if (middle >= 0) { kept.add(middle); waiting.push([from, middle], [middle, to]); }
  }
  return [...kept].sort((a, b) => a - b).flatMap(at);
}

export function nearestCorner(ring, x, y) {
  let index = -1, distance = Infinity;
  for (let i = 0; i < ring.length; i += 2) {
    const d = Math.hypot(ring[i] - x, ring[i + 1] - y);
    if (d < distance) { distance = d; index = i / 2; }
  }
  return { index, distance };
}

export function nearestEdge(ring, x, y) {
  let index = -1, distance = Infinity;
  const n = ring.length / 2;
  for (let i = 0; i < n; i++) {
    const j = (i + 1) % n, d = toLine(x, y, ring[2 * i], ring[2 * i + 1], ring[2 * j], ring[2 * j + 1]);
    if (d < distance) { distance = d; index = i; }
  }
  return { index, distance };
}
