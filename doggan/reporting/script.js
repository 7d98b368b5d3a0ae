// The samples through time, and the numbers under the pointer. Without it the page shows the newest sheet.
"use strict";

for (const player of document.querySelectorAll("[data-frames]")) {
  const frames = JSON.parse(document.getElementById(player.dataset.frames).textContent);
  const image = player.querySelector("img");
  const range = player.querySelector("input[type=range]");
  const output = player.querySelector("output");
  const button = player.querySelector("button");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let timer = null;

  const show = () => {
    const frame = frames[range.value];
    image.src = frame.src;
    image.alt = frame.alt;
    output.textContent = frame.caption;
    range.setAttribute("aria-valuetext", frame.caption);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const step = () => {
    if (Number(range.value) === frames.length - 1) return stop();
    range.value = Number(range.value) + 1;
    show();
  };
  range.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(range.value) === frames.length - 1) { range.value = 0; show(); }
    button.textContent = "Stop";
    timer = setInterval(step, still ? 1200 : 350);
  });
  player.querySelector(".slider").hidden = frames.length < 2;
  show();
}

for (const chart of document.querySelectorAll("[data-chart]")) {
  const data = JSON.parse(chart.dataset.chart);
  const svg = chart.querySelector("svg[role=img]");
  const pointer = chart.querySelector(".pointer");
  const output = chart.querySelector(".readout");
  const width = svg.viewBox.baseVal.width;

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = (event.clientX - box.left) / box.width * width;
    let nearest = 0;
    data.at.forEach((at, i) => { if (Math.abs(at - place) < Math.abs(data.at[nearest] - place)) nearest = i; });
    const said = data.lines.filter((line) => line.y[nearest] !== null).map((line) => `${line.name} ${line.y[nearest]}`);
    output.textContent = `epoch ${data.x[nearest]}: ${said.join(" · ")}`;
    pointer.setAttribute("x1", data.at[nearest]);
    pointer.setAttribute("x2", data.at[nearest]);
    pointer.style.visibility = "visible";
  });
  svg.addEventListener("pointerleave", () => {
    output.textContent = "";
    pointer.style.visibility = "hidden";
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
