// A frame with outlines on it: zoom, pan, contrast, hover and selection. It knows nothing of runs or labels.
//
//   const viewer = new Viewer(element, { label: "frame" });     fills the element with two canvases
//   viewer.setPicture(bitmap, width, height)    ImageBitmap, image or canvas; null: black, of that size in px
//   viewer.setOutlines(list)                    [{id, rings, colour, text, dashed, faint}]: rings as in rle.js; `text` is
//                                               written beside it; `dashed` for what was not seen, `faint` for what is
//                                               not part of the result; the list is kept, with `box` and `path`
//                                               added to its entries
//   viewer.selected                             Set of ids; call viewer.redraw() after a change
//   viewer.setContrast(brightness, contrast)    1 and 1: as it is
//   viewer.fit(), viewer.zoom(factor, x, y)     whole frame; about a place of the element, or its middle
//   viewer.lookAt(left, top, right, bottom)     brings a box of the frame into view
//   viewer.toFrame(x, y), viewer.toScreen(x, y) places of the element in px of the frame, and back
//   viewer.paintNow()                           without waiting for the next picture of the screen
//   viewer.tool                                 null, or an object that takes the pointer, see draw.js
//   viewer.addEventListener(name, ...)          "pick": detail {outline or null, x, y, add: shift or ctrl was held}
//                                               "hover": detail {outline or null, x, y}; "view": zoom or place changed
//
// A tool has down(point, event), move(point, event), up(point, event), optionally hover(point), key(event) -> true if it
// took the key, cancel(), and draw(context, pixel): context in px of the frame, `pixel` is the size of one screen pixel.
// A point is {x, y} in px of the frame. Middle button, Ctrl and two fingers pan and zoom under any tool.

import { bounds, contains } from "./geometry.js";

const LEAST_ZOOM = 0.5, MOST_PIXEL = 64, CLICK_PX = 4;

