// What was done, and what was taken back. It keeps entries and asks nothing of them; the page does and undoes.
//
//   const done = new UndoStack(() => show());     called after every change
//   done.push(entry)                              something was done; what was taken back is forgotten
//   done.undo(), done.redo()                      the entry to take back or to do again; null where there is none
//   done.entries, done.undone                     lists, the newest last
//   done.reset(entries, undone)                   as it was kept

export class UndoStack {
  constructor(changed = () => {}) { Object.assign(this, { entries: [], undone: [], changed }); }

  push(entry) {
    this.entries.push(entry);
    this.undone.length = 0;
    this.changed();
  }

  undo() { return this.#move(this.entries, this.undone); }
  redo() { return this.#move(this.undone, this.entries); }

  reset(entries = [], undone = []) {
    Object.assign(this, { entries: [...entries], undone: [...undone] });
    this.changed();
  }

  #move(from, to) {
    if (!from.length) return null;
    const entry = from.pop();
    to.push(entry);
    this.changed();
    return entry;
  }
}
