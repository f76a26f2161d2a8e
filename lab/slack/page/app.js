// The page: one person's view of the workspace, kept up to date.

import { act, live, me, read } from "./api.js";
import { renderBlocks, readFields } from "./blocks.js";
import { Composer } from "./composer.js";
import { avatar, el, toast } from "./dom.js";
import { Log } from "./messages.js";
import { Modal } from "./modal.js";

const $ = (id) => document.getElementById(id);
const world = {};
let channel = null;
let threadTs = null;
let log, threadLog, modal, composer, threadComposer;
const unread = new Map();
const waiting = new Set();

async function start() {
  Object.assign(world, await read("state"));
  localStorage.setItem("as", me());
  document.title = `${world.team} workspace`;
  $("team").textContent = world.team;
  log = new Log($("log"), world, { openThread });
  threadLog = new Log($("thread-log"), world, { inThread: true });
  modal = new Modal($("modal"), world);
  composer = new Composer($("compose-place"), world.commands, () => ({ channel: channel.id }));
  threadComposer = new Composer($("thread-compose-place"), [], () => ({ channel: channel.id, thread_ts: threadTs }));
  threadComposer.prompt("Reply…");
  people();
  for (const one of world.channels) if (one.last_ts > lastRead(one.id)) unread.set(one.id, 1);
  const [wanted, ts, parent] = wantedPlace();
  await go(world.channels.find((one) => one.id === wanted) ?? world.channels[0]);
  if (parent ?? ts) await openThread({ ts: parent ?? ts });
  status(world.sockets);
  modal.show(world.modal);
  live(heard, reload, () => status(null));
}

// /archives/C0MODELS/p1700000000000001 as chat.getPermalink writes it, or #C0MODELS
function wantedPlace() {
  const match = /^\/archives\/([^/]+)(?:\/p(\d+)(\d{6}))?/.exec(location.pathname);
  const thread = new URLSearchParams(location.search).get("thread_ts");
  if (match) return [match[1], match[2] && `${match[2]}.${match[3]}`, thread ?? undefined];
  return [location.hash.slice(1) || localStorage.getItem("channel")];
}

async function reload() {
  await meanwhile(() => read("state"), (state) => {
    Object.assign(world, state);
    status(world.sockets);
    modal.show(world.modal);
    home();
  });
  await fill();
}

function status(sockets) {
  const link = $("link");
  link.className = sockets === null ? "off" : sockets ? "on" : "idle";
  link.lastElementChild.textContent = sockets === null ? "reconnecting" : sockets ? "app online" : "app offline";
}

function people() {
  $("people").replaceChildren(
    ...world.people.map((id) => {
      const user = world.users[id];
      const mine = id === world.me;
      const node = el("button", { type: "button", role: "radio", "aria-checked": String(mine), "data-as": user.name });
      node.append(avatar(user), el("span", {}, user.real_name, el("small", {}, user.profile.title)));
      node.addEventListener("click", () => {
        location.href = `/?as=${encodeURIComponent(user.name)}#${channel.kind === "channel" ? channel.id : ""}`;
        if (location.pathname === "/" && mine) location.reload();
      });
      return node;
    }),
  );
}

function label(one) {
  if (one.kind === "channel") return one.name;
  const others = one.members.filter((id) => id !== world.me);
  return others.map((id) => world.users[id]?.real_name ?? id).join(", ");
}

function sidebar() {
  const row = (one) => {
    const count = one.id === channel?.id ? 0 : unread.get(one.id);
    const node = el("a", { href: `#${one.id}`, "data-channel": one.id, class: count ? "unread" : "" });
    if (one.id === channel?.id) node.setAttribute("aria-current", "page");
    const sign = one.kind === "channel" ? "#" : avatar(world.users[one.members.find((id) => id !== world.me)]);
    node.append(el("span", { class: "sign" }, sign), el("span", { class: "name" }, label(one)));
    if (count) node.append(el("span", { class: "count", "aria-label": `${count} new` }, String(count)));
    return el("li", {}, node);
  };
  $("channels").replaceChildren(...world.channels.filter((one) => one.kind === "channel").map(row));
  $("dms").replaceChildren(...world.channels.filter((one) => one.kind !== "channel").map(row));
}

async function go(next) {
  channel = next;
  localStorage.setItem("channel", channel.id);
  document.body.classList.remove("menu-open");
  $("menu").setAttribute("aria-expanded", "false");
  $("title").textContent = (channel.kind === "channel" ? "#" : "") + label(channel);
  $("topic").textContent = channel.topic;
  $("tabs").hidden = channel.kind !== "im";
  composer.prompt(`Message ${$("title").textContent}`);
  tab("messages");
  closeThread();
  await fill();
  if (matchMedia("(min-width: 701px)").matches) composer.box.focus({ preventScroll: true });
}

async function fill() {
  const shown = channel;
  const answer = await meanwhile(() => read("messages", { channel: shown.id }), (got) => {
    if (shown === channel) log.fill(got.messages);
  });
  if (shown !== channel) return;
  seen(answer.messages.at(-1)?.ts);
  if (threadTs) await fillThread(threadTs);
}

