"use strict";

// The programs: what all processes with the same program cost.

const programs = [];

function collectPrograms() {
  const byName = new Map();
  const sum = (a, b) => (a === undefined ? b : a + (b ?? 0));
  for (const process of processes) {
    const name = process.nameless ? "?" : process.name;
    let program = byName.get(name);
    if (program === undefined) {
      program = { index: programs.length, name, members: [], failed: 0, wall: 0, longest: 0 };
      byName.set(name, program);
      programs.push(program);
    }
    process.program = program.index;
    program.members.push(process.index);
    program.failed += process.failed ? 1 : 0;
    program.wall += process.wall;
    program.longest = Math.max(program.longest, process.wall);
    program.cpu = sum(program.cpu, process.cpu);
    program.critical = sum(program.critical, process.critical);
    if (process.memory !== undefined) {
      program.memory = Math.max(program.memory ?? 0, process.memory);
    }
  }
}

collectPrograms();

const PROGRAM_COLUMNS = [
  { key: "name", title: "Program", value: (p) => p.name, text: true, code: true },
  { key: "count", title: "Processes", width: 90, value: (p) => p.members.length, show: String },
  { key: "failed", title: "Failed", width: 70, value: (p) => p.failed, show: String },
  { key: "cpu", title: "CPU", width: 80, value: (p) => p.cpu, show: shortTime },
  { key: "wall", title: "Wall", width: 80, value: (p) => p.wall, show: shortTime },
  { key: "longest", title: "Longest", width: 80, value: (p) => p.longest, show: shortTime },
  { key: "critical", title: "Critical", width: 80, value: (p) => p.critical, show: shortTime },
  { key: "memory", title: "Memory", width: 80, value: (p) => p.memory, show: shortSize },
];

// The facts about a program, without those that are unknown.
function programFacts(program) {
  const { members, failed, wall, cpu, memory, critical, longest } = program;
  const list = [["Processes", `${members.length}${failed > 0 ? `, ${failed} failed` : ""}`]];
  if (cpu !== undefined) {
    const all = programs.reduce((sum, other) => sum + (other.cpu ?? 0), 0);
    list.push(["CPU", `${shortTime(cpu)}, ${Math.round(100 * cpu / Math.max(all, 1))} % of all`]);
  }
  list.push(["Wall", `${shortTime(wall)} together, ${shortTime(Math.floor(wall / members.length))} on average`]);
  list.push(["Longest", shortTime(longest)]);
  if (critical !== undefined) {
    const share = Math.round(100 * critical / Math.max(head.period, 1));
    list.push(["Critical path", `${shortTime(critical)}, ${share} % of the chart`]);
  }
  if (memory !== undefined) {
    list.push(["Peak memory", `${shortSize(memory)} in one process`]);
  }
  return list;
}
