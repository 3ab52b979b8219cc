// What a page gains with script: a film that zooms, moves and is windowed at once, attention on hover
// and focus, j and k between cases, and a word while a model is at work. Every page works without it.
"use strict";
document.documentElement.classList.add("with-script");

function makeViewer(box) {
  const stage = box.querySelector(".stage");
  const sheet = box.querySelector(".sheet");
  const film = box.querySelector(".film");
  if (!stage || !sheet || !film) return;
  const level = box.querySelector("[id=center]");
  const width = box.querySelector("[id=width]");
  const told = box.querySelector(".zoom");
  const invert = box.querySelector("[data-do=invert]");
  const functions = box.querySelectorAll("#window feFuncR, #window feFuncG, #window feFuncB");
  const view = { zoom: 1, x: 0, y: 0, inverted: false };

  // A film that came windowed from the server is windowed here from then on.
  if (/[?&](center|width)=/.test(film.src)) {
    film.src = film.src.replace(/&(center|width)=\d+/g, "");
  }

  function place() {
    const most = (side) => (1 - view.zoom) * (side === "x" ? stage.clientWidth : sheet.offsetHeight);
    view.x = Math.min(0, Math.max(most("x"), view.x));
    view.y = Math.min(0, Math.max(most("y"), view.y));
    sheet.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
    if (told) told.textContent = `${Math.round(100 * view.zoom)} %`;
  }
  function zoomTo(zoom, x = stage.clientWidth / 2, y = sheet.offsetHeight / 2) {
    const next = Math.min(8, Math.max(1, zoom));
    view.x = x - ((x - view.x) * next) / view.zoom;
    view.y = y - ((y - view.y) * next) / view.zoom;
    view.zoom = next;
    place();
  }
  function applyWindow() {
    if (!level || !width) return;
    const sign = view.inverted ? -1 : 1;
    const slope = (sign * 255) / width.value;
    const start = (level.value - width.value / 2) / 255;
    const intercept = view.inverted ? 1 + (start * 255) / width.value : (-start * 255) / width.value;
    for (const one of functions) {
      one.setAttribute("slope", slope);
      one.setAttribute("intercept", intercept);
    }
    const plain = level.value === "128" && width.value === "256" && !view.inverted;
    film.classList.toggle("windowed", !plain);
    for (const input of [level, width]) {
      const shown = box.querySelector(`output[for=${input.id}]`);
      if (shown) shown.textContent = input.value;
    }
  }
  const act = {
    in: () => zoomTo(view.zoom * 1.4),
    out: () => zoomTo(view.zoom / 1.4),
    fit: () => {
      Object.assign(view, { zoom: 1, x: 0, y: 0, inverted: false });
      if (invert) invert.setAttribute("aria-pressed", "false");
      if (level) level.value = 128;
      if (width) width.value = 256;
      place();
      applyWindow();
    },
    invert: () => {
      view.inverted = !view.inverted;
      if (invert) invert.setAttribute("aria-pressed", String(view.inverted));
      applyWindow();
    },
  };
  for (const button of box.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => act[button.dataset.do]());
  }
  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  const keys = { "+": "in", "=": "in", "-": "out", 0: "fit", i: "invert" };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys[event.key]) act[keys[event.key]]();
    else if (moves[event.key] && view.zoom > 1) {
      view.x += moves[event.key][0];
      view.y += moves[event.key][1];
      place();
    } else return;
    event.preventDefault();
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && view.zoom === 1 && document.activeElement !== stage) return;
    event.preventDefault();
    const edge = stage.getBoundingClientRect();
    zoomTo(view.zoom * Math.exp(-event.deltaY / 400), event.clientX - edge.left, event.clientY - edge.top);
  }, { passive: false });
  let held = null;
  stage.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX - view.x, y: event.clientY - view.y };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held) return;
    view.x = event.clientX - held.x;
    view.y = event.clientY - held.y;
    place();
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { held = null; });
  stage.addEventListener("dblclick", (event) => {
    const edge = stage.getBoundingClientRect();
    zoomTo(view.zoom > 1 ? 1 : 2.5, event.clientX - edge.left, event.clientY - edge.top);
  });
  for (const input of [level, width]) if (input) input.addEventListener("input", applyWindow);
  applyWindow();
  if (box.dataset.veil) makeVeils(box, sheet);
}

function makeVeils(box, sheet) {
  const fixed = sheet.querySelector(".veil");
  const veils = new Map();
  function show(link, on) {
    const key = `${link.dataset.side}-${link.dataset.sentence}`;
    if (!veils.has(key)) {
      const veil = document.createElement("img");
      veil.className = "veil";
      veil.alt = "";
      veil.src = `${box.dataset.veil}&side=${link.dataset.side}&sentence=${link.dataset.sentence}`;
      sheet.append(veil);
      veils.set(key, veil);
    }
    if (fixed) fixed.classList.toggle("on", !on);
    veils.get(key).classList.toggle("on", on);
  }
  for (const link of document.querySelectorAll(".mapped")) {
    for (const name of ["mouseenter", "focus"]) link.addEventListener(name, () => show(link, true));
    for (const name of ["mouseleave", "blur"]) link.addEventListener(name, () => show(link, false));
  }
}

for (const box of document.querySelectorAll("[data-viewer]")) makeViewer(box);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const link = { j: "next", k: "prev" }[event.key];
  const found = link && document.querySelector(`.steps a[rel=${link}]`);
  if (found) found.click();
});

for (const form of document.querySelectorAll("form[data-waits]")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; });
    const word = document.createElement("p");
    word.className = "waits";
    word.setAttribute("role", "status");
    word.textContent = form.dataset.waits;
    form.after(word);
  });
}
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
