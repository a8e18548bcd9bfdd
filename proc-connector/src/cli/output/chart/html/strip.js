"use strict";

// The strip above the lanes: the processes at a time, the cores in use, and the memory. It shows the same
// period as the timeline.

const STRIP = { processes: 40, memory: 24, gap: 6 };

// The sum of the values of spans, over time: its value from each step to the next, and the area below it up
// to each step.
class Sum {
  // Spans are [from, to, value].
  constructor(spans) {
    const changes = spans.filter(([from, to]) => from < to)
      .flatMap(([from, to, value]) => [[from, value], [to, -value]])
      .sort((a, b) => a[0] - b[0]);
    [this.at, this.value, this.area] = [[], [], []];
    let [sum, area, last] = [0, 0, 0];
    for (const [at, change] of changes) {
      if (this.at.length === 0 || at !== last) {
        area += sum * (at - last);
        this.at.push(at);
        this.value.push(sum);
        this.area.push(area);
        last = at;
      }
      sum += change;
      this.value[this.value.length - 1] = sum;
    }
  }

  // Index of the last step at or before a time; -1 before the first.
  place(time) {
    let [low, high] = [0, this.at.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at[middle] <= time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }

  areaUntil(time) {
    const place = this.place(time);
    return place < 0 ? 0 : this.area[place] + this.value[place] * (time - this.at[place]);
  }

  mean(from, to) {
    return Math.max(0, (this.areaUntil(to) - this.areaUntil(from)) / Math.max(to - from, 1e-9));
  }

  most(from, to) {
    let place = this.place(from);
    let most = this.value[place] ?? 0;
    for (place += 1; this.at[place] < to; place += 1) {
      most = Math.max(most, this.value[place]);
    }
    return most;
  }
}

// The periods in which each process had no running child. Most parents wait for their children.
function workingSpans() {
  const spans = [];
  for (const process of processes) {
    let from = process.start;
    const children = process.children.map((index) => processes[index]).sort((a, b) => a.start - b.start);
    for (const { start, end } of children) {
      spans.push([from, Math.min(start, process.end), 1]);
      from = Math.max(from, end);
    }
    spans.push([from, process.end, 1]);
  }
  return spans;
}

class Strip {
  constructor(timeline) {
    this.timeline = timeline;
    this.box = document.getElementById("strip");
    this.canvas = document.getElementById("strip-canvas");
    this.context = this.canvas.getContext("2d");
    this.processes = new Sum(workingSpans());
    // A part of the CPU time of an earlier process is from before the chart.
    const used = processes.filter((p) => p.cpu !== undefined && !p.earlier);
    this.cores = used.length > 0 ? new Sum(used.map((p) => [p.start, p.end, p.cpu / Math.max(p.wall, 1)])) : null;
    const known = processes.filter((p) => p.memory !== undefined);
    this.memory = known.length > 0 ? new Sum(known.map((p) => [p.start, p.end, p.memory])) : null;
    this.box.hidden = processes.length === 0 || head.period === 0;
    document.getElementById("strip-text").textContent = head.parallelism;
    document.getElementById("cores-key").hidden = this.cores === null;
    document.getElementById("memory-key").hidden = this.memory === null;
    this.height = STRIP.processes + (this.memory ? STRIP.gap + STRIP.memory : 0);
    this.canvas.setAttribute("aria-label", head.parallelism);
    // The scale of the whole period, so that it changes little with the zoom.
    const slices = Array.from({ length: 300 }, (_, n) => [n, n + 1].map((part) => part * head.period / 300));
    this.mostProcesses = Math.max(1, ...this.values(slices));
    this.mostMemory = this.memory?.most(0, head.period) ?? 0;
  }

  // The heights of the upper part at some slices of time.
  values(slices) {
    return slices.flatMap(([from, to]) => [this.processes.mean(from, to), this.cores?.mean(from, to) ?? 0]);
  }

  // The times from and to which each pixel is.
  slices() {
    const { timeline } = this;
    const count = Math.max(Math.floor(timeline.width - 2 * MARGIN), 1);
    return Array.from({ length: count }, (_, n) => [timeline.time(MARGIN + n), timeline.time(MARGIN + n + 1)]);
  }

