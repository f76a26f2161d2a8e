"use strict";
// The key lives in this tab's sessionStorage and goes nowhere but into our own requests.
const byId = (id) => document.getElementById(id);
const keyField = byId("key");
keyField.value = sessionStorage.getItem("dayzero-key") || "";
keyField.addEventListener("input", () => sessionStorage.setItem("dayzero-key", keyField.value.trim()));

const headers = () => ({ authorization: `Bearer ${keyField.value.trim()}` });

function tell(sentence) {
  byId("problem").textContent = sentence;
  byId("problem").hidden = !sentence;
}

async function refused(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The gateway answered with status ${answer.status}.`;
  }
}
