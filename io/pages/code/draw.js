// Tools that make or change one outline on a viewer. They know nothing of runs or labels.
//
//   viewer.tool = new PolygonTool(viewer, done)          click: a corner; drag: freehand; Enter, double click or a click
//                                                        on the first corner: done; Backspace: one corner back
//   viewer.tool = new BrushTool(viewer, done, {rings, radius})   paints; with Alt, or `rubbing` set, it rubs out;
//                                                        [ and ]: size of the brush; Enter: done. `rings`: what to go on from
//   viewer.tool = new AdjustTool(viewer, done, {rings})  drag a corner, an edge (a new corner) or the inside (all of it);
//                                                        Alt and click: takes a corner out; arrows: by a pixel; Enter: done
//
// `done(shape)` gets the outline, or null where Escape was pressed. A shape is {kind: "polygon", rings} or
// {kind: "mask", mask}: rings and masks as in rle.js. It is called once; the page then takes the tool away.
//
//   shapeText(shape)     the shape as the tables of edits and labels have it: "polygon x y x y ..." or
//                        "rle x0 y0 width height counts"
//   shapeRings(shape)    its rings

import { bounds, contains, largest, nearestCorner, nearestEdge, simplified } from "./geometry.js";
import { encode, fill, ringsOf, trimmed } from "./rle.js";

const INK = "#ffe14d", REACH = 9, FREE_PX = 3;

const short = value => String(Math.round(value * 100) / 100);

export function shapeText(shape) {
  if (shape.kind === "polygon") return "polygon " + Array.from(largest(shape.rings), short).join(" ");
  const { x0, y0, width, height, pixels } = shape.mask;
  return ["rle", x0, y0, width, height, encode(pixels, width, height)].join(" ");
}

export const shapeRings = shape => shape.kind === "polygon" ? shape.rings : ringsOf(shape.mask);

class Tool {
  constructor(viewer, done) {
    Object.assign(this, { viewer, finished: done, pointer: null });
    viewer.overlay.style.cursor = "crosshair";
  }

  hover(p) { this.pointer = p; }
  end(shape) {
    const { finished } = this;
    this.finished = null;
    this.viewer.overlay.style.cursor = "";
    finished?.(shape);
  }

  key(event) {
    if (event.key === "Escape") this.end(null);
    else if (event.key === "Enter") this.close();
    else return false;
    this.viewer.redraw();
    return true;
  }
}

export class PolygonTool extends Tool {
  points = [];

  down(p, event) {
    const pixel = 1 / this.viewer.scale;
    if (event.detail > 1 && this.points.length >= 3) { this.close(); return; }
    if (this.points.length >= 3 && Math.hypot(p.x - this.points[0].x, p.y - this.points[0].y) < REACH * pixel) { this.close(); return; }
    this.points.push(p);
    this.dragged = false;
    this.viewer.redraw();
  }

  move(p) {
    this.pointer = p;
    const last = this.points.at(-1), pixel = 1 / this.viewer.scale;
    if (last && Math.hypot(p.x - last.x, p.y - last.y) > FREE_PX * pixel) { this.points.push(p); this.dragged = true; }
    this.viewer.redraw();
  }

  up() { if (this.dragged && this.points.length >= 8) this.close(); }

  close() {
    if (this.points.length < 3) return;
    const ring = this.points.flatMap(({ x, y }) => [x, y]);
    this.end({ kind: "polygon", rings: [Float32Array.from(this.dragged ? simplified(ring, 0.75 / this.viewer.scale) : ring)] });
  }

  key(event) {
    if (event.key === "Backspace" || event.key === "Delete") { this.points.pop(); this.viewer.redraw(); return true; }
    return super.key(event);
  }

  cancel() { this.points.pop(); }

  draw(context, pixel) {
    const all = this.pointer && this.points.length ? [...this.points, this.pointer] : this.points;
    line(context, all, pixel, false);
    for (const [i, p] of this.points.entries()) if (!this.dragged || !i) knob(context, p, pixel, i === 0 && this.points.length >= 3);
  }
}

export class AdjustTool extends Tool {
  constructor(viewer, done, { rings }) {
    super(viewer, done);
    const ring = largest(rings), box = bounds([ring]), size = Math.max(box[2] - box[0], box[3] - box[1]);
    const corners = simplified(ring, Math.max(0.5, 0.03 * size));
    this.points = corners.length < 6 ? toPoints(Array.from(ring)) : toPoints(corners);
    this.moved = false;
  }

  get ring() { return this.points.flatMap(({ x, y }) => [x, y]); }

  down(p, event) {
    const reach = REACH / this.viewer.scale, corner = nearestCorner(this.ring, p.x, p.y), edge = nearestEdge(this.ring, p.x, p.y);
    if (corner.distance < reach) {
      if (event.altKey && this.points.length > 3) { this.points.splice(corner.index, 1); this.moved = true; this.held = null; }
      else this.held = [this.points[corner.index]];
    } else if (edge.distance < reach) {
      this.points.splice(edge.index + 1, 0, { ...p });
      this.held = [this.points[edge.index + 1]];
      this.moved = true;
    } else this.held = contains([this.ring], p.x, p.y) ? this.points : null;
    this.from = p;
    this.viewer.redraw();
  }

