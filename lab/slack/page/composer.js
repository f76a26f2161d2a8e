// The message box: Enter sends, Shift+Enter breaks the line, "/" offers the app's commands.

import { act } from "./api.js";
import { el, toast } from "./dom.js";

export class Composer {
  constructor(place, commands, target) {
    this.commands = commands;
    this.target = target;
    this.offered = [];
    this.chosen = 0;
    this.list = el("ul", { class: "offers", role: "listbox", id: `${place.id}-offers`, hidden: true });
    this.box = el("textarea", {
      rows: "1",
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": this.list.id,
    });
    if (place.id === "compose-place") this.box.id = "compose";
    this.send = el("button", { type: "submit", class: "send", "aria-label": "Send" }, "➤");
    const form = el("form", { class: "composer" }, this.list, this.box, this.send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.box.addEventListener("input", () => this.changed());
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("blur", () => this.offer([]));
    place.replaceChildren(form);
  }

  prompt(text) {
    this.box.placeholder = text;
    this.box.setAttribute("aria-label", text);
  }

  changed() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, 220)}px`;
    const typed = this.box.value;
    const commands = this.target().thread_ts ? [] : this.commands;
    this.offer(/^\/\S*$/.test(typed) ? commands.filter((one) => one.name.startsWith(typed)) : []);
  }

  offer(commands) {
    this.offered = commands;
    this.chosen = 0;
    this.list.hidden = !commands.length;
    this.box.setAttribute("aria-expanded", String(commands.length > 0));
    this.list.replaceChildren(
      ...commands.map((one, number) => {
        const name = el("span", {}, el("b", {}, one.name), " ", el("span", { class: "usage" }, one.usage));
        const row = el("li", { role: "option", id: `${this.list.id}-${number}` }, name, el("small", {}, one.description));
        row.addEventListener("mousedown", (event) => {
          event.preventDefault();
          this.choose(number);
        });
        return row;
      }),
    );
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((row, number) => {
      row.setAttribute("aria-selected", String(number === this.chosen));
      if (number === this.chosen) row.scrollIntoView?.({ block: "nearest" });
    });
    if (this.offered.length) this.box.setAttribute("aria-activedescendant", `${this.list.id}-${this.chosen}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  choose(number) {
    this.box.value = this.offered[number].name + " ";
    this.offer([]);
    this.box.focus();
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (this.offered.length && step) {
      event.preventDefault();
      this.chosen = (this.chosen + step + this.offered.length) % this.offered.length;
      this.mark();
    } else if (this.offered.length && event.key === "Escape") {
      event.stopPropagation();
      this.offer([]);
    } else if (this.offered.length && (event.key === "Tab" || event.key === "Enter")) {
      event.preventDefault();
      const exact = this.offered[this.chosen].name === this.box.value;
      if (event.key === "Enter" && exact) this.submit();
      else this.choose(this.chosen);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    }
  }

  async submit() {
    const text = this.box.value.trim();
    if (!text) return;
    this.box.value = "";
    this.changed();
    const target = this.target();
    const match = /^(\/\S+)\s*([\s\S]*)$/.exec(text);
    const done =
      match && !target.thread_ts
        ? await act("command", { command: match[1], text: match[2], channel: target.channel })
        : await act("say", { text, ...target });
    if (!done.ok && !done.message) toast(done.text);
    if (!done.ok && !this.box.value) this.box.value = text;
  }
}
