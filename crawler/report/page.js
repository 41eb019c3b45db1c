"use strict";
// Without this the page is whole; with it tables can be sorted and filtered, and charts tell their numbers.

const value = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
};

const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : head.classList.contains("n");
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows];
      rows.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
      body.append(...rows);
    });
  });
}

for (const filtered of document.querySelectorAll(".filtered")) {
  const rows = [...filtered.querySelector("tbody").rows];
  if (rows.length < 20) continue;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Part of a host's name";
  input.setAttribute("aria-label", input.placeholder);
  filtered.prepend(input);
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
}

const tips = JSON.parse(document.getElementById("tips").textContent);
for (const field of document.querySelectorAll("[data-chart]")) {
  const told = tips[field.dataset.chart];
  const tip = field.closest("figure").querySelector(".tip");
  const cursor = document.createElement("div");
  cursor.className = "cursor";
  cursor.hidden = true;
  field.append(cursor);
  let at = -1;
  const show = (step) => {
    at = Math.min(told.length - 1, Math.max(0, step));
    tip.textContent = told[at];
    cursor.style.left = `${(100 * (at + 0.5)) / told.length}%`;
    cursor.hidden = false;
  };
  const hide = () => {
    tip.textContent = "";
    cursor.hidden = true;
  };
  field.addEventListener("pointermove", (event) => {
    const box = field.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * told.length));
  });
  field.addEventListener("pointerleave", hide);
  field.addEventListener("blur", hide);
  field.addEventListener("keydown", (event) => {
    const far = Math.ceil(told.length / 20);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - far, PageDown: at + far, Home: 0, End: told.length };
    if (!(event.key in to)) return;
    show(to[event.key]);
    event.preventDefault();
  });
}
