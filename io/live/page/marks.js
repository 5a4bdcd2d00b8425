"use strict";
// The marks in a list, what was done, and the alarms of triggers: asked for only when there are others.
const marks = (() => {
  let version = -1, asking = false, all = [], known = null;
  async function take(now) {
    if (now === version || asking) return;
    asking = true;
    try {
      const answer = await fetch("notes?" + q);
      if (answer.ok) { version = now; show(await answer.json()); }
    } catch (e) { /* the line of state says that there is no connection */ }
    asking = false;
  }
  function ask(words, text) {  // one line from the operator, without a window of the browser that stops everything
    return new Promise(done => {
      $("ask-words").textContent = words; $("ask-text").value = text; $("asking").showModal(); $("ask-text").select();
      $("ask-yes").onclick = () => { done($("ask-text").value.trim()); $("asking").close(); };
      $("ask-no").onclick = () => $("asking").close();
      $("ask-text").onkeydown = event => event.key === "Enter" && $("ask-yes").click();
      $("asking").onclose = () => done("");
    });
  }
  function button(text, title, done) { const one = element("button", text); one.title = title; one.onclick = done; return one; }
  function row(mark) {
    const tr = element("tr"), last = element("td"), dose = mark.dose == null ? "" : sci(mark.dose) + " dpa";
    tr.append(element("td", mark.t.toFixed(1) + " s"), element("td", dose), element("td", mark.text));
    last.append(button("show", "show this time in the curves", () => plots.jump(mark)));
    if (mark.by === "page") last.append(" ",
      button("rename", "give it another text", async () => { const text = await ask("Text of the mark", mark.text); if (text) control({ action: "rename", number: mark.id, text }); }), " ",
      button("move", "put it at another time", async () => { const t = await ask("Time of the mark, s", mark.t.toFixed(1)); if (t !== "") control({ action: "move", number: mark.id, value: Number(t.replace(",", ".")) }); }), " ",
      button("delete", "take it away", () => control({ action: "delete", number: mark.id })));
    else last.append(" ", element("span", mark.by === "trigger" ? "trigger" : ""));
    tr.append(last);
    return tr;
  }
  function show(notes) {
    all = notes.marks;
    $("n-marks").textContent = all.length ? "(" + all.length + ")" : "";
    $("marks").replaceChildren(...[...all].reverse().map(row));
    $("log").replaceChildren(...[...notes.log].reverse().map(one => { const tr = element("tr"); tr.append(element("td", one.t_s.toFixed(1) + " s"), element("td"), element("td", one.what)); return tr; }));
    $("triggers").textContent = notes.triggers && notes.triggers.length ? "Told are: " + notes.triggers.join("; ") : "None was given; --trigger at the start of the run sets them.";
    const fired = all.filter(mark => mark.by === "trigger");
    if (known !== null) for (const mark of fired) if (!known.has(mark.id)) alarm(mark);
    known = new Set(fired.map(mark => mark.id));
    plots.marks(all);
  }
  let audio = null;
  function beep() {
    if (!$("sound").checked || !audio) return;
    for (const [at, tone] of [[0, 880], [.25, 660], [.5, 880]]) {
      const note = audio.createOscillator(), volume = audio.createGain();
      note.frequency.value = tone; volume.gain.value = .2; note.connect(volume).connect(audio.destination);
      note.start(audio.currentTime + at); note.stop(audio.currentTime + at + .2);
    }
  }
  function alarm(mark) {
    $("fired").querySelector("span").textContent = mark.t.toFixed(1) + " s: " + mark.text; $("fired").className = "on";
    beep();
    if ($("notify").checked && window.Notification && Notification.permission === "granted") new Notification("insitrack", { body: mark.text });
  }
  $("fired").querySelector("button").onclick = () => { $("fired").className = ""; };
  $("sound").onchange = () => { if ($("sound").checked) { audio = audio || new AudioContext(); audio.resume(); beep(); } };
  $("notify").onchange = async () => {
    if (!$("notify").checked) return;
    const may = window.Notification && window.isSecureContext ? await Notification.requestPermission() : "not offered: browsers allow it for pages of this computer alone";
    if (may !== "granted") { $("notify").checked = false; $("told").textContent = "notifications: " + may; $("told").className = "bad"; }
  };
  return { take, get all() { return all; } };
})();
