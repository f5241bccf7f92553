"use strict";
(() => {
  const table = document.getElementById("verdict-table");
  const details = [...document.querySelectorAll("details")];
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;
  const openAll = document.getElementById("open-all");
  if (openAll) openAll.addEventListener("click", () => {
    const open = details.some((item) => !item.open);
    for (const item of details) item.open = open;
    openAll.textContent = open ? "Close all" : "Open all";
  });
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const text = document.getElementById("filter-text");
  const verdict = document.getElementById("filter-verdict");
  const shown = document.getElementById("filter-count");
  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const told = row.textContent.toLowerCase();
      const match = words.every((word) => told.includes(word)) && (!verdict.value || row.dataset.verdict === verdict.value);
      row.hidden = !match;
      count += match;
    }
    shown.textContent = `${count} of ${rows.length} rows`;
  };
  text.addEventListener("input", filter);
  verdict.addEventListener("change", filter);
  filter();
  const value = (row, index) => {
    const cell = row.cells[index];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (one, two) => {
        const a = value(one, index), b = value(two, index);
        return typeof a === "number" ? a - b : a.localeCompare(b, "en", {numeric: true});
      };
      body.append(...[...rows].sort((one, two) => (down ? -1 : 1) * compare(one, two)));
    });
  });
})();
