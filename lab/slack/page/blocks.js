// Block Kit as DOM nodes. `place` says what a click belongs to: {act(action), values, world}.

import { el, emoji } from "./dom.js";
import { inputElement } from "./inputs.js";
import { anchor, inline, markdown, mrkdwn, plain, textObject } from "./text.js";

export function renderBlocks(blocks, place) {
  return (blocks ?? []).map((block) => {
    const draw = BLOCKS[block.type];
    const node = draw ? draw(block, place) : el("p", { class: "unknown" }, `[${block.type}]`);
    node.dataset.blockId = block.block_id;
    return node;
  });
}

const BLOCKS = {
  header: (block) => el("h3", { class: "b-header" }, plain(block.text.text)),
  divider: () => el("hr", { class: "b-divider" }),
  markdown: (block, place) => el("div", { class: "b-text" }, markdown(block.text, place.world)),
  section(block, place) {
    const words = el("div", { class: "b-words" });
    if (block.text) words.append(el("div", { class: "b-text" }, textObject(block.text, place.world)));
    if (block.fields) {
      const fields = block.fields.map((field) => el("div", { class: "b-field" }, textObject(field, place.world)));
      words.append(el("div", { class: "b-fields" }, fields));
    }
    return el("div", { class: "b-section" }, words, block.accessory && element(block.accessory, block, place));
  },
  context(block, place) {
    const parts = block.elements.map((one) =>
      one.type === "image" ? picture(one, "b-tiny") : el("span", {}, textObject(one, place.world)),
    );
    return el("div", { class: "b-context" }, parts);
  },
  actions: (block, place) =>
    el("div", { class: "b-actions" }, block.elements.map((one) => element(one, block, place))),
  image(block) {
    const title = block.title && el("figcaption", {}, plain(block.title.text));
    return el("figure", { class: "b-image" }, title, picture(block, ""));
  },
  input: inputBlock,
  rich_text: (block, place) => el("div", { class: "b-text" }, block.elements.map((one) => rich(one, place.world))),
};

// only pictures of this workspace are loaded; others are a link, for the page asks nobody else for anything
function picture(image, kind) {
  const url = new URL(image.image_url ?? image.slack_file?.url ?? "", location.href);
  const own = /^\/files-pri\/([^/]+)\//.exec(url.pathname);
  if (url.origin !== location.origin) return anchor(url.href, image.alt_text || url.href);
  return el("img", { class: kind, src: own ? `/_lab/file/${own[1]}` : url.href, alt: image.alt_text });
}

function inputBlock(block, place) {
  const kept = place.kept?.[block.block_id]?.[block.element.action_id];
  const changed = block.dispatch_action && ((value) => place.act({ element: block.element, block, value }));
  const field = inputElement(block.element, place.world, kept, changed);
  place.fields.push({ block, element: block.element, read: field.read });
  const group = field.node.className === "ticks";
  const name = el("span", { class: "label" }, plain(block.label.text));
  if (block.optional) name.append(el("small", {}, " (optional)"));
  const hint = block.hint && el("small", { class: "hint" }, plain(block.hint.text));
  const error = el("small", { class: "error", role: "alert", hidden: true });
  const label = el(group ? "fieldset" : "label", { class: "b-input" });
  label.append(...(group ? [el("legend", {}, name)] : [name]), field.node);
  return el("div", { class: "b-input-block" }, label, hint, error);
}

function element(one, block, place) {
  if (one.type === "image") return picture(one, "b-thumb");
  if (one.type === "button") return button(one, block, place);
  if (one.type === "overflow") return overflow(one, block, place);
  const changed = (value) => place.act({ element: one, block, value });
  const field = inputElement(one, place.world, place.kept?.[block.block_id]?.[one.action_id], changed);
  place.fields.push({ block, element: one, read: field.read });
  if (one.placeholder) field.node.setAttribute("aria-label", plain(one.placeholder.text));
  return field.node;
}

