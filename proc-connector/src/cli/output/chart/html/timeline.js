"use strict";

// The timeline: a canvas with one bar for each process. The element around it scrolls the lanes.

const AXIS = 24;
const MARGIN = 12;
// The height of a lane, in pixels.
const TALLEST = 24;
const SHALLOWEST = 11;
// The shortest period that can be shown, in nanoseconds.
const SHORTEST = 1_000;

class Timeline {
  constructor() {
    this.box = document.getElementById("timeline");
    this.canvas = document.getElementById("canvas");
    this.context = this.canvas.getContext("2d");
    this.view = { from: 0, to: Math.max(head.period, SHORTEST) };
    this.matches = null;
    this.selected = null;
    this.lanes = Array.from({ length: head.lanes }, () => []);
    for (const process of processes) {
      if (process.lane !== undefined) {
        this.lanes[process.lane].push(process);
      }
    }
    this.lanes.forEach((lane) => lane.sort((a, b) => a.start - b.start));
    this.readColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    new ResizeObserver(() => this.resize()).observe(this.box);
    this.box.addEventListener("scroll", () => this.redraw());
    // Few lanes leave more space to the table.
    this.box.style.height = `min(40vh, ${this.lanesEnd(TALLEST) + 12}px)`;
    this.resize();
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = [
      "back", "text", "dim", "line", "lane", "focus", "fail", "label", "path",
      "strip-processes", "strip-cores", "strip-memory",
    ];
    this.colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`)]));
    this.bars = Array.from({ length: COLOURS }, (_, n) => style.getPropertyValue(`--c${n}`));
    this.redraw();
  }

  resize() {
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    const pixels = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    // Lanes become thinner before they need to scroll.
    const fitting = Math.floor((height - AXIS - 4) / Math.max(head.lanes, 1));
    this.lane = Math.max(SHALLOWEST, Math.min(TALLEST, fitting));
    document.getElementById("lanes").style.height = `${Math.max(height, this.lanesEnd(this.lane))}px`;
    this.canvas.width = Math.round(width * pixels);
    this.canvas.height = Math.round(height * pixels);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.context.setTransform(pixels, 0, 0, pixels, 0, 0);
    this.draw();
  }

  lanesEnd(lane) {
    return AXIS + head.lanes * lane + 4;
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  x(ns) {
    const { from, to } = this.view;
    return MARGIN + (ns - from) * (this.width - 2 * MARGIN) / (to - from);
  }

  time(x) {
    const { from, to } = this.view;
    return from + (x - MARGIN) * (to - from) / Math.max(this.width - 2 * MARGIN, 1);
  }

  y(lane) {
    return AXIS + lane * this.lane - this.box.scrollTop;
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const { context, width, height, colours } = this;
    context.fillStyle = colours.back;
    context.fillRect(0, 0, width, height);
    this.font = this.lane >= 18 ? 12 : 10;
    context.font = `${this.font}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;
    this.letter = context.measureText("0").width;
    this.drawGrid();
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.lane));
    const last = Math.min(this.lanes.length, first + Math.ceil(height / this.lane) + 1);
    for (let lane = first; lane < last; lane += 1) {
      this.drawLane(lane);
    }
    this.drawPath();
    this.drawLosses();
    this.drawSelected();
    this.drawAxis();
    this.strip?.draw();
  }

  // The places of the marks on the axis.
  ticks() {
    const { from, to } = this.view;
    const wanted = (to - from) / Math.max(this.width / 110, 1);
    const power = 10 ** Math.floor(Math.log10(wanted));
    const step = Math.max(1, power * [1, 2, 5, 10].find((factor) => factor * power >= wanted));
    const ticks = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      ticks.push(at);
    }
    return { step, ticks };
  }

  // A time on the axis, with as many digits as neighbours need to differ.
  tickText(at, step) {
    const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
    const [unit, name] = units.find(([unit]) => at >= unit || step >= unit) ?? [1, "ns"];
    const digits = Math.max(0, Math.ceil(Math.log10(unit / step) - 1e-9));
    return `${(at / unit).toFixed(digits)} ${name}`;
  }

  drawGrid() {
    const { context, colours } = this;
    context.fillStyle = colours.line;
    for (const at of this.ticks().ticks) {
      context.globalAlpha = 0.45;
      context.fillRect(Math.round(this.x(at)), AXIS, 1, this.height);
    }
    context.globalAlpha = 1;
  }

  drawAxis() {
    const { context, colours } = this;
    context.fillStyle = colours.back;
    context.fillRect(0, 0, this.width, AXIS - 2);
    context.fillStyle = colours.line;
    context.fillRect(0, AXIS - 2, this.width, 1);
    context.fillStyle = colours.dim;
    context.textBaseline = "middle";
    const { step, ticks } = this.ticks();
    for (const at of ticks) {
      const text = this.tickText(at, step);
      const space = this.width - text.length * this.letter - 4;
      context.fillText(text, Math.min(this.x(at) + 3, space), (AXIS - 2) / 2);
    }
  }

  // Index of the first process of a lane that ends at or after a time. Processes of a lane do not overlap.
  firstAfter(lane, time) {
    let [low, high] = [0, lane.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lane[middle].end < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  drawLane(number) {
    const lane = this.lanes[number];
    const y = this.y(number);
    const [from, to] = [this.time(0), this.time(this.width)];
    let drawn = -1;
    for (let place = this.firstAfter(lane, from); place < lane.length && lane[place].start <= to; place += 1) {
      const process = lane[place];
      const [left, end] = [Math.max(this.x(process.start), -2), Math.min(this.x(process.end), this.width + 2)];
      const right = Math.max(end, left + 1);
      const isMarked = process.failed || this.matches?.has(process.index);
      // Many bars may share a pixel. A process that the reader looks for is drawn in any case.
      if (right <= drawn && !isMarked) {
        continue;
      }
      const next = lane[place + 1];
      this.drawBar(process, left, right, y, next ? this.x(next.start) : this.width);
      drawn = Math.max(drawn, Math.ceil(right));
    }
  }

  drawBar(process, left, right, y, free) {
    const { context, colours } = this;
    const height = this.lane - 3;
    const width = right - left > 4 ? right - left - 1 : right - left;
    const isDimmed = this.matches !== null && !this.matches.has(process.index);
    context.globalAlpha = isDimmed ? 0.22 : 1;
    context.fillStyle = this.bars[process.colour];
    context.fillRect(left, y, width, height);
    if (process.cpu !== undefined && process.wall > 0 && width > 6) {
      context.fillStyle = colours.label;
      context.globalAlpha *= 0.55;
      context.fillRect(left, y + height - 3, width * Math.min(process.cpu / process.wall, 1), 3);
      context.globalAlpha = isDimmed ? 0.22 : 1;
    }
    if (process.failed) {
      this.frameBar(left, y, width, height, colours.fail, 1.5);
    }
    if (process.running) {
      this.drawArrow(left + width, y, height);
    }
    const label = process.failed ? `✗ ${process.brief}` : process.brief;
    this.drawLabel(label, Math.max(left, 0) + 4, left + width - 3, free - 6, y + (height - 2) / 2 + 1);
    context.globalAlpha = 1;
  }

  frameBar(left, y, width, height, colour, thickness) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    if (width < 2 * thickness) {
      context.fillStyle = colour;
      context.fillRect(left, y, Math.max(width, 1), height);
    } else {
      context.strokeRect(left + thickness / 2, y + thickness / 2, width - thickness, height - thickness);
    }
  }

  // The process still ran at the end.
  drawArrow(x, y, height) {
    const { context } = this;
    context.fillStyle = this.colours.dim;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + height / 3, y + height / 2);
    context.lineTo(x, y + height);
    context.fill();
  }

  // Frames the selected process, which may be shorter than a pixel.
  drawSelected() {
    const process = processes[this.selected];
    if (process?.lane === undefined) {
      return;
    }
    const [left, right] = [this.x(process.start), this.x(process.end)];
    const y = this.y(process.lane);
    const from = Math.max(left, -9) - 1;
    const width = Math.max(Math.min(right, this.width + 9) - from, 4);
    if (y > AXIS - this.lane && right >= 0 && left <= this.width) {
      this.frameBar(from, y - 1, width, this.lane - 1, this.colours.focus, 3);
    }
  }

  // Writes a command in its bar, or after a short bar.
  drawLabel(text, inside, end, free, y) {
    const letters = Math.floor((end - inside) / this.letter);
    const { context } = this;
    context.fillStyle = this.colours.label;
    context.textBaseline = "middle";
    if (letters >= Math.min(text.length, 3)) {
      this.fillText(text, inside, end - inside, y);
    } else if (this.lane >= 14 && (free - end) / this.letter >= Math.min(text.length, 6) + 1) {
      context.fillStyle = this.colours.dim;
      this.fillText(text, end + 6, free - end - 6, y);
    }
  }

  fillText(text, x, width, y) {
    let shown = cut(text, Math.floor(width / this.letter));
    // Some letters are wider than those of the font.
    while (shown.length > 1 && !/^[ -~…]*$/.test(shown) && this.context.measureText(shown).width > width) {
      shown = cut(shown, Array.from(shown).length - 1);
    }
    this.context.fillText(shown, x, y);
  }

  // The critical path: a thick line below its bars, and thin lines from each to the next.
  drawPath() {
    const [along, between] = [new Path2D(), new Path2D()];
    let last = null;
    for (const [index, from, to] of head.critical) {
      const { lane } = processes[index];
      const [start, end] = [Math.max(this.x(from), -2), Math.min(this.x(to), this.width + 2)];
      // A part of less than a pixel is not visible.
      if (lane === undefined || end < 0 || start > this.width || end - start < 1) {
        continue;
      }
      const y = this.y(lane) + this.lane - 1.5;
      along.moveTo(start, y);
      along.lineTo(end, y);
      // Lines between many short parts would hide the bars.
      if (last !== null && start - last.x < 1.5 && Math.max(end - start, last.length) >= 8) {
        between.moveTo(start, last.y);
        between.lineTo(start, y);
      }
      last = { x: end, y, length: end - start };
    }
    const { context } = this;
    context.strokeStyle = this.colours.path;
    context.lineWidth = 3;
    context.stroke(along);
    context.lineWidth = 1;
    context.globalAlpha = 0.6;
    context.stroke(between);
    context.globalAlpha = 1;
  }

  drawLosses() {
    const { context } = this;
    context.strokeStyle = this.colours.fail;
    context.lineWidth = 1;
    context.setLineDash([4, 3]);
    context.fillStyle = this.colours.fail;
    context.textBaseline = "middle";
    let [last, free] = [-1, 0];
    for (const [at, count] of head.losses) {
      const x = Math.round(this.x(at)) + 0.5;
      if (x === last || x < 0 || x > this.width) {
        continue;
      }
      context.beginPath();
      context.moveTo(x, AXIS);
      context.lineTo(x, this.height);
      context.stroke();
      last = x;
      const text = `${count ?? "an unknown number of"} events lost`;
      if (x >= free) {
        context.fillText(text, x + 4, this.height - 10);
        free = x + (text.length + 2) * this.letter;
      }
    }
    context.setLineDash([]);
  }

  // The process at a point of the canvas, or the nearest within some pixels.
  at(x, y) {
    const lane = this.lanes[Math.floor((y - AXIS + this.box.scrollTop) / this.lane)];
    if (y < AXIS || lane === undefined) {
      return null;
    }
    let [best, distance] = [null, 4];
    const from = this.time(x - 4);
    for (let place = this.firstAfter(lane, from); place < lane.length; place += 1) {
      const left = this.x(lane[place].start);
      const right = Math.max(this.x(lane[place].end), left + 1);
      const away = Math.max(left - x, x - right, 0);
      if (left > x + 4) {
        break;
      }
      if (away < distance) {
        [best, distance] = [lane[place].index, away];
      }
    }
    return best;
  }

  show(from, to) {
    const longest = Math.max(head.period, SHORTEST);
    const length = Math.min(Math.max(to - from, SHORTEST), longest);
    const start = Math.min(Math.max(from + (to - from - length) / 2, 0), longest - length);
    this.view = { from: start, to: start + length };
    this.redraw();
  }

  // Divides the period by a factor. The time at `x` stays in place.
  zoom(factor, x = this.width / 2) {
    const { from, to } = this.view;
    const at = Math.min(Math.max(this.time(x), from), to);
    this.show(at - (at - from) / factor, at + (to - at) / factor);
  }

  // Moves by a share of the period.
  pan(share) {
    const { from, to } = this.view;
    const shift = (to - from) * share;
    const start = Math.min(Math.max(from + shift, 0), Math.max(head.period, SHORTEST) - (to - from));
    this.view = { from: start, to: start + to - from };
    this.redraw();
  }

  fit() {
    this.show(0, head.period);
  }

  // Zooms to a process.
  frameProcess({ start, end, wall }) {
    this.show(start - wall * 0.15 - 500, end + wall * 0.15 + 500);
  }

  // Marks a process, and moves it into view.
  mark(index) {
    this.selected = index;
    const process = processes[index];
    if (process?.lane !== undefined) {
      const { from, to } = this.view;
      if (process.end < from || process.start > to) {
        this.pan((process.start + process.end - from - to) / 2 / (to - from));
      }
      const y = process.lane * this.lane;
      const seen = this.height - AXIS - this.lane;
      if (y < this.box.scrollTop || y > this.box.scrollTop + seen) {
        this.box.scrollTop = y - seen / 2;
      }
    }
    this.redraw();
  }
}
