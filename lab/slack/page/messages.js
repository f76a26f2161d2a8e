// One message as a row: author, time, text or blocks, files, reactions, replies.

import { act } from "./api.js";
import { readFields, renderBlocks } from "./blocks.js";
import { avatar, clock, day, el, emoji, icon, toast } from "./dom.js";
import { inline, mrkdwn, plain } from "./text.js";

const TOGETHER = 300; // seconds within which the same author's next message needs no new name

export function messageRow(message, world, { inThread = false, openThread } = {}) {
  const author = world.users[message.user];
  const whisper = Boolean(message.ephemeral_to);
  const row = el("article", {
    class: `message${whisper ? " whisper" : ""}`,
    "data-ts": message.ts,
    "data-user": message.user,
    "aria-label": `${author?.real_name ?? message.user}, ${clock(message.ts)}`,
  });
  const name = el("strong", {}, author?.real_name ?? message.user);
  const when = new Date(Number(message.ts) * 1000);
  const time = el("time", { datetime: when.toISOString(), title: when.toLocaleString() }, clock(message.ts));
  const who = el("header", {}, name, author?.is_bot && el("span", { class: "badge" }, "APP"), time);
  const body = el("div", { class: "body" });
  if (whisper) body.append(el("p", { class: "only" }, icon("eye"), " Only visible to you"));
  body.append(who, ...content(message, world));
  if (message.files) body.append(...message.files.map(fileCard));
  if (message.reactions) body.append(reactions(message));
  if (!inThread && message.reply_count) body.append(replies(message, world, openThread));
  row.append(avatar(author), body);
  if (!whisper && !inThread) row.append(tools(message, openThread));
  return row;
}

function content(message, world) {
  const place = {
    world,
    fields: [],
    act: ({ element, block, value }) => clickIn(message, place, element, block, value),
  };
  const edited = message.edited && el("span", { class: "edited" }, "(edited)");
  const nodes = [];
  if (message.blocks?.length) nodes.push(...renderBlocks(message.blocks, place));
  else if (message.text) {
    const text = el("div", { class: "b-text" }, mrkdwn(message.text, world));
    if (edited) text.append(" ", edited);
    nodes.push(text);
  }
  for (const one of message.attachments ?? []) nodes.push(attachment(one, place));
  if (edited && message.blocks?.length) nodes.push(el("div", {}, edited));
  return nodes;
}

async function clickIn(message, place, element, block, value) {
  const given = { channel: message.channel, ts: message.ts, action_id: element.action_id, block_id: block.block_id };
  const done = await act("click", { ...given, value, values: readFields(place.fields) });
  if (!done.ok) toast(done.text);
}

function attachment(one, place) {
  const node = el("div", { class: "attachment" });
  if (/^#?[0-9a-f]{6}$/i.test(one.color ?? "")) {
    node.style.setProperty("--bar", "#" + one.color.replace("#", ""));
  }
  if (one.pretext) node.append(el("div", {}, mrkdwn(one.pretext, place.world)));
  if (one.title) node.append(el("strong", {}, plain(one.title)));
  if (one.text) node.append(el("div", { class: "b-text" }, mrkdwn(one.text, place.world)));
  node.append(...renderBlocks(one.blocks, place));
  return node;
}

function fileCard(file) {
  const address = `/_lab/file/${encodeURIComponent(file.id)}`;
  const title = file.title || file.name;
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.mimetype)) {
    const image = el("img", { src: address, alt: file.alt_txt || title });
    const link = el("a", { href: address, target: "_blank", rel: "noopener" }, image);
    return el("figure", { class: "file picture" }, el("figcaption", {}, title), link);
  }
  const size = file.size > 1 << 20 ? `${(file.size / (1 << 20)).toFixed(1)} MB` : `${Math.ceil(file.size / 1024)} KB`;
  const words = el("span", {}, el("strong", {}, title), el("small", {}, `${file.filetype.toUpperCase()} · ${size}`));
  return el("a", { class: "file", href: address, download: file.name }, icon("file"), words);
}

