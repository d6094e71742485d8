"use strict";
// Shared by all scripts of the page: the data, elements, and the colors of the theme.
const DATA = JSON.parse(document.getElementById("report-data").textContent);
const PICTURES = (() => {
  let found = null; // parsed when the first picture is shown: it is most of the page
  return (key) => (found ??= JSON.parse(document.getElementById("report-pictures").textContent))[key];
})();
const byId = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en-US");
const share = (part, whole) => (whole ? (part / whole).toFixed(3) : "–");

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "rect", "circle", "text", "g", "polyline", "polygon"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

(() => {
  const button = byId("theme");
  const asked = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (asked.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.textContent = isDark() ? "Light mode" : "Dark mode";
    button.setAttribute("aria-pressed", String(isDark()));
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  asked.addEventListener("change", show);
  show();
})();
