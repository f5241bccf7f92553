"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const details = [...document.querySelectorAll("details")];
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  for (const tools of document.querySelectorAll(".tools, .copy")) tools.hidden = false;

  const openAll = document.getElementById("open-all");
  if (openAll) openAll.addEventListener("click", () => {
    const open = details.some((item) => !item.open);
    for (const item of details) item.open = open;
    openAll.textContent = open ? "Close all" : "Open all";
  });

  const source = [data.title, data.created, `seed ${data.seed}`, `nonconv ${data.nonconv}`, data.revision];
  for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", async () => {
    const sentence = button.parentElement.firstChild.textContent.trim();
    const numbers = data.rows.find((row) => row.words === sentence);
    const told = `${sentence} [${source.filter(Boolean).join("; ")}] ${JSON.stringify(numbers || {})}`;
    try {
      await navigator.clipboard.writeText(told);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement);
      button.textContent = "Selected: copy it";
    }
  });

  const save = document.getElementById("save-data");
  if (save) save.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 1)], {type: "application/json"}));
    link.download = "nonconv-report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href));
  });

  const table = document.getElementById("verdict-table");
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
      const told = `${row.textContent} ${row.dataset.optimizers}`.toLowerCase();
      const match = words.every((word) => told.includes(word)) && (!verdict.value || row.dataset.verdict === verdict.value);
      row.hidden = !match;
      count += match;
    }
    shown.textContent = `${count} of ${rows.length} rows`;
  };
  for (const field of [text, verdict]) {
    field.addEventListener("input", filter);
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !field.value) return;
      field.value = "";
      event.preventDefault();
      filter();
    });
  }
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
