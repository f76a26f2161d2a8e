// The wire: what the page asks the workspace, does in somebody's name, and hears live.

export function me() {
  return new URLSearchParams(location.search).get("as") ?? localStorage.getItem("as") ?? "alice";
}

export async function read(what, params = {}) {
  const response = await fetch(`/_lab/${what}?${new URLSearchParams({ as: me(), ...params })}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

export async function act(name, args) {
  const response = await fetch(`/_lab/act/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ as: me(), ...args }),
  });
  if (!response.ok) return { ok: false, error: "http", text: await response.text() };
  return response.json();
}

export function live(heard, up, down) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/_lab/live?as=${encodeURIComponent(me())}`);
  socket.addEventListener("open", up);
  socket.addEventListener("message", (event) => heard(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    down();
    setTimeout(() => live(heard, up, down), 1000);
  });
}
