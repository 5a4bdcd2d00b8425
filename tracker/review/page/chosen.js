// The card of what is selected: class, what can be done with it, and snapshots through its life.

import { ask } from "./api.js";

const MOST = 16, SVG = "http://www.w3.org/2000/svg";
const words = name => name.replace(/_/g, " ");

export class Chosen {
  constructor(element, { classes, colours, placeOf, act, goTo, pictures }) {
    Object.assign(this, { element, classes, colours, placeOf, act, goTo, pictures, asked: 0 });
  }

  async show(ids, facts, frame) {
    const asked = ++this.asked;
    if (!ids.length) { this.element.replaceChildren(); return; }
    const head = document.createElement("div");
    head.className = "chosen-head";
    if (ids[0].startsWith("dropped ")) this.#dropped(head, ids[0]);
    else if (ids.length > 1) this.#several(head, ids);
    else this.#one(head, ids[0], facts);
    const strip = document.createElement("div");
    strip.className = "strip";
    strip.setAttribute("aria-label", "snapshots through its life");
    if (!this.element.querySelector(".strip") || this.shown !== ids[0]) this.element.replaceChildren(head, strip);
    else this.element.replaceChildren(head, this.element.querySelector(".strip"));
    this.shown = ids[0];
    if (ids.length === 1 && !ids[0].startsWith("dropped ")) {
      const { rows } = await ask(`life?id=${ids[0]}`);
      if (asked === this.asked) this.#strip(rows, frame);
    } else this.element.querySelector(".strip").replaceChildren();
  }

  at(frame) {
    let best = null;
    for (const button of this.element.querySelectorAll(".strip button")) {
      button.removeAttribute("aria-current");
      if (Number(button.dataset.frame) <= frame) best = button;
    }
    best?.setAttribute("aria-current", "true");
  }

  #button(text, action, title, kind = "") {
    const button = document.createElement("button");
    Object.assign(button, { textContent: text, title, className: kind });
    button.onclick = () => this.act(action);
    return button;
  }

  #one(head, id, facts) {
    const name = document.createElement("b"), select = document.createElement("select");
    name.textContent = `track ${id}`;
    select.setAttribute("aria-label", `class of track ${id}`);
    select.append(...this.classes.map(one => new Option(words(one), one, false, one === facts?.defect_class)));
    select.onchange = () => this.act("class", select.value);
    const life = document.createElement("span");
    life.className = "soft";
    life.textContent = facts ? `${facts.first === facts.last ? `frame ${facts.first}` : `frames ${facts.first} to ${facts.last}`}${facts.probability == null ? "" : ", probability " + facts.probability.toFixed(2)}${facts.size_nm == null ? "" : ", " + facts.size_nm.toFixed(1) + " nm"}` : "";
    head.append(name, select, life, this.#button("delete", "delete", "delete (Del)", "hot"), this.#button("split here", "split", "from this frame on a track of its own (S)"), this.#button("adjust", "adjust", "adjust its outline (E)"));
    if (facts?.reasons) {
      const why = document.createElement("span");
      why.className = "reasons";
      why.textContent = facts.reasons;
      head.append(why);
    }
  }

  #several(head, ids) {
    const name = document.createElement("b");
    name.textContent = `tracks ${ids.join(" and ")}`;
    head.append(name);
    if (ids.length === 2) head.append(this.#button(`merge into ${ids[0]}`, "merge", `${ids[1]} goes on as ${ids[0]} (M)`));
    head.append(this.#button("delete", "delete", "delete them (Del)", "hot"));
  }

  #dropped(head, id) {
    const name = document.createElement("b");
    name.textContent = `dropped find ${id.slice(8)}`;
    head.append(name, this.#button("restore", "restore", "make it a track again (R)"));
  }

  #strip(rows, frame) {
    const strip = this.element.querySelector(".strip"), n = Math.min(MOST, rows.length);
    if (!n || !strip) return;
    const chosen = Array.from({ length: n }, (_, k) => rows[Math.round(k * (rows.length - 1) / Math.max(1, n - 1))]);
    const side = Math.max(24, Math.ceil(2.2 * Math.max(...rows.map(([, , , x1, y1, x2, y2]) => Math.max(x2 - x1, y2 - y1)))));
    strip.replaceChildren(...chosen.map(([number, seen, label, x1, y1, x2, y2]) => {
      const button = document.createElement("button"), shot = document.createElement("span"), box = document.createElementNS(SVG, "svg"), ring = document.createElementNS(SVG, "rect");
      const x = Math.round((x1 + x2) / 2), y = Math.round((y1 + y2) / 2), left = x - Math.floor(side / 2), top = y - Math.floor(side / 2);
      shot.className = "shot";
      if (this.pictures) {
        const picture = new Image();
        Object.assign(picture, { alt: "", loading: "lazy", src: `snapshot?place=${this.placeOf(number)}&x=${x}&y=${y}&side=${side}` });
        shot.append(picture);
      }
      box.setAttribute("viewBox", `0 0 ${side} ${side}`);
      for (const [key, value] of Object.entries({ x: x1 - left, y: y1 - top, width: x2 - x1, height: y2 - y1, fill: "none", stroke: this.colours[label], "stroke-width": side / 50, "stroke-dasharray": seen ? "" : `${side / 20}` })) ring.setAttribute(key, value);
      box.append(ring);
      shot.append(box);
      button.append(shot, `${number}${seen ? "" : " filled"}`);
      button.dataset.frame = number;
      button.setAttribute("aria-label", `frame ${number}, ${words(label)}${seen ? "" : ", filled in"}`);
      button.onclick = () => this.goTo(number);
      return button;
    }));
    this.at(frame);
  }
}
