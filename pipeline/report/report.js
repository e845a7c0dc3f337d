"use strict";
// Everything the page says is there without this script. Text is only ever set as text.
(() => {
  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text) element.textContent = text;
    return element;
  };

  // Light and dark.
  const root = document.documentElement;
  const isDark = () => root.dataset.scheme
    ? root.dataset.scheme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const button = make("button", "scheme");
  button.type = "button";
  const say = () => { button.textContent = isDark() ? "light" : "dark"; };
  button.addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    say();
  });
  document.querySelector("header").append(button);
  say();

  // Tables: sort by a column, NULLs last; filter rows.
  const value = (cell) => cell.dataset.sort === undefined ? cell.textContent : cell.dataset.sort;
  const compare = (a, b, isNumber) => {
    if (!isNumber) return a < b ? -1 : a > b ? 1 : 0;
    // Whole numbers may have more digits than a double holds.
    const whole = /^-?\d+$/;
    if (whole.test(a) && whole.test(b)) {
      const x = BigInt(a), y = BigInt(b);
      return x < y ? -1 : x > y ? 1 : 0;
    }
    const x = Number(a), y = Number(b);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x - y;
  };
  for (const table of document.querySelectorAll("table.result")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const press = make("button", "", head.textContent);
      press.type = "button";
      press.title = "sort";
      head.replaceChildren(press);
      press.addEventListener("click", () => {
        const isNumber = head.classList.contains("number");
        const before = head.getAttribute("aria-sort");
        const isUp = before ? before === "descending" : !isNumber;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [value(row.cells[at]), row]);
        rows.sort(([a], [b]) => {
          if (a === "" || b === "") return (a === "") - (b === "");
          return isUp ? compare(a, b, isNumber) : compare(b, a, isNumber);
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
    if (body.rows.length > 8) {
      const filter = make("input", "filter");
      filter.type = "search";
      filter.placeholder = "filter rows";
      filter.setAttribute("aria-label", "filter rows");
      filter.addEventListener("input", () => {
        const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
        for (const row of body.rows) {
          const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
        }
      });
      table.parentElement.before(filter);
    }
  }

  // Charts: a tooltip says what a mark's label says; a click on the legend keeps one series.
  const tip = make("div", "tip");
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  const isMark = (element) => element.getAttribute && element.getAttribute("aria-label")
    && !/line|area/.test(element.getAttribute("aria-roledescription") || "");
  for (const svg of document.querySelectorAll("figure svg")) {
    svg.classList.add("live");
    svg.addEventListener("mousemove", (event) => {
      const mark = event.target;
      if (!isMark(mark) || mark.getAttribute("role") !== "graphics-symbol") {
        tip.hidden = true;
        return;
      }
      tip.textContent = mark.getAttribute("aria-label");
      tip.hidden = false;
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.max(event.clientY - tip.offsetHeight - 10, 4)}px`;
    });
    svg.addEventListener("mouseleave", () => { tip.hidden = true; });
    const paint = (element) => {
      const fill = element.getAttribute("fill");
      return fill && fill !== "none" && fill !== "transparent" ? fill : element.getAttribute("stroke");
    };
    const entries = [...svg.querySelectorAll(".role-legend-symbol path")];
    const marks = [...svg.querySelectorAll('[role="graphics-symbol"]')];
    let kept = null;
    for (const symbol of entries) {
      const entry = symbol.closest(".role-legend-symbol").parentElement;
      entry.parentElement.classList.add("role-legend-entry");
      entry.addEventListener("click", () => {
        const color = paint(symbol);
        kept = kept === color ? null : color;
        for (const mark of marks) mark.classList.toggle("faded", kept !== null && paint(mark) !== kept);
        for (const other of entries) {
          const box = other.closest(".role-legend-symbol").parentElement;
          box.classList.toggle("faded", kept !== null && paint(other) !== kept);
        }
      });
    }
  }
})();
