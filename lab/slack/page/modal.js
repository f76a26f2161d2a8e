// The app's modals: drawn from the view the server holds, with what was typed kept across updates.

import { act } from "./api.js";
import { busy, readFields, renderBlocks } from "./blocks.js";
import { el, toast } from "./dom.js";
import { plain } from "./text.js";

export class Modal {
  constructor(dialog, world) {
    Object.assign(this, { dialog, world, view: null, fields: [] });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
  }

  show(view) {
    if (!view) {
      this.view = null;
      if (this.dialog.open) this.dialog.close();
      return;
    }
    if (this.view?.hash === view.hash) return;
    const kept = this.view?.id === view.id ? readFields(this.fields) : undefined;
    const fresh = this.view?.id !== view.id;
    this.view = view;
    this.fields = [];
    const place = {
      world: this.world,
      kept,
      fields: this.fields,
      act: ({ element, block, value }) => this.clicked(element, block, value),
    };
    const body = el("div", { class: "modal-body" }, renderBlocks(view.blocks, place));
    const close = el("button", { type: "button", class: "btn" }, plain(view.close?.text ?? "Close"));
    close.addEventListener("click", () => this.close());
    const submit = view.submit && el("button", { type: "submit", class: "btn primary" }, plain(view.submit.text));
    this.failure = el("p", { class: "failure", role: "alert", hidden: true });
    const form = el("form", { novalidate: true }, body, this.failure, el("footer", {}, close, submit));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (submit) busy(submit, () => this.submit());
    });
    const cross = el("button", { type: "button", class: "cross", "aria-label": "Close" }, "✕");
    cross.addEventListener("click", () => this.close());
    const title = el("h2", { id: "modal-title" }, plain(view.title.text));
    this.dialog.replaceChildren(el("header", {}, title, cross), form);
    if (!this.dialog.open) this.dialog.showModal();
    if (fresh) form.querySelector("input, textarea, select, .btn.primary")?.focus();
  }

  async clicked(element, block, value) {
    const values = readFields(this.fields);
    const given = { where: "modal", action_id: element.action_id, block_id: block.block_id, value, values };
    const done = await act("click", given);
    if (!done.ok) toast(done.text);
  }

  async submit() {
    const done = await act("submit", { view_id: this.view.id, values: readFields(this.fields) });
    const errors = done.errors ?? {};
    for (const node of this.dialog.querySelectorAll(".b-input-block")) {
      const error = node.querySelector(".error");
      const said = errors[node.dataset.blockId];
      error.hidden = !said;
      error.textContent = said ?? "";
      node.classList.toggle("wrong", Boolean(said));
    }
    this.dialog.querySelector(".wrong input, .wrong textarea, .wrong select")?.focus();
    if (!done.ok && !done.errors) {
      this.failure.hidden = false;
      this.failure.textContent = done.text;
    } else this.failure.hidden = true;
  }

  async close() {
    const done = await act("close", {});
    if (!done.ok) this.show(null);
  }
}