  resize(pixels) {
    this.canvas.width = Math.round(this.timeline.width * pixels);
    this.canvas.height = Math.round(this.height * pixels);
    this.canvas.style.width = `${this.timeline.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.context.setTransform(pixels, 0, 0, pixels, 0, 0);
  }

  draw() {
    if (this.box.hidden) {
      return;
    }
    const pixels = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(this.timeline.width * pixels)) {
      this.resize(pixels);
    }
    const { context, timeline: { colours, width } } = this;
    context.fillStyle = colours.back;
    context.fillRect(0, 0, width, this.height);
    const slices = this.slices();
    this.drawProcesses(slices);
    if (this.memory) {
      const [top, bottom] = [STRIP.processes + STRIP.gap, this.height];
      const values = slices.map(([from, to]) => this.memory.most(from, to));
      this.fillArea(values, this.mostMemory, top, bottom, colours["strip-memory"]);
      this.drawScale(shortSize(this.mostMemory), top);
    }
  }

  drawProcesses(slices) {
    const { colours } = this.timeline;
    let most = Math.ceil(Math.max(this.mostProcesses, ...this.values(slices)));
    // The cores of a large machine would hide a small number of processes.
    const cores = head.cores !== undefined && head.cores <= 4 * most ? head.cores : 0;
    most = Math.max(most, cores);
    const bottom = STRIP.processes;
    const running = slices.map(([from, to]) => this.processes.mean(from, to));
    this.fillArea(running, most, 0, bottom, colours["strip-processes"]);
    if (this.cores) {
      const used = slices.map(([from, to]) => this.cores.mean(from, to));
      this.fillArea(used, most, 0, bottom, colours["strip-cores"]);
    }
    if (cores > 0) {
      const { context } = this;
      const y = Math.round(bottom - cores / most * (bottom - 1)) + 0.5;
      context.strokeStyle = colours.dim;
      context.lineWidth = 1;
      context.setLineDash([3, 3]);
      context.beginPath();
      context.moveTo(MARGIN, y);
      context.lineTo(this.timeline.width - MARGIN, y);
      context.stroke();
      context.setLineDash([]);
    }
    this.drawScale(String(most), 0);
  }

  // One column for each value.
  fillArea(values, most, top, bottom, colour) {
    const { context } = this;
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(MARGIN, bottom);
    values.forEach((value, n) => {
      const y = bottom - Math.min(value / Math.max(most, 1e-9), 1) * (bottom - top - 1);
      context.lineTo(MARGIN + n, y);
      context.lineTo(MARGIN + n + 1, y);
    });
    context.lineTo(MARGIN + values.length, bottom);
    context.fill();
  }

  // The value at the top, on the right.
  drawScale(text, top) {
    const { context, timeline: { colours, width } } = this;
    context.font = "10px ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace";
    context.textAlign = "right";
    context.textBaseline = "top";
    const length = context.measureText(text).width;
    context.globalAlpha = 0.75;
    context.fillStyle = colours.back;
    context.fillRect(width - MARGIN - length - 4, top + 1, length + 4, 12);
    context.globalAlpha = 1;
    context.fillStyle = colours.text;
    context.fillText(text, width - MARGIN - 2, top + 2);
    context.textAlign = "left";
  }

  // What the strip shows at a pixel, as text.
  about(x) {
    const [from, to] = [x, x + 1].map((x) => Math.min(Math.max(this.timeline.time(x), 0), head.period));
    if (from >= to) {
      return null;
    }
    const lines = [`${shortTime(Math.round(from))}: ${this.processes.mean(from, to).toFixed(1)} processes at a time`];
    if (this.cores) {
      lines.push(`${this.cores.mean(from, to).toFixed(1)} cores in use (estimate)`);
    }
    if (this.memory) {
      lines.push(`at most ${shortSize(this.memory.most(from, to))} of memory`);
    }
    return lines.join("\n");
  }
}
