"use strict";

// A table of processes or programs. Only the rows in view exist, so that it is fast for any number.

const ROW = 24;

const PROCESS_COLUMNS = [
  { key: "start", title: "Start", width: 70, value: (p) => p.start, show: shortTime },
  { key: "pid", title: "PID", width: 66, value: (p) => p.pid, show: String, ascends: true },
  { key: "name", title: "Name", width: 96, value: (p) => p.name, text: true },
  { key: "wall", title: "Wall", width: 70, value: (p) => p.wall, show: shortTime },
  { key: "critical", title: "Critical", width: 74, value: (p) => p.critical, show: shortTime },
  { key: "cpu", title: "CPU", width: 70, value: (p) => p.cpu, show: shortTime },
  { key: "memory", title: "Memory", width: 74, value: (p) => p.memory, show: shortSize },
  { key: "read", title: "Read", width: 62, value: (p) => p.read, show: shortSize },
  { key: "written", title: "Written", width: 70, value: (p) => p.written, show: shortSize },
  { key: "exit", title: "Exit", width: 104, value: (p) => p.exit.replace(/^killed by /, ""), text: true },
  { key: "command", title: "Command", value: (p) => p.brief, text: true, code: true },
];

class Table {
  // `items` are shown in the element `scroll`. `select` is called with the index of an item, and `open` at a
  // double click. A row has the id `prefix` with the index.
  constructor({ scroll, prefix, items, columns, sortedBy, descends, select, open }) {
    this.scroll = scroll;
    this.table = scroll.querySelector("table");
    this.body = this.table.tBodies[0];
    this.prefix = prefix;
    this.items = items;
    this.select = select;
    this.open = open;
    // A column without any known value would be empty.
    this.columns = columns.filter(({ value }) => items.some((item) => value(item) !== undefined));
    this.sorted = { column: this.columns.find(({ key }) => sortedBy.includes(key)) ?? columns[0], descends };
    this.order = [];
    this.places = new Map();
    this.selected = null;
    this.makeHead();
    this.scroll.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.scroll);
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event, this.select));
    this.body.addEventListener("dblclick", (event) => this.click(event, this.open));
  }

  makeHead() {
    const row = element("tr");
    for (const column of this.columns) {
      const cell = element("th", "", { scope: "col", class: column.text ? "" : "number" });
      cell.style.width = column.width ? `${column.width}px` : "auto";
      const button = element("button", column.title, { "data-column": column.key });
      button.addEventListener("click", () => this.sortBy(column));
      cell.append(button);
      row.append(cell);
      column.head = cell;
    }
    this.table.tHead.append(row);
    this.table.setAttribute("aria-colcount", this.columns.length);
  }

  // Sorts by a column, or reverses the order if it is sorted by that column.
  sortBy(column) {
    const again = this.sorted.column === column;
    const descends = again ? !this.sorted.descends : !(column.text || column.ascends || column.key === "start");
    this.sorted = { column, descends };
    this.show(this.order);
  }

  // Shows these processes.
  show(indices) {
    const { column, descends } = this.sorted;
    const sign = descends ? -1 : 1;
    const collator = new Intl.Collator("en", { numeric: true });
    const compare = (a, b) => {
      const [x, y] = [column.value(this.items[a]), column.value(this.items[b])];
      if (x === undefined || y === undefined) {
        // Unknown values are last in either direction.
        return (x === undefined) - (y === undefined) || a - b;
      }
      return sign * (column.text ? collator.compare(x, y) : x - y) || a - b;
    };
    this.order = [...indices].sort(compare);
    this.places = new Map(this.order.map((index, place) => [index, place]));
    for (const { head: cell, title, key } of this.columns) {
      const isSorted = key === column.key;
      cell.firstChild.textContent = isSorted ? `${title} ${descends ? "▾" : "▴"}` : title;
      if (isSorted) {
        cell.setAttribute("aria-sort", descends ? "descending" : "ascending");
      } else {
        cell.removeAttribute("aria-sort");
      }
    }
    this.table.setAttribute("aria-rowcount", this.order.length + 1);
    this.scroll.querySelector("p").hidden = this.order.length > 0;
    this.scroll.scrollTop = 0;
    this.mark(this.selected);
  }

  draw() {
    const height = this.scroll.clientHeight;
    const count = Math.ceil(height / ROW) + 10;
    // The list may be shorter than at the last scroll.
    const first = Math.max(0, Math.min(Math.floor(this.scroll.scrollTop / ROW) - 5, this.order.length - count));
    const last = Math.min(this.order.length, first + count);
    const rows = this.order.slice(first, last).map((index, offset) => this.row(index, first + offset));
    this.body.replaceChildren(this.gap(first), ...rows, this.gap(this.order.length - last));
    const isDrawn = this.selected !== null && document.getElementById(`${this.prefix}${this.selected}`);
    if (isDrawn) {
      this.table.setAttribute("aria-activedescendant", `${this.prefix}${this.selected}`);
    } else {
      this.table.removeAttribute("aria-activedescendant");
    }
  }

  // Takes the space of rows that are out of view.
  gap(count) {
    const row = element("tr", "", { class: "gap", "aria-hidden": "true" });
    const cell = element("td", "", { colspan: this.columns.length });
    row.style.height = cell.style.height = `${count * ROW}px`;
    row.hidden = count <= 0;
    row.append(cell);
    return row;
  }

  row(index, place) {
    const item = this.items[index];
    const row = element("tr", "", {
      id: `${this.prefix}${index}`,
      "aria-rowindex": place + 2,
      "aria-selected": index === this.selected,
      class: item.failed ? "fail" : "",
    });
    for (const { key, value, show, text, code } of this.columns) {
      const known = value(item);
      // The command can be 32 KiB long.
      const shown = known === undefined ? "" : text ? cut(known, 400) : show(known);
      const kind = code ? "code" : text ? key : `number ${key}`;
      row.append(element("td", shown, { class: kind }));
    }
    return row;
  }

  click(event, action) {
    const row = event.target.closest("tr[id]");
    if (row) {
      action(Number(row.id.slice(this.prefix.length)));
    }
  }

  // Marks a row, and scrolls to it.
  mark(index) {
    this.selected = index;
    const place = this.places.get(index);
    if (place !== undefined) {
      const [top, height] = [place * ROW, this.scroll.clientHeight - this.table.tHead.offsetHeight];
      if (top < this.scroll.scrollTop) {
        this.scroll.scrollTop = top;
      } else if (top + ROW > this.scroll.scrollTop + height) {
        this.scroll.scrollTop = top + ROW - height;
      }
    }
    this.draw();
  }

  // Selects the row at a distance from the selected row.
  move(distance) {
    if (this.order.length === 0) {
      return;
    }
    const outside = distance < 0 ? this.order.length : -1;
    const next = (this.places.get(this.selected) ?? outside) + distance;
    this.select(this.order[Math.max(0, Math.min(next, this.order.length - 1))]);
  }

  key(event) {
    if (event.target !== this.table || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 2);
    const distances = {
      ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
    };
    if (event.key in distances) {
      this.move(distances[event.key]);
    } else if (event.key === "Enter" && this.selected !== null) {
      this.open(this.selected);
    } else {
      return;
    }
    event.preventDefault();
  }
}
