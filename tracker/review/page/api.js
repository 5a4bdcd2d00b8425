// What the page asks of the server. Refusals come as Error with the words of the server.

export async function ask(address) {
  const answer = await fetch(address);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error ?? `the server answered ${answer.status}`);
  return told;
}

export async function change(what, body = {}) {
  let answer;
  try {
    answer = await fetch(what, { method: "POST", headers: { "Content-Type": "application/json", "X-Insitrack": "1" }, body: JSON.stringify(body) });
  } catch { throw new Error("no connection to insitrack: is track review still open?"); }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error ?? `the server answered ${answer.status}`);
  return told;
}
