// Tables are sorted by a click on a head; plots follow the page into the dark.
document.addEventListener("click", event => {
  const head = event.target.closest("table.sortable th");
  if (!head) return;
  const table = head.closest("table"), place = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
  const rows = [...table.rows].slice(1), value = row => (row.cells[place] ? row.cells[place].textContent.trim() : "");
  const number = text => (text === "" ? NaN : Number(text.replace(/ .*/, "")));
  rows.sort((a, b) => {
    const x = value(a), y = value(b), p = number(x), q = number(y);
    const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, "en") : p - q;
    return down ? -order : order;
  });
  for (const other of table.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  rows.forEach(row => row.parentNode.append(row));
});
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const ink = dark.matches ? "#ddd" : "#222", line = dark.matches ? "#777" : "#888", grid = dark.matches ? "#333" : "#eee";
  document.querySelectorAll(".plotly-graph-div").forEach(plot => {
    const change = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": ink };
    change["hoverlabel.bgcolor"] = dark.matches ? "#222" : "#fff";
    for (const axis of Object.keys(plot.layout).filter(name => /^[xy]axis/.test(name)))
      Object.assign(change, { [axis + ".gridcolor"]: grid, [axis + ".linecolor"]: line, [axis + ".tickcolor"]: line });
    Plotly.relayout(plot, change);
    plot.data.forEach((trace, i) => {
      const own = trace.line && trace.line.color;
      if (own === "#3c3c3c" || own === "#c8c8c8") Plotly.restyle(plot, { "line.color": dark.matches ? "#c8c8c8" : "#3c3c3c" }, [i]);
    });
  });
}
addEventListener("load", paint);
dark.addEventListener("change", paint);
