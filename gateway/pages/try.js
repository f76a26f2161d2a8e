"use strict";
const talk = [];
let running = null;
const wanted = new URLSearchParams(location.search).get("model");

async function fillModels() {
  const select = byId("model");
  if (!keyField.value.trim()) return;
  let answer;
  try {
    answer = await fetch("v1/models", { headers: headers() });
  } catch {
    return tell("The gateway can't be reached.");
  }
  if (!answer.ok) return tell(await refused(answer));
  tell("");
  const { data } = await answer.json();
  const chosen = select.disabled ? wanted : select.value;
  select.replaceChildren(...data.map((one) => new Option(`${one.id} (${one.dayzero.tag})`, one.id)));
  if (data.some((one) => one.id === chosen)) select.value = chosen;
  select.disabled = byId("send").disabled = !data.length;
  if (!data.length) tell("Your key can't call any model yet.");
}

function show(role) {
  const box = document.createElement("div");
  box.className = `said ${role}`;
  byId("talk").append(box);
  return box;
}

// Yields the data of each server-sent event, however the bytes were cut.
async function* events(body) {
  const decoder = new TextDecoder();
  let rest = "";
  for (const reader = body.getReader(); ;) {
    const { value, done } = await reader.read();
    rest += decoder.decode(value || new Uint8Array(), { stream: !done });
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
      if (data.length && data[0] !== "[DONE]") yield JSON.parse(data.join("\n"));
    }
    if (done) return;
  }
}

async function ask() {
  const words = byId("words").value.trim();
  if (!words || running) return;
  tell("");
  talk.push({ role: "user", content: words });
  show("user").textContent = words;
  byId("words").value = "";
  const box = show("assistant");
  const thought = document.createElement("span");
  thought.className = "thought";
  const text = document.createTextNode("");
  const began = performance.now();
  let first = 0, usage = null, said = "";
  running = new AbortController();
  byId("send").disabled = true;
  byId("stop").disabled = false;
  try {
    const body = { model: byId("model").value, messages: talk, stream: true, stream_options: { include_usage: true } };
    const answer = await fetch("v1/chat/completions", {
      method: "POST", signal: running.signal, body: JSON.stringify(body),
      headers: { ...headers(), "content-type": "application/json" },
    });
    if (!answer.ok) throw new Error(await refused(answer));
    for await (const event of events(answer.body)) {
      if (event.error) throw new Error(event.error.message);
      usage = event.usage || usage;
      const delta = event.choices?.[0]?.delta || {};
      const thinking = delta.reasoning_content || delta.reasoning;
      first = first || performance.now();
      if (thinking) {
        if (!thought.isConnected) box.prepend(thought);
        thought.textContent += thinking;
      }
      if (delta.content) {
        if (!text.isConnected) box.append(text);
        text.data += delta.content;
        said += delta.content;
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message);
  }
  const took = (performance.now() - (first || began)) / 1000;
  byId("figures").textContent = usage
    ? `${usage.completion_tokens} tokens, first after ${Math.round(first - began)} ms` +
      (took > 0.05 ? `, ${Math.round(usage.completion_tokens / took)} a second` : "") : "";
  if (said) talk.push({ role: "assistant", content: said });
  else { talk.pop(); box.remove(); byId("words").value = words; byId("talk").lastElementChild?.remove(); }
  running = null;
  byId("send").disabled = false;
  byId("stop").disabled = true;
}

byId("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
byId("words").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
});
byId("stop").addEventListener("click", () => running?.abort());
byId("fresh").addEventListener("click", () => {
  running?.abort();
  talk.length = 0;
  byId("talk").replaceChildren();
  byId("figures").textContent = "";
  tell("");
});
keyField.addEventListener("change", fillModels);
fillModels();
