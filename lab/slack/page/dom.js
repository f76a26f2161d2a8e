// Elements without markup: everything that comes from a message becomes text or an attribute set here, never HTML.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", rocket: "🚀", eyes: "👀", tada: "🎉", fire: "🔥",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", hammer_and_wrench: "🛠️", wrench: "🔧", gear: "⚙️", robot_face: "🤖",
  thumbsup: "👍", "+1": "👍", thumbsdown: "👎", "-1": "👎", wave: "👋", heart: "❤️", star: "⭐", sparkles: "✨",
  package: "📦", mag: "🔍", chart_with_upwards_trend: "📈", bar_chart: "📊", memo: "📝", lock: "🔒", unlock: "🔓",
  key: "🔑", email: "✉️", bell: "🔔", no_bell: "🔕", rotating_light: "🚨", stop_sign: "🛑", no_entry: "⛔", zap: "⚡",
  green_circle: "🟢", large_green_circle: "🟢", red_circle: "🔴", yellow_circle: "🟡", large_yellow_circle: "🟡",
  large_orange_circle: "🟠", large_blue_circle: "🔵", white_circle: "⚪", black_circle: "⚫", question: "❓", exclamation: "❗",
  information_source: "ℹ️", arrow_right: "➡️", arrow_up: "⬆️", arrow_down: "⬇️", repeat: "🔁", recycle: "♻️", clock1: "🕐",
  stopwatch: "⏱️", alarm_clock: "⏰", brain: "🧠", computer: "💻", floppy_disk: "💾", link: "🔗", point_right: "👉", pray: "🙏",
  new: "🆕", ok: "🆗", sos: "🆘", checkered_flag: "🏁", crossed_swords: "⚔️", shield: "🛡️", trophy: "🏆", ghost: "👻",
  smile: "😄", slightly_smiling_face: "🙂", thinking_face: "🤔", sweat_smile: "😅", sob: "😭", bug: "🐛", broom: "🧹",
  inbox_tray: "📥", outbox_tray: "📤", satellite: "📡", vertical_traffic_light: "🚦", double_vertical_bar: "⏸️",
  arrow_forward: "▶️", fast_forward: "⏩", wastebasket: "🗑️", pushpin: "📌", page_facing_up: "📄", test_tube: "🧪",
};

export function emoji(name) {
  return EMOJI[name];
}

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };

export function unescape(text) {
  return text.replace(/&(?:lt|gt|amp);/g, (entity) => ENTITIES[entity]);
}

export function avatar(user) {
  const name = user?.real_name || user?.name || "?";
  const node = el("span", { class: user?.is_bot ? "avatar bot" : "avatar", "aria-hidden": "true" });
  node.textContent = user?.is_bot ? "⬢" : name[0].toUpperCase();
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  node.style.setProperty("--hue", hue);
  return node;
}

// the page's own signs are drawn, for a bare machine has no emoji font
const ICONS = {
  eye: "M1 8s2.6-5 7-5 7 5 7 5-2.6 5-7 5-7-5-7-5zm7 2.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4z",
  reply: "M2 3h12v8H7l-3.5 3v-3H2z",
  tick: "M2.5 8.5l3.5 3.5 7.5-8",
  file: "M4 1.5h5.5L12.5 5v9.5h-8.5zM9.5 1.5V5h3",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function toast(text) {
  const node = el("div", { class: "toast" });
  node.textContent = text;
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), 6000);
}

export function clock(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function day(ts) {
  const date = new Date(Number(ts) * 1000);
  const today = new Date();
  if (date.toDateString() === today.toDateString()) return "Today";
  today.setDate(today.getDate() - 1);
  if (date.toDateString() === today.toDateString()) return "Yesterday";
  return date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}
