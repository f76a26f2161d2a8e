"use strict";
const box = document.getElementById("search");
const buttons = Array.from(document.querySelectorAll("[data-show]"));
const samples = Array.from(document.querySelectorAll("details.sample"));
const texts = samples.map((sample) => sample.textContent.toLowerCase());
let show = "all";
function filter() {
  const wanted = box.value.trim().toLowerCase();
  let seen = 0;
  samples.forEach((sample, i) => {
    const fits = (show === "all" || sample.dataset.group === show) && texts[i].includes(wanted);
    sample.hidden = !fits;
    seen += fits;
  });
  document.querySelectorAll("section.of-suite").forEach((section) => {
    section.hidden = !section.querySelector("details.sample:not([hidden])");
  });
  document.getElementById("seen").textContent = seen + (seen === 1 ? " sample" : " samples");
}
box.addEventListener("input", filter);
buttons.forEach((button) => button.addEventListener("click", () => {
  show = button.dataset.show;
  buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  filter();
}));
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}
window.addEventListener("hashchange", openTarget);
document.querySelector(".tools").hidden = false;
filter();
openTarget();