export class Viewer extends EventTarget {
  constructor(host, { label = "frame" } = {}) {
    super();
    this.host = host;
    this.picture = document.createElement("canvas");
    this.overlay = document.createElement("canvas");
    this.overlay.tabIndex = 0;
    this.overlay.setAttribute("role", "img");
    this.overlay.setAttribute("aria-label", label);
    host.classList.add("viewer");
    host.replaceChildren(this.picture, this.overlay);
    Object.assign(this, { width: 1, height: 1, bitmap: null, outlines: [], selected: new Set(), hovered: null, tool: null });
    Object.assign(this, { scale: 1, left: 0, top: 0, fitted: true, showText: true, showOutlines: true });
    this.pointers = new Map();
    this.waiting = { picture: false, overlay: false };
    new ResizeObserver(() => this.#resized()).observe(host);
    this.#listen();
  }

  setPicture(bitmap, width, height) {
    const other = width !== this.width || height !== this.height;
    Object.assign(this, { bitmap, width, height });
    if (other && this.fitted) this.fit();
    this.redraw(true);
  }

  setOutlines(list) {
    for (const one of list) { one.box ??= bounds(one.rings); one.path ??= pathOf(one.rings); }
    this.outlines = list;
    if (this.hovered) this.hovered = this.outlines.find(one => one.id === this.hovered.id) ?? null;
    this.redraw();
  }

  setContrast(brightness, contrast) {
    this.picture.style.filter = brightness === 1 && contrast === 1 ? "" : `brightness(${brightness}) contrast(${contrast})`;
  }

  toFrame(x, y) { return { x: this.left + x / this.scale, y: this.top + y / this.scale }; }
  toScreen(x, y) { return { x: (x - this.left) * this.scale, y: (y - this.top) * this.scale }; }

  fit() {
    const { clientWidth: w, clientHeight: h } = this.host;
    this.fitted = true;
    this.#look(Math.min(w / this.width, h / this.height) || 1, this.width / 2, this.height / 2);
  }

  zoom(factor, x = this.host.clientWidth / 2, y = this.host.clientHeight / 2) {
    const at = this.toFrame(x, y), smallest = Math.min(this.host.clientWidth / this.width, this.host.clientHeight / this.height) * LEAST_ZOOM;
    const scale = Math.max(smallest, Math.min(MOST_PIXEL, this.scale * factor));
    this.fitted = false;
    this.#place(scale, at.x - x / scale, at.y - y / scale);
  }

  lookAt(left, top, right, bottom) {
    const { clientWidth: w, clientHeight: h } = this.host;
    const [a, b] = [this.toScreen(left, top), this.toScreen(right, bottom)];
    if (a.x >= 0 && a.y >= 0 && b.x <= w && b.y <= h) return;
    this.fitted = false;
    this.#look(Math.min(this.scale, 0.8 * w / (right - left), 0.8 * h / (bottom - top)), (left + right) / 2, (top + bottom) / 2);
  }

  pan(dx, dy) { this.fitted = false; this.#place(this.scale, this.left - dx / this.scale, this.top - dy / this.scale); }

  // the smallest outline under a place: a loop inside another stays within reach
  at(x, y) {
    let best = null, least = Infinity;
    const near = 3 / this.scale;
    for (const one of this.showOutlines ? this.outlines : []) {
      const [l, t, r, b] = one.box, area = (r - l) * (b - t);
      if (x < l - near || x > r + near || y < t - near || y > b + near || area >= least) continue;
      if (contains(one.rings, x, y) || Math.max(r - l, b - t) < 4 * near) { best = one; least = area; }
    }
    return best;
  }

  redraw(picture = false) {
    this.waiting.overlay = true;
    if (picture) this.waiting.picture = true;
    if (this.waiting.asked) return;
    this.waiting.asked = true;
    requestAnimationFrame(() => this.#paint());
  }

  paintNow() { this.#paint(); }

  #look(scale, x, y) {
    const { clientWidth: w, clientHeight: h } = this.host;
    this.#place(scale, x - w / scale / 2, y - h / scale / 2);
  }

  #place(scale, left, top) {
    const { clientWidth: w, clientHeight: h } = this.host, margin = 0.5;
    const within = (value, size, seen) => seen >= size ? (size - seen) / 2 : Math.max(-margin * seen, Math.min(size - (1 - margin) * seen, value));
    Object.assign(this, { scale, left: within(left, this.width, w / scale), top: within(top, this.height, h / scale) });
    this.redraw(true);
    this.dispatchEvent(new CustomEvent("view"));
  }

  #resized() {
    const ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = this.host;
    for (const canvas of [this.picture, this.overlay]) {
      canvas.width = Math.max(1, Math.round(w * ratio));
      canvas.height = Math.max(1, Math.round(h * ratio));
    }
    if (this.fitted) this.fit();
    this.redraw(true);
  }

  #paint() {
    const { picture, waiting } = this, ratio = picture.width / Math.max(1, this.host.clientWidth), k = this.scale * ratio;
    if (waiting.picture) {
      const context = picture.getContext("2d", { alpha: false });
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = "#000";
      context.fillRect(0, 0, picture.width, picture.height);
      context.setTransform(k, 0, 0, k, -this.left * k, -this.top * k);
      context.imageSmoothingEnabled = k < 2;
      if (this.bitmap) context.drawImage(this.bitmap, 0, 0, this.width, this.height);
    }
    const context = this.overlay.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    context.setTransform(k, 0, 0, k, -this.left * k, -this.top * k);
    if (this.showOutlines) this.#paintOutlines(context, 1 / k * ratio);
    this.tool?.draw?.(context, 1 / this.scale);
    Object.assign(waiting, { picture: false, overlay: false, asked: false });
  }

  #paintOutlines(context, pixel) {
    const right = this.left + this.host.clientWidth / this.scale, bottom = this.top + this.host.clientHeight / this.scale;
    const seen = this.outlines.filter(({ box: [l, t, r, b] }) => r >= this.left && b >= this.top && l <= right && t <= bottom);
    context.lineJoin = "round";
    for (const one of seen) {
      const chosen = this.selected.has(one.id), hot = this.hovered?.id === one.id;
      context.globalAlpha = one.faint && !chosen && !hot ? 0.55 : 1;
      context.setLineDash(one.dashed ? [4 * pixel, 3 * pixel] : []);
      if (chosen || hot) {
        context.fillStyle = one.colour;
        context.globalAlpha = chosen ? 0.25 : 0.12;
        context.fill(one.path, "evenodd");
        context.globalAlpha = 1;
      }
      if (chosen) { context.strokeStyle = "#fff"; context.lineWidth = 4.5 * pixel; context.stroke(one.path); }
      context.strokeStyle = one.colour;
      context.lineWidth = (chosen ? 2.5 : 1.5) * pixel;
      context.stroke(one.path);
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
    if (this.showText) this.#paintText(context, seen, pixel);
  }

