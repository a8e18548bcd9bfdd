"use strict";

// Connects the search, the timeline, the tables and the details.

const byId = (id) => document.getElementById(id);

let selected = null;
// The program to which the page is limited.
let chosen = null;
const timeline = new Timeline();
const strip = new Strip(timeline);
timeline.strip = strip;
const controls = new Controls(timeline, strip, select, zoomTo);
const table = new Table({
  scroll: byId("rows"), prefix: "row-", items: processes, columns: PROCESS_COLUMNS,
  sortedBy: ["start"], descends: false, select, open: zoomTo,
});
const programTable = new Table({
  scroll: byId("program-rows"), prefix: "program-", items: programs, columns: PROGRAM_COLUMNS,
  sortedBy: ["cpu", "wall"], descends: true, select: choose, open: listProgram,
});

// Selects a process in all parts of the page, or none.
function select(index) {
  selected = index;
  table.mark(index);
  timeline.mark(index);
  showDetails(index);
}

// Limits the page to the processes of a program, or to none.
function choose(index) {
  chosen = index;
  programTable.mark(index);
  byId("chosen").hidden = index === null;
  byId("chosen").textContent = index === null ? "" : `${cut(programs[index].name, 40)} ✕`;
  search();
  if (index === null) {
    showDetails(selected);
  } else {
    showProgram(index);
  }
}

// Shows the processes of a program in the table of processes.
function listProgram(index) {
  choose(index);
  showTab("processes");
}

function showTab(name) {
  for (const [tab, rows, shown] of [["processes", "rows", table], ["programs", "program-rows", programTable]]) {
    const isShown = tab === name;
    byId(`tab-${tab}`).setAttribute("aria-selected", isShown);
    byId(rows).hidden = !isShown;
    if (isShown) {
      // A hidden table does not scroll to its mark.
      shown.mark(shown.selected);
    }
  }
}

function zoomTo(index) {
  if (selected !== index) {
    select(index);
  }
  timeline.frameProcess(processes[index]);
}

function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const onlyFailed = byId("failed").checked;
  const isMatch = (p) => (!onlyFailed || p.failed) && words.every((word) => p.text.includes(word));
  const found = processes.filter(isMatch);
  const matches = found.filter((p) => chosen === null || p.program === chosen).map((process) => process.index);
  const isLimited = words.length > 0 || onlyFailed || chosen !== null;
  timeline.matches = isLimited ? new Set(matches) : null;
  timeline.redraw();
  table.show(matches);
  programTable.show(new Set(found.map((process) => process.program)));
  byId("count").textContent = isLimited ? `${matches.length} of ${processes.length}` : "";
}

function showHead() {
  document.title = head.title;
  byId("title").textContent = head.title;
  byId("title").title = cut(head.title, 2_000);
  byId("totals").textContent = head.totals;
  byId("tab-processes").textContent = `Processes (${processes.length})`;
  byId("tab-programs").textContent = `Programs (${programs.length})`;
  const warnings = [];
  if (head.losses.length > 0) {
    warnings.push("Events were lost, so processes and exits may be missing.");
  }
  if (head.left_out > 0) {
    warnings.push(`${head.left_out} processes have no lane in the timeline; the table has them.`);
  }
  byId("warning").textContent = warnings.join(" ");
  byId("warning").hidden = warnings.length === 0;
}

// The facts about a process, without those that are unknown.
function facts(p) {
  const start = p.earlier ? "existed at the start" : `from ${shortTime(p.start)}`;
  const end = p.running ? ", still running at the end" : p.earlier ? `, ended at ${shortTime(p.end)}` : ` to ${shortTime(p.end)}`;
  const list = [
    ["Time", start + end],
    ["Wall", `${p.earlier || p.running ? "at least " : ""}${shortTime(p.wall)}`],
  ];
  if (p.cpu !== undefined) {
    const share = p.wall > 0 ? `, ${(p.cpu / p.wall).toFixed(2)} cores` : "";
    list.push(["CPU", `${shortTime(p.cpu)} (user ${shortTime(p.user)}, system ${shortTime(p.system)})${share}`]);
    list.push(["Page faults", `${p.faults} without I/O, ${p.major_faults} with I/O`]);
    list.push(["Switches", `${p.switches} voluntary, ${p.involuntary_switches} involuntary`]);
  }
  if (p.critical !== undefined) {
    const share = Math.round(100 * p.critical / Math.max(head.period, 1));
    list.push(["Critical path", `${shortTime(p.critical)}, ${share} % of the chart`]);
  }
  if (p.memory !== undefined) {
    list.push(["Peak memory", shortSize(p.memory)]);
  }
  if (p.read !== undefined) {
    list.push(["Storage", `read ${shortSize(p.read)}, wrote ${shortSize(p.written)}`]);
  }
  if (p.threads !== undefined) {
    list.push(["Threads", `${p.threads} more`]);
  }
  for (const [at, command] of p.programs ?? []) {
    list.push([at === null ? "Earlier" : `At ${shortTime(at)}`, cut(command, 500)]);
  }
  return list;
}

