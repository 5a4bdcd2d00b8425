"use strict";
// The newest frame: asked for when there is a newer one, zoomed with the wheel, two fingers or a double click.
const picture = (() => {
  const view = $("view"), image = $("picture"), hidden = new Set(), fingers = new Map();
  let shown = -1, loading = false, loaded = 0, scale = 1, x = 0, y = 0, whole = false, apart = 0;
  const wanted = more => "picture?" + q + "outlines=" + +$("outlines").checked + "&ids=" + +$("ids").checked + (hidden.size ? "&hide=" + encodeURIComponent([...hidden].join(",")) : "") + (more || "");
  function ask(version, force) {
    if ((version === shown && !force) || loading || document.hidden || Date.now() - loaded < 200 && !force) return;
    loading = true; shown = version;
    const next = new Image(), done = () => { loading = false; loaded = Date.now(); };
    next.onload = () => { image.src = next.src; done(); }; next.onerror = done;
    next.src = wanted((whole ? "&whole=1" : "") + "&v=" + version);
  }
  function place() {
    const w = view.clientWidth, h = view.clientHeight;
    x = Math.min(0, Math.max(w - w * scale, x)); y = Math.min(0, Math.max(h - h * scale, y));
    image.style.transform = scale > 1 ? `translate(${x}px, ${y}px) scale(${scale})` : "";
    image.style.imageRendering = scale > 4 ? "pixelated" : "";
    view.classList.toggle("zoomed", scale > 1); $("unzoom").hidden = scale <= 1;
    if (whole !== scale > 1.5) { whole = scale > 1.5; if (last) ask(last.version, true); }
  }
  function zoom(factor, clientX, clientY) {
    const box = view.getBoundingClientRect(), px = clientX - box.left, py = clientY - box.top, before = scale;
    scale = Math.min(20, Math.max(1, scale * factor));
    x = px - (px - x) * scale / before; y = py - (py - y) * scale / before;
    place();
  }
  view.addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY); }, { passive: false });
  view.ondblclick = event => { if (scale > 1) { scale = 1; place(); } else zoom(3, event.clientX, event.clientY); };
  view.onpointerdown = event => { fingers.set(event.pointerId, event); apart = 0; if (scale > 1) view.setPointerCapture(event.pointerId); };
  view.onpointermove = event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 1 && scale > 1) { x += event.clientX - before.clientX; y += event.clientY - before.clientY; place(); }
    if (fingers.size === 2) {
      const [a, b] = [...fingers.values()], now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (apart) zoom(now / apart, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
      apart = now;
    }
  };
  view.onpointerup = view.onpointercancel = view.onpointerleave = event => { fingers.delete(event.pointerId); apart = 0; };
  $("unzoom").onclick = () => { scale = 1; place(); };
  const again = () => last && ask(last.version, true);
  for (const id of ["outlines", "ids"]) $(id).onchange = again;
  $("snapshot").onclick = async () => {
    try {
      const answer = await fetch(wanted("&whole=1&lossless=1"));
      if (answer.status !== 200) throw new Error("there is no frame yet");
      const link = element("a"), t = last && last.last.t ? "_" + last.last.t.value[0].toFixed(1) + "s" : "";
      link.href = URL.createObjectURL(await answer.blob());
      link.download = (last ? last.name : "frame").replace(/[^A-Za-z0-9._-]+/g, "_").slice(-60) + t + ".png";
      link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      $("told").textContent = link.download; $("told").className = "";
    } catch (e) { $("told").textContent = "no snapshot: " + e.message; $("told").className = "bad"; }
  };
  function classes(found) {  // one line a class, each with a box that takes its outlines off the picture
    $("classes").replaceChildren(...found.map(c => {
      const row = element("tr"), cell = element("td"), label = element("label"), box = element("input"), dot = element("i", undefined, "dot");
      box.type = "checkbox"; box.checked = !hidden.has(c.name); box.title = "outlines of this class";
      box.onchange = () => { if (box.checked) hidden.delete(c.name); else hidden.add(c.name); again(); };
      dot.style.background = c.colour; label.append(box, " ", dot, c.name.replace(/_/g, " ")); cell.append(label);
      row.append(cell, element("td", c.n ?? "-"), element("td", c.size == null ? "-" : c.size.toPrecision(3)));
      return row;
    }));
  }
  let rows = "";
  return { ask, classes: found => { const now = JSON.stringify(found); if (now !== rows) { rows = now; classes(found); } }, get scale() { return scale; }, hidden };
})();
