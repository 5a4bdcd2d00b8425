// Keys for everything, and the sheet that shows them.
//
//   const keys = new Keys([{ keys: ["ArrowRight", "d"], does: "next frame", group: "Frames", run: event => ... }])
//   keys.sheet()         a <dialog> with all of them; the page appends it once and calls showModal()
//   keys.first           function (event) -> true: asked before the table, for a tool that takes keys
//
// A key is the name of KeyboardEvent.key; "Ctrl+z" also means Command on a Mac; "Shift+ArrowRight" wants Shift held.
// Letters count in small and large; what is typed into a field is left alone. An entry without `run` is only shown.

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Delete: "Del", Escape: "Esc" };

export class Keys {
  constructor(entries) {
    this.entries = entries;
    this.first = () => false;
    this.table = new Map(entries.filter(one => one.run).flatMap(one => one.keys.map(key => [key, one])));
    window.addEventListener("keydown", event => this.#pressed(event));
  }

  #pressed(event) {
    const typing = event.target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), select, textarea");
    if (typing || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("button, a, summary, [role=option]") && (event.key === "Enter" || event.key === " ")) return;
    if (event.key.startsWith("Arrow") && event.target.closest?.("[type=radio]")) return;
    if (this.first(event)) { event.preventDefault(); return; }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "") + (event.shiftKey && (event.key.length > 1 || /[a-z]/.test(key)) ? "Shift+" : "") + key;
    const found = this.table.get(name);
    if (!found) return;
    event.preventDefault();
    found.run(event);
  }

  sheet(title = "Keys") {
    const dialog = document.createElement("dialog"), head = document.createElement("h2"), grid = document.createElement("div");
    dialog.className = "keys";
    dialog.setAttribute("aria-label", title);
    head.textContent = title;
    grid.className = "groups";
    for (const group of new Set(this.entries.map(one => one.group))) {
      const part = document.createElement("section"), name = document.createElement("h3"), list = document.createElement("dl");
      name.textContent = group;
      for (const one of this.entries.filter(entry => entry.group === group)) {
        const term = document.createElement("dt"), words = document.createElement("dd");
        for (const key of one.keys) term.append(...key.split(/(?<=.)\+/).map(part => Object.assign(document.createElement("kbd"), { textContent: NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part) })), " ");
        words.textContent = one.does;
        list.append(term, words);
      }
      part.append(name, list);
      grid.append(part);
    }
    const close = Object.assign(document.createElement("button"), { textContent: "close", autofocus: true });
    close.onclick = () => dialog.close();
    dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
    dialog.append(head, grid, close);
    return dialog;
  }
}
