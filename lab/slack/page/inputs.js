// Block Kit's input elements: each becomes {node, read}, where read() gives what the server's `collect` wants.

import { el } from "./dom.js";
import { plain, textObject } from "./text.js";

const TYPES = { email_text_input: "email", url_text_input: "url", number_input: "text", plain_text_input: "text" };
let serial = 0;

export function inputElement(element, world, kept, changed) {
  const kind = element.type;
  if (kind in TYPES) return typed(element, kept);
  if (kind === "radio_buttons" || kind === "checkboxes") return ticks(element, world, kept, changed);
  if (kind === "datepicker" || kind === "timepicker") return dated(element, kept, changed);
  return select(element, world, kept, changed);
}

function common(element) {
  return { "data-action-id": element.action_id, placeholder: plain(element.placeholder?.text ?? "") };
}

function typed(element, kept) {
  const tag = element.multiline ? "textarea" : "input";
  const attributes = { ...common(element), maxlength: element.max_length, rows: element.multiline ? 4 : undefined };
  if (tag === "input") attributes.type = TYPES[element.type];
  if (element.type === "number_input") attributes.inputmode = element.is_decimal_allowed ? "decimal" : "numeric";
  const node = el(tag, attributes);
  node.value = kept ?? element.initial_value ?? "";
  return { node, read: () => node.value };
}

function ticks(element, world, kept, changed) {
  const many = element.type === "checkboxes";
  const initial = many ? (element.initial_options ?? []).map((one) => one.value) : [element.initial_option?.value];
  const chosen = kept === undefined ? initial : [].concat(kept);
  const name = `choice-${++serial}`;
  const boxes = element.options.map((option) => {
    const box = el("input", { type: many ? "checkbox" : "radio", name, "data-action-id": element.action_id });
    box.value = option.value;
    box.checked = chosen.includes(option.value);
    box.addEventListener("change", () => changed?.(read()));
    return { box, option };
  });
  const read = () => {
    const on = boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
    return many ? on : (on[0] ?? "");
  };
  const rows = boxes.map(({ box, option }) => {
    const words = el("span", {}, textObject(option.text, world));
    if (option.description) words.append(el("small", {}, textObject(option.description, world)));
    return el("label", { class: "tick" }, box, words);
  });
  return { node: el("div", { class: "ticks", role: many ? "group" : "radiogroup" }, rows), read };
}

function dated(element, kept, changed) {
  const node = el("input", { ...common(element), type: element.type === "datepicker" ? "date" : "time" });
  node.value = kept ?? element.initial_date ?? element.initial_time ?? "";
  node.addEventListener("change", () => changed?.(node.value));
  return { node, read: () => node.value };
}

function select(element, world, kept, changed) {
  const many = element.type.startsWith("multi_");
  const node = el("select", { "data-action-id": element.action_id, multiple: many });
  const placeholder = plain(element.placeholder?.text ?? "Choose…");
  if (!many) node.append(new Option(placeholder, ""));
  for (const [label, options] of groups(element, world)) {
    const place = label ? el("optgroup", { label }) : node;
    place.append(...options.map(([value, text]) => new Option(text, value)));
    if (label) node.append(place);
  }
  const initial =
    element.initial_option?.value ?? element.initial_options?.map((one) => one.value) ?? element.initial_user ??
    element.initial_users ?? element.initial_channel ?? element.initial_conversation ?? "";
  const chosen = [].concat(kept ?? initial);
  for (const option of node.options) option.selected = chosen.includes(option.value);
  const read = () => (many ? [...node.selectedOptions].map((one) => one.value) : node.value);
  node.addEventListener("change", () => changed?.(read()));
  return { node, read };
}

function groups(element, world) {
  const rows = (options) => options.map((one) => [one.value, plain(one.text.text)]);
  if (element.option_groups) return element.option_groups.map((one) => [plain(one.label.text), rows(one.options)]);
  if (element.options) return [["", rows(element.options)]];
  if (element.type.includes("users")) {
    return [["", world.people.map((id) => [id, world.users[id].real_name])]];
  }
  const channels = world.channels.filter((one) => one.kind === "channel");
  return [["", channels.map((one) => [one.id, "#" + one.name])]];
}
