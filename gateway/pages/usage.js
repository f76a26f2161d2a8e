"use strict";
const COLUMNS = [
  ["requests", "Requests"], ["failed", "Failed"], ["prompt_tokens", "Tokens in"], ["cached_tokens", "Cached"],
  ["completion_tokens", "Tokens out"], ["reasoning_tokens", "Reasoning"], ["cost", "Cost"],
  ["cost_with_idle", "With idle"],
];

const address = (format) => `v1/usage?${new URLSearchParams({ by: byId("by").value, days: byId("days").value, format })}`;

function cell(tag, text, number) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (number) made.className = "number";
  return made;
}

function row(cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

async function load(format) {
  let answer;
  try {
    answer = await fetch(address(format), { headers: headers() });
  } catch {
    tell("The gateway can't be reached.");
    return null;
  }
  tell(answer.ok ? "" : await refused(answer));
  return answer.ok ? answer : null;
}

async function show() {
  const answer = await load("json");
  if (!answer) return;
  const { by, whose, data } = await answer.json();
  const table = byId("table");
  table.tHead.replaceChildren(row([
    ...by.map((one) => cell("th", one)), ...COLUMNS.map(([, name]) => cell("th", name, true)),
  ]));
  const figure = (name, value) => name.startsWith("cost") ? value.toFixed(4) : value.toLocaleString("en");
  table.tBodies[0].replaceChildren(...data.map((one) => row([
    ...by.map((name) => cell("td", one[name] || "–")),
    ...COLUMNS.map(([name]) => cell("td", figure(name, one[name]), true)),
  ])));
  table.hidden = !data.length;
  byId("csv").disabled = !data.length;
  byId("whose").textContent = data.length ? `Usage of ${whose}.` : "Nothing was used in these days.";
}

async function download() {
  const answer = await load("csv");
  if (!answer) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `usage-by-${byId("by").value}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

byId("ask").addEventListener("submit", (event) => { event.preventDefault(); show(); });
byId("csv").addEventListener("click", download);
if (keyField.value) show();