  move(p) {
    for (const one of this.held ?? []) { one.x += p.x - this.from.x; one.y += p.y - this.from.y; this.moved = true; }
    this.from = p;
    this.viewer.redraw();
  }

  up() { this.held = null; }
  cancel() { this.held = null; }
  close() { this.end(this.moved ? { kind: "polygon", rings: [Float32Array.from(this.ring)] } : null); }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return super.key(event);
    for (const one of this.points) { one.x += step[0]; one.y += step[1]; }
    this.moved = true;
    this.viewer.redraw();
    return true;
  }

  draw(context, pixel) {
    line(context, this.points, pixel, true);
    for (const p of this.points) knob(context, p, pixel, this.held?.length === 1 && this.held[0] === p);
  }
}

export class BrushTool extends Tool {
  constructor(viewer, done, { rings = [], radius = 0 } = {}) {
    super(viewer, done);
    this.radius = radius || Math.max(1, 8 / viewer.scale);
    this.mask = { x0: 0, y0: 0, width: viewer.width, height: viewer.height, pixels: new Uint8Array(viewer.width * viewer.height) };
    const before = rings.length ? fill(rings, [0, 0, viewer.width, viewer.height]) : null;
    if (before) for (let y = 0; y < before.height; y++) {
      this.mask.pixels.set(before.pixels.subarray(y * before.width, (y + 1) * before.width), (before.y0 + y) * viewer.width + before.x0);
    }
    this.layer = new OffscreenCanvas(viewer.width, viewer.height);
    this.#show(0, 0, viewer.width, viewer.height);
  }

  down(p, event) { this.rub = event.altKey || this.rubbing; this.last = p; this.#stroke(p, p); }
  move(p) { this.pointer = p; this.#stroke(this.last, p); this.last = p; }
  up() { this.last = null; }

  close() {
    const mask = trimmed(this.mask);
    this.end(mask ? { kind: "mask", mask } : null);
  }

  key(event) {
    if (event.key === "[" || event.key === "]") {
      this.radius = Math.max(0.5, this.radius * (event.key === "]" ? 1.25 : 0.8));
      this.viewer.redraw();
      return true;
    }
    return super.key(event);
  }

  draw(context, pixel) {
    context.globalAlpha = 0.45;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.layer, 0, 0);
    context.globalAlpha = 1;
    if (!this.pointer) return;
    context.beginPath();
    context.arc(this.pointer.x, this.pointer.y, this.radius, 0, 2 * Math.PI);
    context.strokeStyle = INK;
    context.lineWidth = 1.5 * pixel;
    context.stroke();
  }

  #stroke(from, to) {
    const { width, height, pixels } = this.mask, r = this.radius, value = this.rub ? 0 : 1;
    const x0 = Math.max(0, Math.floor(Math.min(from.x, to.x) - r)), x1 = Math.min(width, Math.ceil(Math.max(from.x, to.x) + r));
    const y0 = Math.max(0, Math.floor(Math.min(from.y, to.y) - r)), y1 = Math.min(height, Math.ceil(Math.max(from.y, to.y) + r));
    const dx = to.x - from.x, dy = to.y - from.y, length = dx * dx + dy * dy;
    for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) {
      const px = x + 0.5 - from.x, py = y + 0.5 - from.y, share = length ? Math.max(0, Math.min(1, (px * dx + py * dy) / length)) : 0;
      if (Math.hypot(px - share * dx, py - share * dy) <= r) pixels[y * width + x] = value;
    }
    if (x1 > x0 && y1 > y0) this.#show(x0, y0, x1 - x0, y1 - y0);
    this.viewer.redraw();
  }

  #show(x0, y0, w, h) {
    const picture = new ImageData(w, h);
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      if (this.mask.pixels[(y0 + y) * this.mask.width + x0 + x]) picture.data.set([255, 225, 77, 255], 4 * (y * w + x));
    }
    this.layer.getContext("2d").putImageData(picture, x0, y0);
  }
}

const toPoints = ring => Array.from({ length: ring.length / 2 }, (_, i) => ({ x: ring[2 * i], y: ring[2 * i + 1] }));

function line(context, points, pixel, closed) {
  if (!points.length) return;
  context.beginPath();
  for (const [i, p] of points.entries()) context[i ? "lineTo" : "moveTo"](p.x, p.y);
  if (closed) context.closePath();
  context.lineJoin = "round";
  for (const [colour, width] of [["rgba(0, 0, 0, 0.6)", 4], [INK, 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * pixel;
    context.stroke();
  }
}

function knob(context, p, pixel, hot) {
  const size = (hot ? 5 : 3.5) * pixel;
  context.fillStyle = hot ? "#fff" : INK;
  context.strokeStyle = "rgba(0, 0, 0, 0.8)";
  context.lineWidth = pixel;
  context.fillRect(p.x - size, p.y - size, 2 * size, 2 * size);
  context.strokeRect(p.x - size, p.y - size, 2 * size, 2 * size);
}
