// Slack's mrkdwn as DOM nodes. `world` knows the names: {users, channels, groups}.

import { el, emoji, unescape } from "./dom.js";

const INLINE = new RegExp(
  [
    "`([^`\\n]+)`",
    "<([^<>\\n]+)>",
    "(?<![\\w*])\\*(?=\\S)([^*\\n]*?\\S)\\*(?![\\w*])",
    "(?<![\\w_])_(?=\\S)([^_\\n]*?\\S)_(?![\\w_])",
    "(?<![\\w~])~(?=\\S)([^~\\n]*?\\S)~(?![\\w~])",
    ":([a-z0-9_+-]+):",
    "(\\n)",
  ].join("|"),
  "g",
);
const SAFE = /^(https?:\/\/|mailto:)/i;

export function plain(text) {
  return unescape(String(text ?? "")).replace(/:([a-z0-9_+-]+):/g, (all, name) => emoji(name) ?? all);
}

export function mrkdwn(text, world) {
  const fragment = document.createDocumentFragment();
  const pieces = String(text ?? "").split(/```\n?([\s\S]*?)\n?```\n?/);
  pieces.forEach((piece, number) => {
    if (number % 2) fragment.append(el("pre", {}, el("code", {}, literal(piece))));
    else fragment.append(...quoted(piece, world));
  });
  return fragment;
}

// inside code only the brackets of links are dropped, as Slack does
function literal(text) {
  return unescape(text.replace(/<(https?:\/\/[^<>|]+)(?:\|[^<>]*)?>/g, "$1"));
}

function quoted(text, world) {
  const nodes = [];
  let quote = null;
  let rest = [];
  const flush = () => {
    if (rest.length) nodes.push(...inline(rest.join("\n"), world));
    rest = [];
  };
  for (const line of text.split("\n")) {
    const match = /^(?:&gt;|>) ?(.*)$/.exec(line);
    if (match) {
      flush();
      if (quote) quote.append(el("br"));
      else nodes.push((quote = el("blockquote")));
      quote.append(...inline(match[1], world));
    } else {
      quote = null;
      rest.push(line);
    }
  }
  flush();
  return nodes;
}

export function inline(text, world) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > from) nodes.push(unescape(text.slice(from, match.index)));
    const [all, code, link, bold, italic, strike, name, newline] = match;
    if (code !== undefined) nodes.push(el("code", {}, literal(code)));
    else if (link !== undefined) nodes.push(bracket(link, all, world));
    else if (bold !== undefined) nodes.push(el("strong", {}, inline(bold, world)));
    else if (italic !== undefined) nodes.push(el("em", {}, inline(italic, world)));
    else if (strike !== undefined) nodes.push(el("s", {}, inline(strike, world)));
    else if (name !== undefined) nodes.push(emoji(name) ?? all);
    else if (newline) nodes.push(el("br"));
    from = match.index + all.length;
  }
  if (from < text.length) nodes.push(unescape(text.slice(from)));
  return nodes;
}

function bracket(inside, all, world) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : inside.slice(bar + 1);
  if (target.startsWith("@")) return mention("@" + (world.users[target.slice(1)]?.name ?? (label || target.slice(1))));
  if (target.startsWith("#")) {
    const id = target.slice(1);
    const channel = world.channels.find((one) => one.id === id);
    return el("a", { class: "mention", href: `#${id}`, "data-channel": id }, "#" + (channel?.name ?? (label || id)));
  }
  if (target.startsWith("!subteam^")) return mention("@" + (world.groups[target.slice(9)] ?? unescape(label || target)));
  if (target.startsWith("!date^")) return date(target, label);
  if (/^!(channel|here|everyone)$/.test(target)) return mention("@" + target.slice(1), "mention loud");
  if (SAFE.test(target)) return anchor(target, unescape(label || target));
  return unescape(all);
}

function mention(text, kind = "mention") {
  return el("span", { class: kind }, text);
}

function date(target, label) {
  const [, seconds, format = ""] = target.split("^");
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime())) return unescape(label);
  const long = { weekday: "long", day: "numeric", month: "long", year: "numeric" };
  const short = { day: "numeric", month: "short" };
  const text = format
    .replace(/\{date_num\}/g, when.toISOString().slice(0, 10))
    .replace(/\{date_long(_pretty)?\}/g, when.toLocaleDateString([], long))
    .replace(/\{date(_short)?(_pretty)?\}/g, when.toLocaleDateString([], short))
    .replace(/\{time_secs\}/g, when.toLocaleTimeString())
    .replace(/\{time\}/g, when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }))
    .replace(/\{ago\}/g, when.toLocaleString());
  return el("time", { datetime: when.toISOString() }, text);
}

export function anchor(url, text) {
  if (!SAFE.test(url)) return text;
  return el("a", { href: unescape(url), target: "_blank", rel: "noopener noreferrer" }, text);
}

// the `markdown` block: its common forms, by way of mrkdwn
export function markdown(text, world) {
  const escaped = String(text ?? "").replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const turned = escaped
    .replace(/^#{1,6} +(.+)$/gm, "*$1*")
    .replace(/\[([^\]\n]+)\]\((https?:[^)\s]+)\)/g, "<$2|$1>")
    .replace(/\*\*([^*\n]+)\*\*/g, "*$1*")
    .replace(/^[-*] +/gm, "• ");
  return mrkdwn(turned, world);
}

export function textObject(object, world) {
  if (!object) return "";
  return object.type === "mrkdwn" ? mrkdwn(object.text, world) : plain(object.text);
}
