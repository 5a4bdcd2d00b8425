"use strict";
// What stands above the curves: state, last known values with their ages, what holds now, and the controls.
const $ = id => document.getElementById(id);
let last = null;
const sci = v => v == null ? "not known" : v === 0 ? "0" : Math.abs(v) >= 1e4 || Math.abs(v) < 1e-2 ? v.toExponential(2).replace("e+", "e") : v.toPrecision(3);
const age = s => s < 60 ? Math.round(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min " + Math.round(s % 60) + " s" : (s / 3600).toFixed(1) + " h";
function stored(key, value) { try { if (value === undefined) return localStorage.getItem(key); localStorage.setItem(key, value); } catch (e) { return null; } }
function element(name, text, kind) { const one = document.createElement(name); if (text !== undefined) one.textContent = text; if (kind) one.className = kind; return one; }
if (stored("theme")) document.documentElement.dataset.theme = stored("theme");
$("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark"; stored("theme", document.documentElement.dataset.theme); plots.draw();
};
function tiles(s) {
  const bad = { dropped: s.dropped > 0, damaged: s.damaged > 0, gap: s.gap > 0 };
  const rows = [["processed", s.processed], ["dropped", s.dropped, "dropped"], ["damaged", s.damaged, "damaged"], ["skipped", s.skipped], ["gaps", s.gap, "gap"], ["reconnects", s.reconnects], ["waiting", s.waiting]];
  $("tiles").replaceChildren(...rows.map(([name, value, key]) => { const t = element("div", undefined, "tile" + (bad[key] ? " bad" : "")); t.append(element("span", name), element("b", value ?? "-")); return t; }));
}
function state(m) {
  const s = m.status, quiet = s.silent_s > 3;
  $("state").textContent = m.over ? m.ended : s.paused ? "paused" : quiet ? "no frames since " + age(s.silent_s) : "live";
  $("state").className = m.over ? "" : quiet ? "bad" : "";
  $("pause").textContent = s.paused ? "go on" : "pause";
  $("pause").disabled = $("stop").disabled = m.over;
  document.title = $("state").textContent + " - " + m.name;
}
function doing(s) {  // how fast, how late, what is lost and why, how long the disk lasts
  const parts = [], say = (name, value, bad, why) => { const one = element("span", name + " ", bad ? "bad" : ""); one.append(element("b", value)); if (why) { one.append(", " + why); one.title = why; } parts.push(one); };
  const ago = status => "last " + age(s.lost_ago_s[status] || 0) + " ago";
  say("frames", s.frames_per_s + "/s" + (s.arriving_per_s > s.frames_per_s + .5 ? " of " + s.arriving_per_s + "/s that come" : ""));
  say("delay", s.latency_ms == null ? "not known" : s.latency_ms < 1000 ? Math.round(s.latency_ms) + " ms" : (s.latency_ms / 1000).toFixed(1) + " s", s.latency_ms > 5000);
  say("queue", Math.round(100 * s.queue) + " %", s.queue >= .75);
  if (s.dropped) say("dropped", s.dropped, s.lost_ago_s.dropped < 10, "they come faster than they are processed; " + ago("dropped"));
  if (s.damaged) say("damaged", s.damaged, s.lost_ago_s.damaged < 10, "not decodable, or of another size; " + ago("damaged"));
  if (s.gap) say("gaps", s.gap, s.lost_ago_s.gap < 10, "the source was interrupted; " + ago("gap"));
  if (s.skipped) say("skipped", s.skipped, false, "the run was paused");
  const left = s.disk_left_h;
  say("disk", s.disk_free_gb == null ? "not known" : s.disk_free_gb + " GB free", s.disk_free_gb < 5 || left != null && left < 1,
    left != null ? left > 1000 ? "over 1000 h at this rate" : "full in " + (left < 1 ? Math.round(60 * left) + " min" : left + " h") + " at this rate" : "");
  $("doing").replaceChildren(...parts);
}
function trust(s) {
  $("trust-value").textContent = s.trust == null ? "not known" : s.trust;
  $("trust-why").textContent = $("trust-why").title = s.distrust.join(", ");
  $("trust-value").parentElement.className = "reading" + (s.trust != null && s.trust < s.least_trust ? " old" : "");
}
function held(h) {  // what holds now, as the tables have it
  if (!h || h.thickness_nm === undefined) return;
  const known = (value, unit) => value === "" ? "not known" : value + unit;
  $("held").textContent = "holds now: thickness " + known(h.thickness_nm, " nm") + ", dose rate " + known(h.dose_rate, h.dose_rate === "as logged" ? "" : " dpa/s") + ", material " + known(h.material, "");
  $("undo").disabled = !h.undo; $("undo").title = h.undo ? "take back: " + h.undo : "nothing to undo";
  const names = h.materials.join("\n");
  if ($("material").dataset.names !== names) {
    $("material").dataset.names = names;
    $("material").replaceChildren(...h.materials.map(name => new Option(name, name, name === h.material, name === h.material)));
  }
}
function readings(known) {  // the last known values, each with its age
  const t = known.t, dose = known.dose;
  $("clock").textContent = (t ? t.value[0].toFixed(1) + " s" : "") + (dose ? ", " + sci(dose.value[0]) + " dpa" : "");
  const density = plots.density(), second = density === "n" ? "d3" : density;
  $("d-title").textContent = second === "d2" ? "density (m⁻²)" : "density (m⁻³)";
  for (const [id, key] of [["n", "n"], ["d", second], ["s", "s"], ["hl", "hl"], ["hq", "hq"]]) {
    const one = known[key], old = one && one.age_s > 10, text = key === "n" ? v => String(+v.toPrecision(3)) : sci;
    $(id + "-value").textContent = one ? text(one.value[0]) : "not known";
    $(id + "-band").textContent = one && one.value[1] != null ? text(one.value[1]) + " to " + text(one.value[2]) : "";
    $(id + "-age").textContent = !one ? "" : one.age_s < 2 ? "now" : age(one.age_s) + " ago";
    $(id + "-value").parentElement.className = "reading" + (old ? " old" : "");
  }
}
async function control(body, words) {
  try {
    const r = await fetch("control?" + q, { method: "POST", headers: { "Content-Type": "application/json", "X-Insitrack": "1" }, body: JSON.stringify(body) });
    const told = await r.json(); $("told").textContent = r.ok ? told.told || words : told.error; $("told").className = r.ok ? "" : "bad";
  } catch (e) { $("told").textContent = "no answer: " + e; $("told").className = "bad"; }
}
$("pause").onclick = () => control({ action: last && last.status.paused ? "resume" : "pause" }, "");
$("stop").onclick = () => {
  $("what-stops").textContent = "No more frames are taken" + (last ? ", after " + last.status.processed + " processed ones" : "")
    + ". The tables are then refined and the report is written; everything measured so far is kept. It cannot be taken back: to look away for a while, pause.";
  $("stopping").showModal();
};
$("go-on").onclick = () => $("stopping").close();
$("stop-now").onclick = () => { $("stopping").close(); control({ action: "stop" }, "stopping"); };
$("mark").onclick = () => control({ action: "mark", text: $("text").value || $("text").placeholder }, "marked");
$("text").onkeydown = event => event.key === "Enter" && $("mark").click();
function set(action, box, done) {  // an empty box changes nothing
  if ($(box).value.trim() !== "") control({ action, value: Number($(box).value) }, done);
}
$("setrate").onclick = () => set("dose_rate", "rate", "dose rate set from now on");
$("setthickness").onclick = () => set("thickness", "thickness", "thickness set");
$("setmaterial").onclick = () => $("material").value && control({ action: "material", text: $("material").value }, "material set");
$("undo").onclick = () => control({ action: "undo" }, "taken back");
