"use strict";

// Reads the processes, and formats their values as the program does in its other output.

const { head, processes } = JSON.parse(document.getElementById("data").textContent);

const COLOURS = 10;

function prepareProcesses() {
  const times = new Map();
  for (const [index, process] of processes.entries()) {
    process.index = index;
    process.children = [];
    process.wall = process.end - process.start;
    // The command without the directory of the program.
    process.brief = process.command.replace(/^\/[^ ]*\/(?=[^ /])/, "");
    process.text = `${process.pid} ${process.name} ${process.command} ${process.exit}`.toLowerCase();
    for (const [, command] of process.programs ?? []) {
      process.text += ` ${command.toLowerCase()}`;
    }
    if (process.parent !== undefined) {
      processes[process.parent].children.push(index);
    }
    times.set(process.name, (times.get(process.name) ?? 0) + process.wall);
  }
  for (const [index, from, to] of head.critical) {
    processes[index].critical = (processes[index].critical ?? 0) + to - from;
  }
  // The programs with the longest run times have different colours.
  const names = [...times].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const colours = new Map(names.map(([name], rank) => [name, rank % COLOURS]));
  for (const process of processes) {
    process.colour = colours.get(process.name);
  }
}

prepareProcesses();

// A duration in nanoseconds with two or three digits.
function shortTime(ns) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [unit, name] = units.find(([unit]) => ns >= unit) ?? [1, "ns"];
  const whole = Math.floor(ns / unit);
  if (unit === 1e9 && whole >= 60) {
    const two = (number) => String(number).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    return hours > 0 ? `${hours}h${two(minutes)}m` : `${minutes}m${two(whole % 60)}s`;
  }
  const tenths = Math.floor((ns % unit) * 10 / unit);
  return `${whole}${whole < 10 && unit > 1 ? `.${tenths}` : ""} ${name}`;
}

// A size in bytes with a unit that is a power of 1024.
function shortSize(bytes) {
  const units = [[2 ** 40, "T"], [2 ** 30, "G"], [2 ** 20, "M"], [2 ** 10, "K"]];
  const [unit, name] = units.find(([unit]) => bytes >= unit) ?? [1, ""];
  if (unit === 1) {
    return bytes === 0 ? "0" : `${bytes}B`;
  }
  const whole = Math.floor(bytes / unit);
  return whole < 10 ? `${whole}.${Math.floor((bytes % unit) * 10 / unit)}${name}` : `${whole}${name}`;
}

// Cuts a text to a number of characters.
function cut(text, length) {
  if (text.length <= length) {
    return text;
  }
  const letters = Array.from(text.slice(0, 2 * length));
  return `${letters.slice(0, Math.max(length - 1, 0)).join("")}…`;
}

// An element with a text and attributes. All text of processes becomes a text node here.
function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  return made;
}