function reactions(message) {
  const pills = message.reactions.map((one) =>
    el("button", {
      type: "button",
      class: "pill",
      "aria-label": `${one.name}, ${one.count}`,
      onclick: () => act("react", { channel: message.channel, ts: message.ts, name: one.name }),
    }, emoji(one.name) ?? `:${one.name}:`, ` ${one.count}`),
  );
  return el("div", { class: "pills" }, pills);
}

function replies(message, world, openThread) {
  const faces = (message.reply_users ?? []).slice(0, 4).map((id) => avatar(world.users[id]));
  const words = `${message.reply_count} ${message.reply_count === 1 ? "reply" : "replies"}`;
  const last = el("small", {}, `last at ${clock(message.latest_reply)}`);
  return el("button", { type: "button", class: "replies", onclick: () => openThread(message) }, faces, el("b", {}, words), last);
}

function tools(message, openThread) {
  const node = el("div", { class: "tools" });
  for (const [name, sign] of [["white_check_mark", "tick"], ["eyes", "eye"]]) {
    const reacted = () => act("react", { channel: message.channel, ts: message.ts, name });
    node.append(el("button", { type: "button", "aria-label": `React ${name}`, onclick: reacted }, icon(sign)));
  }
  const open = () => openThread(message);
  node.append(el("button", { type: "button", class: "reply", "aria-label": "Reply in thread", onclick: open }, icon("reply")));
  return node;
}

function countLine(count) {
  return el("div", { class: "count-line" }, `${count} ${count === 1 ? "reply" : "replies"}`);
}

// A list of messages that keeps its rows in order, its dividers right, and its end in sight.
export class Log {
  constructor(node, world, options) {
    Object.assign(this, { node, world, options, rows: new Map(), drawn: new Map(), pinned: true });
    node.addEventListener("scroll", () => {
      this.pinned = node.scrollHeight - node.scrollTop - node.clientHeight < 80;
    });
    node.addEventListener("load", () => this.follow(), true); // a picture arrived and pushed the end down
  }

  follow() {
    if (this.pinned) this.node.scrollTop = this.node.scrollHeight;
  }

  fill(messages) {
    // rows that did not change stay: whoever is about to click one keeps it, and the focus
    const kept = new Set(messages.map((message) => message.ts));
    for (const ts of [...this.rows.keys()]) {
      if (!kept.has(ts)) this.forget(ts);
    }
    if (!this.rows.size) this.pinned = true;
    for (const message of messages) this.put(message, false);
    this.settle();
    this.follow();
  }

  put(message, settle = true) {
    const old = this.rows.get(message.ts);
    const drawn = JSON.stringify(message);
    if (old && this.drawn.get(message.ts) === drawn) return;
    this.drawn.set(message.ts, drawn);
    const row = messageRow(message, this.world, this.options);
    if (old) old.replaceWith(row);
    else {
      const later = [...this.rows.keys()].filter((ts) => ts > message.ts).sort()[0];
      this.node.insertBefore(row, later ? this.rows.get(later) : null);
    }
    this.rows.set(message.ts, row);
    if (!settle) return;
    this.settle();
    this.follow();
  }

  drop(ts) {
    this.forget(ts);
    this.settle();
  }

  forget(ts) {
    this.rows.get(ts)?.remove();
    this.rows.delete(ts);
    this.drawn.delete(ts);
  }

  settle() {
    for (const divider of this.node.querySelectorAll(".day, .empty, .count-line")) divider.remove();
    let before = null;
    let place = 0;
    for (const ts of [...this.rows.keys()].sort()) {
      const row = this.rows.get(ts);
      const fresh = !before || day(before.dataset.ts) !== day(ts);
      if (fresh && !this.options?.inThread) this.node.insertBefore(el("div", { class: "day" }, day(ts)), row);
      const close = !fresh && Number(ts) - Number(before.dataset.ts) < TOGETHER;
      const whispers = row.classList.contains("whisper") || before?.classList.contains("whisper");
      const parted = this.options?.inThread && place === 1; // the first reply is not a second line of its parent
      if (parted) this.node.insertBefore(countLine(this.rows.size - 1), row);
      place += 1;
      row.classList.toggle("compact", Boolean(close && !parted && !whispers && before.dataset.user === row.dataset.user));
      before = row;
    }
    if (!before) this.node.append(el("p", { class: "empty" }, inline("Nothing here yet. Type `/` to see the app's commands.", this.world)));
  }
}
