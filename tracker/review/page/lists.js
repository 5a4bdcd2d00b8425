// The lists at the side: doubtful tracks, all tracks, what was dropped, and the edits made so far.

const MOST = 400;
const words = name => name.replace(/_/g, " ");

export class Lists {
  constructor(element, { colours, choose, restore }) {
    Object.assign(this, { element, colours, choose, restore, tab: "doubt", tracks: null, dropped: null, edits: [], changed: new Set(), selected: new Set() });
    for (const button of document.querySelectorAll("[role=tab]")) button.onclick = () => this.show(button.id.slice(4));
    element.addEventListener("keydown", event => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const rows = [...element.children].filter(row => row.dataset.id), at = rows.findIndex(row => row.getAttribute("aria-selected") === "true");
      const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
      next?.click();
      next?.scrollIntoView({ block: "nearest" });
      event.preventDefault();
    });
  }

  show(tab = this.tab) {
    this.tab = tab;
    for (const button of document.querySelectorAll("[role=tab]")) button.setAttribute("aria-selected", String(button.id === `tab-${tab}`));
    const rows = { doubt: () => this.#tracks(true), tracks: () => this.#tracks(false), dropped: () => this.#dropped(), edits: () => this.#edits() }[tab]();
    this.element.replaceChildren(...rows);
    this.mark(this.selected);
  }

  mark(selected) {
    this.selected = selected;
    for (const row of this.element.children) if (row.dataset.id) row.setAttribute("aria-selected", String(selected.has(row.dataset.id)));
  }

  // the doubtful track after (or before) a given one
  neighbour(id, step) {
    const order = this.tracks ? this.#order(true) : [];
    if (!order.length) return null;
    const at = order.findIndex(k => String(this.tracks.track_id[k]) === id);
    const k = order[at < 0 ? 0 : (at + step + order.length) % order.length];
    return { id: this.tracks.track_id[k], frame: this.tracks.frame[k] };
  }

  facts(id) {
    const k = this.tracks ? this.tracks.track_id.findIndex(one => String(one) === id) : -1;
    return k < 0 ? null : Object.fromEntries(Object.entries(this.tracks).map(([name, column]) => [name, column[k]]));
  }

  #order(doubtful) {
    const order = this.tracks.track_id.map((_, k) => k);
    return doubtful ? order.filter(k => this.tracks.reasons[k] && this.tracks.doubt[k] >= 0.02) : order.sort((a, b) => this.tracks.track_id[a] - this.tracks.track_id[b]);
  }

  #tracks(doubtful) {
    if (!this.tracks) return [none("reading")];
    const order = this.#order(doubtful), rows = order.slice(0, MOST).map(k => this.#track(k));
    if (order.length > MOST) rows.push(none(`and ${order.length - MOST} more`));
    return rows.length ? rows : [none(doubtful ? "nothing is in doubt" : "no tracks")];
  }

  #track(k) {
    const t = this.tracks, id = String(t.track_id[k]), row = item(id);
    const [swatch, name, why, bar] = ["span", "b", "span", "span"].map(kind => document.createElement(kind));
    swatch.className = "swatch";
    swatch.style.background = this.colours[t.defect_class[k]];
    name.textContent = id;
    if (this.changed.has(t.track_id[k])) name.className = "changed";
    why.className = "why";
    why.textContent = `${words(t.defect_class[k])}${t.reasons[k] ? ": " + t.reasons[k] : ""}`;
    why.title = `frames ${t.first[k]} to ${t.last[k]}, seen in ${t.n_observed[k]}`;
    bar.className = "bar";
    bar.title = `doubt ${(100 * t.doubt[k]).toFixed(0)} %`;
    bar.append(document.createElement("i"));
    bar.firstChild.style.width = `${100 * t.doubt[k]}%`;
    row.append(swatch, name, why, bar);
    row.onclick = event => this.choose(id, t.frame[k], event.shiftKey || event.ctrlKey || event.metaKey);
    return row;
  }

  #dropped() {
    const d = this.dropped;
    if (!d) return [none("reading")];
    const rows = d.track_id.slice(0, MOST).map((name, k) => {
      const row = item(`dropped ${name}`), [swatch, id, why, back] = ["span", "b", "span", "button"].map(kind => document.createElement(kind));
      swatch.className = "swatch";
      swatch.style.background = this.colours[d.defect_class[k]];
      id.textContent = name;
      why.className = "why";
      why.textContent = `${words(d.defect_class[k])}, ${d.n[k]} ${d.n[k] === 1 ? "find" : "finds"}${d.score[k] == null ? "" : ", best score " + d.score[k]}`;
      back.textContent = "restore";
      back.onclick = event => { event.stopPropagation(); this.restore(name); };
      row.append(swatch, id, why, back);
      row.onclick = () => this.choose(`dropped ${name}`, d.frame[k], false);
      return row;
    });
    if (d.track_id.length > MOST) rows.push(none(`and ${d.track_id.length - MOST} more, those with the lowest scores`));
    return rows.length ? rows : [none("nothing was dropped")];
  }

  #edits() {
    const rows = this.edits.map((edit, k) => {
      const row = document.createElement("li"), [n, text] = ["span", "span"].map(kind => document.createElement(kind));
      row.className = "plain";
      n.className = "soft";
      n.textContent = k + 1;
      text.textContent = told(edit);
      row.append(n, text);
      return row;
    });
    return rows.length ? rows.reverse() : [none("no edits yet; they are kept in edits.csv of the run as you make them")];
  }
}

export function told(edit) {
  const where = edit.frame === "" ? "" : edit.last_frame === "" || edit.last_frame === edit.frame ? ` in frame ${edit.frame}` : ` in frames ${edit.frame} to ${edit.last_frame}`;
  return {
    delete: () => `deleted ${edit.track_id}${where}`,
    restore: () => `restored ${edit.track_id}${where}${edit.other_id === "" ? "" : " as part of " + edit.other_id}`,
    merge: () => `${edit.other_id} goes on as ${edit.track_id}`,
    split: () => `split ${edit.track_id} at frame ${edit.frame}`,
    class: () => `${edit.track_id} is ${words(edit.defect_class)}${where}`,
    add: () => `drew ${edit.track_id === "" ? "a new " + words(edit.defect_class) : "what " + edit.track_id + " was"}${where}`,
    outline: () => `changed the outline of ${edit.track_id}${where}`,
  }[edit.action]();
}

function item(id) {
  const row = document.createElement("li");
  row.dataset.id = id;
  row.setAttribute("role", "option");
  return row;
}

function none(text) {
  const row = document.createElement("li");
  row.className = "none";
  row.textContent = text;
  return row;
}