function fillThread(ts) {
  return meanwhile(() => read("thread", { channel: channel.id, ts }), (got) => {
    if (got.ok && ts === threadTs) threadLog.fill(got.messages);
  });
}

// what was asked for before a change and drawn after it would hide the change: hear it again on top
async function meanwhile(ask, draw) {
  const changes = [];
  waiting.add(changes);
  try {
    const answer = await ask();
    draw(answer);
    return answer;
  } finally {
    waiting.delete(changes);
    changes.forEach(apply);
  }
}

function lastRead(id) {
  return localStorage.getItem(`read ${me()} ${id}`) ?? "";
}

function seen(ts) {
  unread.delete(channel.id);
  if (ts) localStorage.setItem(`read ${me()} ${channel.id}`, ts);
  sidebar();
}

function tab(name) {
  for (const node of $("tabs").children) node.setAttribute("aria-selected", String(node.dataset.tab === name));
  $("home").hidden = name !== "home";
  $("log").hidden = $("compose-place").hidden = name === "home";
  if (name === "home") {
    home();
    act("open_home", {});
  }
}

function home() {
  const place = {
    world,
    fields: [],
    act: async ({ element, block, value }) => {
      const given = { where: "home", action_id: element.action_id, block_id: block.block_id, value };
      const done = await act("click", { ...given, values: readFields(place.fields) });
      if (!done.ok) toast(done.text);
    },
  };
  const empty = el("p", { class: "empty" }, "This app has published no home tab for you yet.");
  $("home").replaceChildren(...(world.home ? renderBlocks(world.home.blocks, place) : [empty]));
}

async function openThread(message) {
  const root = message.thread_ts ?? message.ts;
  threadTs = root;
  const answer = await fillThread(root);
  if (threadTs !== root) return;
  if (!answer.ok) {
    closeThread();
    toast("This thread is not there any more.");
    return;
  }
  threadTs = answer.messages[0].ts;
  $("thread").hidden = false;
  document.body.classList.add("thread-open");
  $("thread-channel").textContent = $("title").textContent;
  threadLog.follow();
  threadComposer.box.focus({ preventScroll: true });
}

function closeThread() {
  threadTs = null;
  $("thread").hidden = true;
  document.body.classList.remove("thread-open");
}

function heard(change) {
  if (change.kind === "message" && isNews(change.message)) {
    unread.set(change.message.channel, (unread.get(change.message.channel) ?? 0) + 1);
    sidebar();
  }
  for (const changes of waiting) changes.push(change);
  apply(change);
}

function isTop(message) {
  return (message.thread_ts ?? message.ts) === message.ts || message.reply_broadcast;
}

function isNews(message) {
  const first = !message.edited && !message.reply_count && message.user !== world.me;
  return message.channel !== channel.id && isTop(message) && first;
}

function apply(change) {
  if (change.kind === "message") put(change.message);
  else if (change.kind === "gone") {
    if (change.channel === channel.id) log.drop(change.ts);
    threadLog.drop(change.ts);
  } else if (change.kind === "modal") modal.show(change.view);
  else if (change.kind === "home") {
    world.home = change.view;
    home();
  } else if (change.kind === "sockets") status(change.count);
  else if (change.kind === "channel") {
    world.channels = [...world.channels.filter((one) => one.id !== change.channel.id), change.channel];
    sidebar();
  }
}

function put(message) {
  if (message.channel !== channel.id) return;
  if (isTop(message)) {
    log.put(message);
    seen(message.ts);
  }
  if (threadTs && threadTs === (message.thread_ts ?? message.ts)) threadLog.put(message);
}

function menu(open) {
  document.body.classList.toggle("menu-open", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

$("menu").addEventListener("click", () => menu(!document.body.classList.contains("menu-open")));
$("main").addEventListener("click", (event) => {
  if (!$("menu").contains(event.target)) menu(false);
});
$("thread-close").addEventListener("click", closeThread);
for (const node of $("tabs").children) node.addEventListener("click", () => tab(node.dataset.tab));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-channel]");
  const wanted = link && world.channels.find((one) => one.id === link.dataset.channel);
  if (!wanted) return;
  event.preventDefault();
  history.replaceState(null, "", `/?as=${encodeURIComponent(me())}#${wanted.id}`);
  go(wanted);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (document.body.classList.contains("menu-open")) menu(false);
    else closeThread();
  }
  const step = event.altKey && { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    const rows = [...document.querySelectorAll("#sidebar a[data-channel]")].map((one) => one.dataset.channel);
    const next = rows[(rows.indexOf(channel.id) + step + rows.length) % rows.length];
    go(world.channels.find((one) => one.id === next));
  }
});

function begin() {
  start().catch((error) => {
    toast(`The workspace does not answer: ${error.message}`);
    setTimeout(begin, 2000);
  });
}

begin();
