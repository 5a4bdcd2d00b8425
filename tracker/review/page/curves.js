// The curves of the run as it was and as it would be, drawn by plotly.js of the installed package.

const PANELS = { density: ["density_per_m3", "density_per_m2", "n"], size: ["size_nm"], hardening: ["hardening_linear_mpa"] };
const FOLLOW_MS = 150;
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const known = values => values?.some(value => value != null);
const ends = key => [`${key}_lo`, `${key}_hi`];

export class Curves {
  constructor(words, goTo) {
    Object.assign(this, { words, goTo, before: null, now: null, t: 0 });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  load() {  // five megabytes, read by the thread that paints: they come after the first frame
    const library = document.createElement("script");
    library.src = "plotly.js";
    library.onload = () => this.draw();
    document.head.append(library);
  }

  show({ before = this.before, now = this.now }) { Object.assign(this, { before, now }); this.draw(); }

  at(t) {  // plotly takes some milliseconds: the line follows at its own pace, the frame does not wait for it
    this.t = t;
    if (!this.drawn) return;
    this.waiting ??= setTimeout(() => {
      this.waiting = null;
      for (const id of Object.keys(PANELS)) Plotly.relayout(id, { "shapes[0].x0": this.t, "shapes[0].x1": this.t });
    }, FOLLOW_MS);
  }

  draw() {
    if (!this.now || !window.Plotly) return;
    for (const [id, keys] of Object.entries(PANELS)) this.#panel(id, keys);
    this.drawn = true;
  }

  #panel(id, keys) {
    const all = this.now.classes.all, was = this.before?.classes.all;
    const key = keys.find(one => known(all[one])) ?? keys.at(-1), [title, unit] = this.words[key];
    const t = this.now.t_s, blue = style("--go"), soft = style("--soft"), line = style("--line"), [lo, hi] = ends(key);
    const band = [], back = [], x = [], highs = [];
    for (let i = 0; i < t.length; i++) if (all[lo]?.[i] != null && all[hi]?.[i] != null) { x.push(t[i]); band.push(all[hi][i]); back.unshift(all[lo][i]); }
    for (const one of [all[key], was?.[key] ?? []]) for (const value of one) if (value != null) highs.push(value);
    const high = Math.max(0, ...highs), top = Math.max(high, Math.min(Math.max(0, ...band), 2.2 * high)) * 1.06 || 1;
    const traces = [
      { x: [...x, ...[...x].reverse()], y: [...band, ...back], fill: "toself", fillcolor: blue, opacity: 0.16, line: { width: 0 }, mode: "lines", hoverinfo: "skip" },
      { x: this.before?.t_s ?? [], y: was?.[key] ?? [], mode: "lines", line: { color: soft, width: 1.5, dash: "dot" }, hovertemplate: "was %{y:.4g}<extra></extra>" },
      { x: t, y: all[key], mode: "lines", line: { color: blue, width: 2 }, hovertemplate: `%{y:.4g} ${unit}<extra></extra>` },
    ];
    const axes = { gridcolor: line, zerolinecolor: line, linecolor: line, tickfont: { size: 10 }, exponentformat: "power", fixedrange: true };
    Plotly.react(id, traces, {
      margin: { l: 52, r: 6, t: 4, b: 22 }, height: 116, showlegend: false, hovermode: "x unified", dragmode: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: soft, size: 10, family: "system-ui, sans-serif" },
      hoverlabel: { bgcolor: style("--panel"), font: { color: style("--fg") }, bordercolor: line },
      xaxis: { ...axes, ticksuffix: " s" }, yaxis: { ...axes, range: [0, top], nticks: 4 },
      shapes: [{ type: "line", x0: this.t, x1: this.t, yref: "paper", y0: 0, y1: 1, line: { color: style("--fg"), width: 1 } }],
      annotations: known(all[key]) ? [] : [{ text: `${title} not known`, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5, font: { size: 12 } }],
    }, { displayModeBar: false, responsive: true });
    document.getElementById(`${id}-name`).textContent = title + (unit ? ` (${unit})` : "");
    const plot = document.getElementById(id);
    if (!plot.dataset.wired) { plot.dataset.wired = "1"; plot.on("plotly_click", event => this.goTo(event.points[0].x)); }
  }
}