function button(one, block, place) {
  const node = el("button", { type: "button", class: `btn ${one.style ?? ""}`, "data-action-id": one.action_id });
  node.textContent = plain(one.text.text);
  if (one.accessibility_label) node.setAttribute("aria-label", one.accessibility_label);
  node.addEventListener("click", async () => {
    if (one.confirm && !(await confirmed(one.confirm, place.world))) return;
    if (one.url && /^https?:/i.test(one.url)) window.open(one.url, "_blank", "noopener");
    await busy(node, () => place.act({ element: one, block }));
  });
  return node;
}

function overflow(one, block, place) {
  const menu = el("div", { class: "menu", role: "menu" });
  const node = el("details", { class: "overflow" }, el("summary", { "aria-label": "More" }, "⋯"), menu);
  for (const option of one.options) {
    const row = el("button", { type: "button", role: "menuitem", "data-value": option.value }, plain(option.text.text));
    row.addEventListener("click", async () => {
      node.open = false;
      if (one.confirm && !(await confirmed(one.confirm, place.world))) return;
      if (option.url && /^https?:/i.test(option.url)) window.open(option.url, "_blank", "noopener");
      await place.act({ element: one, block, value: option.value });
    });
    menu.append(row);
  }
  node.addEventListener("focusout", (event) => {
    if (!node.contains(event.relatedTarget)) node.open = false;
  });
  return node;
}

export async function busy(node, work) {
  node.disabled = true;
  node.classList.add("busy");
  try {
    return await work();
  } finally {
    node.disabled = false;
    node.classList.remove("busy");
  }
}

export function confirmed(confirm, world) {
  const dialog = document.getElementById("confirm");
  const close = (answer) => () => dialog.close(answer);
  const yes = el("button", { type: "button", class: `btn ${confirm.style ?? "primary"}`, onclick: close("yes") });
  yes.textContent = plain(confirm.confirm.text);
  const no = el("button", { type: "button", class: "btn", onclick: close("") }, plain(confirm.deny.text));
  dialog.replaceChildren(
    el("h2", { id: "confirm-title" }, plain(confirm.title.text)),
    el("div", { class: "b-text" }, textObject(confirm.text, world)),
    el("footer", {}, no, yes),
  );
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function rich(part, world) {
  const inside = () => (part.elements ?? []).map((one) => rich(one, world));
  switch (part.type) {
    case "rich_text_section":
      return el("div", {}, inside());
    case "rich_text_quote":
      return el("blockquote", {}, inside());
    case "rich_text_preformatted":
      return el("pre", {}, el("code", {}, inside()));
    case "rich_text_list":
      return el(part.style === "ordered" ? "ol" : "ul", {}, (part.elements ?? []).map((one) => el("li", {}, rich(one, world))));
    case "text":
      return styled(String(part.text ?? ""), part.style);
    case "link":
      return anchor(String(part.url ?? ""), part.text || part.url);
    case "user":
      return inline(`<@${part.user_id}>`, world)[0];
    case "usergroup":
      return inline(`<!subteam^${part.usergroup_id}>`, world)[0];
    case "channel":
      return inline(`<#${part.channel_id}>`, world)[0];
    case "broadcast":
      return inline(`<!${part.range}>`, world)[0];
    case "emoji":
      return emoji(part.name) ?? `:${part.name}:`;
    default:
      return "";
  }
}

function styled(text, style = {}) {
  let node = document.createTextNode(text);
  for (const [name, tag] of [["bold", "strong"], ["italic", "em"], ["strike", "s"], ["code", "code"]]) {
    if (style[name]) node = el(tag, {}, node);
  }
  return node;
}

export function readFields(fields) {
  const values = {};
  for (const { block, element, read } of fields) {
    (values[block.block_id] ??= {})[element.action_id] = read();
  }
  return values;
}

export { mrkdwn };
