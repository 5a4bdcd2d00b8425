"use strict";
// The curves of the page. They are asked for once a second, already thinned by the server, and drawn by plotly.js,
// which comes from the plotly package of the installation.
const plots = (() => {
  const PANELS = { density: ["d3"], size: ["s"], hardening: ["hl", "hq"] };
  const LINES = { hq: "dash" };
  const chosen = { density: null };  // the finest density that is known, unless she chose
  let data = null, marks = [], began = null, at = 0, asking = false, drawn = false, cost = 0, first = 0;
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const known = values => values.some(Number.isFinite);
  function decode(buffer) {
    const head = new DataView(buffer).getUint32(0, true), facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, head)));
    let at = 4 + head;
    const take = (kind, n) => { const part = new kind(buffer, at, n); at += part.byteLength; return part; };
    const n = facts.points, answer = { t: take(Float64Array, n), dose: take(Float64Array, n), rows: take(Float64Array, n), classes: [], quantities: facts.quantities };
    for (const one of facts.classes) {
      const curves = {}, all = one.name === "all";
      for (const key of Object.keys(facts.quantities)) {
        curves[key] = { v: take(Float32Array, n) };
        if (all) { curves[key].lo = take(Float32Array, n); curves[key].hi = take(Float32Array, n); }
      }
      answer.classes.push({ ...one, curves });
    }
    return answer;
  }
  const clock = t => Number.isFinite(t) && began != null ? new Date(1000 * (began + t) - 60000 * new Date().getTimezoneOffset()).toISOString().slice(0, 23) : null;
  function density() {
    if (chosen.density) return chosen.density;
    const all = data && data.classes.find(one => one.name === "all");
    return all ? ["d3", "d2", "n"].find(key => known(all.curves[key].v)) || "n" : "d3";
  }
  const there = x => typeof x === "string" || Number.isFinite(x);
  function bandOf(x, lo, hi, colour) {  // one closed shape for every stretch that is known
    const bx = [], by = [];
    for (let i = 0; i < x.length;) {
      if (!Number.isFinite(lo[i]) || !Number.isFinite(hi[i]) || !there(x[i])) { i++; continue; }
      let end = i;
      while (end < x.length && Number.isFinite(lo[end]) && Number.isFinite(hi[end]) && there(x[end])) end++;
      for (let k = i; k < end; k++) { bx.push(x[k]); by.push(hi[k]); }
      for (let k = end - 1; k >= i; k--) { bx.push(x[k]); by.push(lo[k]); }
      bx.push(null); by.push(null);
      i = end;
    }
    return { x: bx, y: by, fill: "toself", fillcolor: colour, opacity: 0.18, line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false };
  }
  function curveOf(x, one, key, colour, name) {
    const { v, lo, hi } = one.curves[key], unit = data.quantities[key][1], end = (unit ? " " + unit : "") + "<extra>" + name + "</extra>";
    // the library writes the text of the point under the cursor alone; texts of all points would cost more than the curves
    const plain = "%{y:.4~g}" + end, band = "%{y:.4~g} (%{customdata[0]:.4~g} to %{customdata[1]:.4~g})" + end, mean = band.replace("<extra>", ", mean of %{customdata[2]} frames<extra>");
    const hovertemplate = lo ? Array.from(v, (_, i) => !Number.isFinite(lo[i]) ? plain : data.rows[i] > 1 ? mean : band) : plain;
    const customdata = lo ? Array.from(v, (_, i) => [lo[i], hi[i], data.rows[i]]) : undefined;
    const line = { color: colour, width: 1.6, dash: LINES[key] || "solid" };
    return { x, y: v, customdata, name, mode: "lines", connectgaps: false, hovertemplate, line };
  }
  function alone(x, v, colour) {  // what no line reaches is drawn as a point
    const at = [];
    for (let i = 0; i < v.length; i++) if (Number.isFinite(v[i]) && !Number.isFinite(v[i - 1]) && !Number.isFinite(v[i + 1])) at.push(i);
    return { x: at.map(i => x[i]), y: at.map(i => v[i]), mode: "markers", marker: { color: colour, size: 5 }, hoverinfo: "skip", showlegend: false };
  }
  function top(traces, bands) {  // a band that is far wider than its curve must not flatten the curve
    let high = 0, band = 0;
    for (const one of traces) for (const v of one.y) if (v > high) high = v;
    for (const one of bands) for (const v of one.y) if (v > band) band = v;
    return Math.max(high, Math.min(band, 3 * high)) * 1.05 || 1;
  }
  function panel(id, keys, axis) {
    const x = axis === "clock" ? Array.from(data.t, clock) : data[axis], each = document.getElementById("each").checked, traces = [], bands = [];
    const classes = each ? data.classes.filter(one => one.name === "all" || one.curves[keys[0]].v.some(v => v > 0)) : data.classes.filter(one => one.name === "all");
    for (const one of classes) for (const key of keys) {
      const all = one.name === "all", colour = !all ? one.colour : key === "hq" ? style("--soft") : style("--go"), { v, lo, hi } = one.curves[key];
      const name = (all ? "all" : one.name.replace(/_/g, " ")) + (keys.length > 1 ? ", " + data.quantities[key][0].split(", ")[1] : "");
      if (all && !each) bands.push(bandOf(x, lo, hi, colour));
      traces.push(curveOf(x, one, key, colour, name), alone(x, v, colour));
    }
    const [title, unit] = data.quantities[keys[0]], high = top(traces, bands), line = style("--line"), fg = style("--soft");
    const something = traces.some(one => one.y.some(Number.isFinite)) && (axis !== "dose" || data.dose.some(Number.isFinite));
    const places = marks.map(mark => axis === "t" ? mark.t : axis === "clock" ? clock(mark.t) : mark.dose).map((value, i) => [value, marks[i].text]).filter(([value]) => value != null);
    traces.push({ x: places.map(p => p[0]), y: places.map(() => high), text: places.map(p => p[1]), mode: "markers", marker: { symbol: "triangle-down", size: 8, color: fg }, hovertemplate: "%{text}<extra>mark</extra>", showlegend: false });
    const axes = { gridcolor: line, zerolinecolor: line, linecolor: line, tickfont: { size: 11 }, exponentformat: "power", fixedrange: false };
    const layout = {
      margin: { l: 62, r: 8, t: 24, b: 34 }, height: 200, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: fg, size: 11, family: "system-ui, sans-serif" }, hovermode: "x unified", hoverlabel: { bgcolor: style("--card"), font: { color: style("--fg") }, bordercolor: line },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", uirevision: axis + document.getElementById("span").value + keys[0],
      modebar: { bgcolor: "rgba(0,0,0,0)", color: fg, activecolor: style("--go") },
      showlegend: false,
      xaxis: { ...axes, type: axis === "clock" ? "date" : "linear", title: { text: { t: "time (s)", clock: "clock", dose: "dose (dpa)" }[axis], standoff: 4 }, showspikes: true, spikemode: "across", spikethickness: 1, spikecolor: fg, unifiedhovertitle: { text: { t: "%{x:.2f} s", clock: "%{x|%H:%M:%S}", dose: "%{x:.4g} dpa" }[axis] } },
      yaxis: { ...axes, title: { text: unit || "number", standoff: 4 }, range: [0, high] },
      shapes: places.map(([value]) => ({ type: "line", x0: value, x1: value, yref: "paper", y0: 0, y1: 1, line: { color: fg, width: 1, dash: "dot" } })),
      annotations: something ? [] : [{ text: axis === "dose" && !known(data.dose) ? "dose not known: set a dose rate" : data.t.length ? title + " not known" : "no frames yet", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5, font: { size: 13 } }],
    };
    const config = { responsive: true, displaylogo: false, scrollZoom: true, doubleClick: "reset+autosize", modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };
    Plotly.react(id, [...bands, ...traces], layout, config);
    document.getElementById(id + "-name").textContent = (keys.length > 1 ? "hardening, visible defects only" : title) + (unit ? " (" + unit + ")" : "") + (keys.length > 1 ? ": linear, quadrature dashed" : "");
  }
  function draw() {
    if (!data || !window.Plotly || document.hidden) return;
    const axis = document.getElementById("axis").value, start = performance.now();
    PANELS.density = [density()];
    for (const [id, keys] of Object.entries(PANELS)) panel(id, keys, axis);
    drawn = true; cost = performance.now() - start; first = first || performance.now();
  }
  function show(body) { data = decode(body); draw(); }
  async function ask(now) {  // drawing takes a tenth of the time at most, also on a slow machine
    const span = document.getElementById("span").value;
    if (asking || document.hidden || !now && Date.now() - at < Math.max(span === "whole" ? 2000 : 1000, 10 * cost)) return;
    asking = true; at = Date.now();
    try {
      const answer = await fetch("curves?" + q + "span=" + span + "&each=" + +document.getElementById("each").checked);
      if (answer.ok) show(await answer.arrayBuffer());
    } catch (e) { /* the line of state says that there is no connection */ }
    asking = false;
  }
  for (const id of ["span", "each"]) document.getElementById(id).onchange = () => ask(true);
  document.getElementById("axis").onchange = draw;
  document.getElementById("kind").onchange = event => { chosen.density = event.target.value || null; draw(); };
  document.addEventListener("visibilitychange", () => ask(true));
  const library = document.createElement("script");
  library.src = "plotly.js?" + q; library.onload = draw;
  document.head.append(library);
  function jump(mark) {  // a minute around a mark, in the whole run
    const axis = document.getElementById("axis");
    if (axis.value === "dose") axis.value = "t";
    document.getElementById("span").value = "whole";
    ask(true).then(() => {
      const at = axis.value === "clock" ? clock : t => t;
      for (const id of Object.keys(PANELS)) Plotly.relayout(id, { "xaxis.range": [at(Math.max(0, mark.t - 30)), at(mark.t + 30)] });
    });
  }
  return { draw, jump, show, refresh: () => ask(true), get first_ms() { return first; }, marks: newMarks => { marks = newMarks; draw(); }, tick: newBegan => { began = newBegan; ask(false); }, get data() { return data; }, get drawn() { return drawn; }, density };
})();
