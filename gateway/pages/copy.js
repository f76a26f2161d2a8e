"use strict";
// Copies a snippet; without a clipboard (plain HTTP) the buttons stay hidden.
for (const snippet of document.querySelectorAll(".snippet")) {
  const button = snippet.querySelector("button");
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(snippet.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