function showDetails(index) {
  const place = byId("details");
  if (index === null) {
    const hint = "Select a bar or a row to show everything that is known about a process or a program.";
    place.replaceChildren(element("p", hint, { class: "hint" }));
    return;
  }
  const process = processes[index];
  const list = element("dl");
  const add = (name, value) => list.append(element("dt", name), value);
  add("Exit", element("dd", process.exit, { class: process.failed ? "fail-text" : "" }));
  for (const [name, value] of facts(process)) {
    add(name, element("dd", value));
  }
  if (process.parent !== undefined) {
    add("Parent", family([process.parent]));
  }
  if (process.children.length > 0) {
    add(`Children (${process.children.length})`, family(process.children));
  }
  const program = element("dd", "", { class: "family" });
  const { name, members } = programs[process.program];
  const button = element("button", `${cut(name, 40)} (${members.length})`, { id: "choose-program" });
  button.addEventListener("click", () => choose(process.program));
  program.append(button);
  add("Program", program);
  const zoom = element("button", "Zoom to this process", { id: "zoom-selected" });
  zoom.addEventListener("click", () => zoomTo(index));
  place.replaceChildren(
    element("h2", `${process.pid} ${cut(process.name, 100)}`),
    element("pre", process.command, { tabindex: "0", "aria-label": "Command" }),
    list,
    zoom,
  );
  place.scrollTop = 0;
}

function showProgram(index) {
  const program = programs[index];
  const list = element("dl");
  for (const [name, value] of programFacts(program)) {
    list.append(element("dt", name), element("dd", value));
  }
  const longest = [...program.members].sort((a, b) => processes[b].wall - processes[a].wall || a - b);
  list.append(element("dt", "Longest first"), family(longest));
  const open = element("button", "List its processes", { id: "list-program" });
  open.addEventListener("click", () => listProgram(index));
  byId("details").replaceChildren(element("h2", cut(program.name, 100)), list, open);
  byId("details").scrollTop = 0;
}

// Buttons that select these processes.
function family(indices) {
  const limit = 12;
  const place = element("dd", "", { class: "family" });
  for (const index of indices.slice(0, limit)) {
    const button = element("button", `${processes[index].pid} ${cut(processes[index].name, 40)}`);
    button.addEventListener("click", () => select(index));
    place.append(button);
  }
  if (indices.length > limit) {
    place.append(element("span", `and ${indices.length - limit} more`, { class: "hint" }));
  }
  return place;
}

function showTip(event) {
  const index = event.buttons === 0 ? timeline.at(event.offsetX, event.offsetY) : null;
  const tip = byId("tip");
  tip.hidden = index === null;
  timeline.canvas.style.cursor = index === null ? "" : "pointer";
  if (index === null) {
    return;
  }
  const process = processes[index];
  const used = process.cpu === undefined ? "" : `, CPU ${shortTime(process.cpu)}`;
  const peak = process.memory === undefined ? "" : `, ${shortSize(process.memory)}`;
  const text = `${cut(process.command, 300)}\n${process.pid}: ${shortTime(process.wall)}${used}${peak}, ${process.exit}`;
  placeTip(text, event);
}

function showStripTip(event) {
  const text = event.buttons === 0 ? strip.about(event.offsetX) : null;
  byId("tip").hidden = text === null;
  if (text !== null) {
    placeTip(text, event);
  }
}

function placeTip(text, event) {
  const tip = byId("tip");
  tip.textContent = text;
  const { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  const below = event.clientY + 18;
  tip.style.top = `${below + height < innerHeight ? below : event.clientY - height - 8}px`;
}

function listen() {
  byId("search").addEventListener("input", search);
  byId("failed").addEventListener("change", search);
  byId("zoom-in").addEventListener("click", () => timeline.zoom(1.5));
  byId("zoom-out").addEventListener("click", () => timeline.zoom(1 / 1.5));
  byId("left").addEventListener("click", () => timeline.pan(-0.25));
  byId("right").addEventListener("click", () => timeline.pan(0.25));
  byId("fit").addEventListener("click", () => timeline.fit());
  timeline.canvas.addEventListener("pointermove", showTip);
  strip.canvas.addEventListener("pointermove", showStripTip);
  for (const canvas of [timeline.canvas, strip.canvas]) {
    canvas.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
  }
  byId("tab-processes").addEventListener("click", () => showTab("processes"));
  byId("tab-programs").addEventListener("click", () => showTab("programs"));
  byId("chosen").addEventListener("click", () => choose(null));
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      (byId("rows").hidden ? programTable : table).move(event.shiftKey ? -1 : 1);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== byId("search")) {
      byId("search").focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      escape();
    }
  });
}

// Closes the help, or clears the search, the program, or the selection.
function escape() {
  if (byId("keys").open) {
    byId("keys").open = false;
  } else if (byId("search").value !== "") {
    byId("search").value = "";
    search();
  } else if (chosen !== null) {
    choose(null);
  } else {
    select(null);
  }
}

showHead();
listen();
showTab("processes");
search();
showDetails(null);