  #paintText(context, seen, pixel) {
    context.font = `600 ${11 * pixel}px system-ui, sans-serif`;
    context.textBaseline = "bottom";
    context.lineWidth = 3 * pixel;
    context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    // no text over another: those of what is selected or pointed at come first, others show when zoomed in
    const rank = one => this.selected.has(one.id) ? 0 : this.hovered?.id === one.id ? 1 : 2;
    const taken = [], height = 12 * pixel;
    for (const one of [...seen].sort((a, b) => rank(a) - rank(b))) {
      if (!one.text || one.faint && rank(one) === 2) continue;
      const [, top, right] = one.box, x = right + 2 * pixel, y = top + 4 * pixel, end = x + context.measureText(one.text).width;
      if (taken.some(([left, low, last]) => x < last && end > left && Math.abs(y - low) < height)) continue;
      taken.push([x, y, end]);
      context.strokeText(one.text, x, y);
      context.fillStyle = rank(one) === 0 ? "#fff" : one.colour;
      context.fillText(one.text, x, y);
    }
  }

  #listen() {
    const canvas = this.overlay, place = event => { const box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };
    const point = event => { const p = place(event); return this.toFrame(p.x, p.y); };
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      const p = place(event), step = event.deltaMode === 1 ? 16 : 1;
      this.zoom(Math.exp(-event.deltaY * step * (event.ctrlKey ? 0.01 : 0.002)), p.x, p.y);
    }, { passive: false });
    canvas.addEventListener("pointerdown", event => {
      canvas.focus({ preventScroll: true });
      try { canvas.setPointerCapture(event.pointerId); } catch { /* it has left already */ }
      this.pointers.set(event.pointerId, { ...place(event), start: place(event) });
      if (this.pointers.size > 1) { this.tool?.cancel?.(); this.gesture = "pinch"; return; }
      this.gesture = event.button === 1 || event.ctrlKey || !this.tool ? "pan" : "tool";
      if (this.gesture === "tool" && event.button === 0) this.tool.down(point(event), event);
    });
    canvas.addEventListener("pointermove", event => {
      const held = this.pointers.get(event.pointerId);
      if (!held) { this.#hover(point(event)); return; }
      const p = place(event), before = { x: held.x, y: held.y };
      if (this.gesture === "pinch" && this.pointers.size === 2) this.#pinch(event.pointerId, before, p);
      else if (this.gesture === "tool") this.tool?.move(point(event), event);
      else if (this.gesture === "pan" && (held.moved ||= Math.hypot(p.x - held.start.x, p.y - held.start.y) > CLICK_PX)) this.pan(p.x - before.x, p.y - before.y);
      if (held.moved || this.gesture !== "pan") Object.assign(held, p);
    });
    const ended = event => {
      const held = this.pointers.get(event.pointerId);
      this.pointers.delete(event.pointerId);
      if (!held) return;
      const p = point(event);
      if (this.gesture === "tool" && event.type === "pointerup" && event.button === 0) this.tool?.up(p, event);
      else if (this.gesture === "pan" && !held.moved && event.button === 0 && event.type === "pointerup" && !this.tool) {
        this.dispatchEvent(new CustomEvent("pick", { detail: { outline: this.at(p.x, p.y), ...p, add: event.shiftKey || event.ctrlKey || event.metaKey } }));
      }
      if (!this.pointers.size) this.gesture = null;
    };
    canvas.addEventListener("pointerup", ended);
    canvas.addEventListener("pointercancel", ended);
    canvas.addEventListener("pointerleave", () => { if (this.hovered) { this.hovered = null; this.redraw(); } });
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("dblclick", event => { if (!this.tool) { const p = place(event); this.zoom(2, p.x, p.y); } });
  }

  #hover(p) {
    if (this.tool) { this.tool.hover?.(p); this.redraw(); return; }
    const found = this.at(p.x, p.y);
    if (found?.id !== this.hovered?.id) {
      this.hovered = found;
      this.overlay.style.cursor = found ? "pointer" : "";
      this.redraw();
    }
    this.dispatchEvent(new CustomEvent("hover", { detail: { outline: found, ...p } }));
  }

  #pinch(id, before, now) {
    const other = [...this.pointers].find(([name]) => name !== id)[1];
    const was = Math.hypot(before.x - other.x, before.y - other.y), is = Math.hypot(now.x - other.x, now.y - other.y);
    this.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    if (was > 0) this.zoom(is / was, (now.x + other.x) / 2, (now.y + other.y) / 2);
  }
}

function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    for (let i = 0; i < ring.length; i += 2) path[i ? "lineTo" : "moveTo"](ring[i], ring[i + 1]);
    path.closePath();
  }
  return path;
}
