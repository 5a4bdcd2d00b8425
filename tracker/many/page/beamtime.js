"use strict";
// Cards of the runs that go on, and a table of those that ended; asked for once a second while somebody looks.
const $ = id => document.getElementById(id);
const sci = v => v == null ? "" : v === 0 ? "0" : Math.abs(v) >= 1e4 || Math.abs(v) < 1e-2 ? v.toExponential(2).replace("e+", "e") : String(+v.toPrecision(3));
const age = s => s < 60 ? Math.round(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min " + Math.round(s % 60) + " s" : s < 172800 ? (s / 3600).toFixed(1) + " h" : Math.round(s / 86400) + " days";
function element(name, text, kind) { const one = document.createElement(name); if (text !== undefined) one.textContent = text; if (kind) one.className = kind; return one; }
const density = last => last.density_per_m3 ? ["density (m⁻³)", last.density_per_m3] : ["density (m⁻²)", last.density_per_m2];
function curve(points) {  // every stretch that is known is a line; one value alone is a dot
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), known = points.filter(([t, v]) => t != null && v != null);
  svg.setAttribute("viewBox", "0 0 300 70"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "number in view against time");
  if (!known.length) return svg;
  const t0 = known[0][0], t1 = known[known.length - 1][0], high = Math.max(...known.map(p => p[1])) || 1;
  const x = t => t1 > t0 ? 2 + 296 * (t - t0) / (t1 - t0) : 150, y = v => 67 - 62 * v / high;
  let line = [];
  const end = () => {
    if (!line.length) return;
    if (line.length === 1) line.push([line[0][0] + .6, line[0][1]]);
    const one = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    one.setAttribute("points", line.map(p => p[0].toFixed(1) + "," + p[1].toFixed(1)).join(" ")); svg.append(one); line = [];
  };
  for (const [t, v] of points) { if (t == null || v == null) end(); else line.push([x(t), y(v)]); }
  end();
  return svg;
}
function card(run) {
  const box = element("div", undefined, "card"), list = element("dl"), c = run.counts, quiet = run.silent_s > 10;
  const say = (name, value, bad) => { if (value !== "") list.append(element("dt", name), element("dd", value, bad ? "bad" : "")); };
  box.append(element("h3", run.run));
  say("state", !run.alive ? "cut off; track resume goes on" : quiet ? "no frames since " + age(run.silent_s) : "running", !run.alive || quiet);
  const with_band = v => v ? sci(v[0]) + (v[1] != null ? " (" + sci(v[1]) + " to " + sci(v[2]) + ")" : "") : "not known";
  const [title, value] = density(run.last);
  say("in view", with_band(run.last.n)); say(title, with_band(value)); say("mean size (nm)", with_band(run.last.size_nm));
  if (run.last.hardening_linear_mpa) say("hardening (MPa)", with_band(run.last.hardening_linear_mpa));
  if (run.last.dose_dpa) say("dose (dpa)", sci(run.last.dose_dpa[0]));
  say("frames", (c.processed || 0) + (run.frames_per_s ? ", " + run.frames_per_s + "/s" : ""));
  const lost = ["dropped", "damaged", "gap"].filter(name => c[name]).map(name => c[name] + " " + name).join(", ");
  if (lost) say("lost", lost, true);
  box.append(list, curve(run.curve));
  const foot = element("small"), t = run.last.t_s;
  foot.append(element("span", "number in view" + (t ? ", to " + age(t[0]) : "")));
  if (run.page) { const link = element("a", "its page"); link.href = run.page; link.target = "_blank"; link.rel = "noopener"; foot.append(link); }
  else foot.append(element("span", run.host));
  box.append(foot);
  return box;
}
function row(run, now) {
  const tr = element("tr"), link = element("td");
  const cells = [run.run, run.status, run.frames, sci(run.n), sci(run.density_per_m3 ?? run.density_per_m2) + (run.density_per_m3 != null ? " m⁻³" : run.density_per_m2 != null ? " m⁻²" : ""), sci(run.size_nm), sci(run.hardening_linear_mpa), sci(run.trust), age(Math.max(0, now - run.ended_s)) + " ago"];
  tr.append(...cells.map((text, i) => element("td", text ?? "", i === 1 && text !== "done" ? "bad" : "")));
  if (run.report) { const one = element("a", "report"); one.href = "report?" + token + "run=" + encodeURIComponent(run.run); one.target = "_blank"; one.rel = "noopener"; link.append(one); }
  tr.append(link);
  return tr;
}
const token = (t => t ? "token=" + encodeURIComponent(t) + "&" : "")(new URLSearchParams(location.search).get("token"));
let before = "";
async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("runs?" + token), text = await answer.text();
    if (!answer.ok) throw new Error(answer.status);
    const m = JSON.parse(text);
    $("state").textContent = m.running.length + " running"; $("state").className = "soft";
    if (text === before) return;
    before = text;
    $("name").textContent = document.title = m.name;
    $("running").replaceChildren(...(m.running.length ? m.running.map(card) : [element("p", "none", "soft")]));
    $("ended").replaceChildren(...m.ended.map(run => row(run, Date.now() / 1000)));
  } catch (e) { $("state").textContent = "no connection to insitrack"; $("state").className = "bad"; }
}
look(); setInterval(look, 1000); document.addEventListener("visibilitychange", look);
