"use strict";
// Takes what the run says, a few times a second.
function take(m) {
  last = m;
  $("name").textContent = m.name;
  state(m); readings(m.last); doing(m.status); trust(m.status); held(m.held); tiles(m.status);
  $("alarms").textContent = m.status.alarms.join("\n");
  picture.classes(m.classes); picture.ask(m.version); marks.take(m.notes); plots.tick(m.began_s);
}
let report = null;
async function offer() {  // the run has ended, and its page ends with it: the report is kept here, to be saved or opened
  if (report) return;
  report = element("a", "save the report"); report.download = (last.name.replace(/[^A-Za-z0-9._-]+/g, "_").slice(-60) || "run") + "_report.html";
  try {
    const answer = await fetch("report?" + q);
    if (!answer.ok) return;
    const data = await answer.blob();
    report.href = URL.createObjectURL(data); report.dataset.bytes = data.size; $("state").after(report);
  } catch (e) { $("told").textContent = "the report could not be fetched; it is report.html in the folder of the run"; }
}
const events = new EventSource("events?" + q);
events.onmessage = e => { take(JSON.parse(e.data)); if (last.closed) { events.close(); if (last.report) offer(); } };
events.onerror = () => { if (last && last.closed) return; $("state").textContent = "no connection to insitrack"; $("state").className = "bad"; };
