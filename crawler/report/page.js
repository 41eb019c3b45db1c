"use strict";
// Without this the page is whole but for the rows beyond the first window of a long table. With it tables are sorted,
// filtered and shown in windows, and charts tell their numbers. Nothing from outside becomes markup: it is all text.

const WINDOW = 100;
const FEW = 3;
const FILTERED = 20; // a table of so many rows can be filtered
const NUMBERS = new Set(["count", "bytes", "seconds"]);
const AS_LINK = /^https?:\/\/[^\s"<>]+$/i;
const SHOWN = 160;
const collator = new Intl.Collator(undefined, { numeric: true });

const element = (name, kind, ...inside) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...inside);
  return made;
};

// Cells of the values in the page: what grid.py draws of them, too.

const urlOf = (value) => {
  const [words, followed] = Array.isArray(value) ? [value[0], false] : [value, AS_LINK.test(value)];
  const short = words.length > SHOWN ? `${words.slice(0, SHOWN - 3)}...` : words;
  const made = element(followed ? "a" : "span", "url", short);
  if (followed) {
    made.href = words;
    made.rel = "noreferrer noopener";
    if (short !== words) made.title = words;
  }
  return made;
};

const listOf = (links) => {
  const items = links.map(([url, words]) =>
    element("li", "", urlOf(url), ...(words ? [" ", element("small", "", words)] : [])),
  );
  const list = element("ul", "plain", ...items);
  return items.length > FEW ? element("details", "", element("summary", "", items.length.toLocaleString("en")), list) : list;
};

const inside = (kind, value) => {
  if (value === null) return element("span", "none", "\u2013");
  if (kind === "url") return urlOf(value);
  if (kind === "links") return listOf(value);
  if (kind === "code") return element("span", "code", value);
  if (kind === "count") return value ? value.toLocaleString("en") : element("span", "none", "0");
  return NUMBERS.has(kind) ? value[1] : value;
};

const cellOf = (kind, value) => element("td", NUMBERS.has(kind) ? "n" : "", inside(kind, value));

// A row is what it is sorted by, what it is searched for, and how to get its element.

const textOf = (value) =>
  value === null ? "" : Array.isArray(value) ? value.map(textOf).join(" ") : String(value);

const fromValues = (values, kinds) => ({
  keys: values.map((value, at) => {
    if (value === null) return null;
    if (kinds[at] === "links") return value.length;
    if (kinds[at] === "url") return textOf(value);
    return Array.isArray(value) ? value[0] : value;
  }),
  words: values.map(textOf).join(" ").toLowerCase(),
  make: () => element("tr", "", ...values.map((value, at) => cellOf(kinds[at], value))),
});

const fromElement = (row) => ({
  keys: [...row.cells].map((cell) => {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.querySelector(":scope > .none") ? null : cell.textContent;
  }),
  words: [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase(),
  make: () => row,
});

const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));

for (const table of document.querySelectorAll("table.sortable")) {
  const scroll = table.parentElement;
  const label = scroll.getAttribute("aria-label");
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const holder = scroll.parentElement;
  const kept = holder.classList.contains("grid") ? holder.querySelector("script.rows") : null;
  const data = kept && JSON.parse(kept.textContent);
  const rows = data ? data.rows.map((values) => fromValues(values, data.kinds)) : [...body.rows].map(fromElement);
  let shown = rows;
  let first = 0;

  const status = element("span", "status");
  status.setAttribute("role", "status");
  const pages = [];

  const draw = () => {
    const last = Math.min(first + WINDOW, shown.length);
    body.replaceChildren(...shown.slice(first, last).map((row) => row.make()));
    scroll.scrollTop = 0;
    const part = shown.length > WINDOW ? `${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ` : "";
    const found = shown.length === rows.length ? "" : `, found among ${rows.length.toLocaleString("en")}`;
    status.textContent = `${part}${shown.length.toLocaleString("en")} row${shown.length === 1 ? "" : "s"}${found}`;
    for (const [button, to] of pages) {
      const place = to();
      // Not `disabled`: the focus would be lost with the last page.
      button.setAttribute("aria-disabled", String(place < 0 || place >= Math.max(shown.length, 1) || place === first));
    }
  };

  heads.forEach((head, column) => {
    if (head.querySelector(".unseen")) return;
    const button = element("button", "", head.textContent);
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : head.classList.contains("n");
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = (a, b) => {
        const [one, other] = [a.keys[column], b.keys[column]];
        if (one === null || other === null) return (one === null) - (other === null); // last, whichever way
        return (down ? -1 : 1) * compare(one, other);
      };
      rows.sort(sorted);
      if (shown !== rows) shown.sort(sorted);
      first = 0;
      draw();
    });
  });

  if (rows.length < FILTERED) continue;
  const bar = element("div", "toolbar");
  const input = element("input");
  input.type = "search";
  input.placeholder = "Filter";
  input.setAttribute("aria-label", `Filter: ${label}`);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = wanted.length ? rows.filter((row) => wanted.every((word) => row.words.includes(word))) : rows;
    first = 0;
    draw();
  });
  bar.append(input);
  if (rows.length > WINDOW) {
    const end = () => Math.floor((shown.length - 1) / WINDOW) * WINDOW;
    const turns = [["First", () => 0], ["Previous", () => first - WINDOW], ["Next", () => first + WINDOW], ["Last", end]];
    for (const [name, to] of turns) {
      const button = element("button", "turn", name);
      button.type = "button";
      button.setAttribute("aria-label", `${name} rows: ${label}`);
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled") === "true") return;
        first = to();
        draw();
      });
      pages.push([button, to]);
      bar.append(button);
    }
  }
  bar.append(status);
  scroll.before(bar);
  if (kept) for (const note of holder.querySelectorAll(".unscripted")) note.remove();
  draw();
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
