"use strict";

// Moves and zooms the timeline with the mouse and the keyboard.

class Controls {
  // `select` is called with the index of the clicked process or null, `zoom` at a double click.
  constructor(timeline, strip, select, zoom) {
    this.timeline = timeline;
    this.canvas = timeline.canvas;
    this.select = select;
    this.zoomTo = zoom;
    timeline.box.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("dblclick", (event) => this.doubleClick(event));
    for (const canvas of [this.canvas, strip.canvas]) {
      canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      this.listenToDrags(canvas);
    }
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const [across, down] = [event.deltaX * lines, event.deltaY * lines];
    if (event.shiftKey || Math.abs(across) > Math.abs(down)) {
      this.timeline.pan((across || down) / this.timeline.width);
    } else {
      this.timeline.zoom(Math.exp(-down * 0.002), event.offsetX);
    }
  }

  listenToDrags(canvas) {
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 0) {
        drag = { x: event.clientX, y: event.clientY, moved: false };
        canvas.setPointerCapture(event.pointerId);
      }
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag === null) {
        return;
      }
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      if (drag.moved || Math.hypot(dx, dy) > 4) {
        canvas.classList.add("dragging");
        this.timeline.pan(-dx / Math.max(this.timeline.width - 2 * MARGIN, 1));
        this.timeline.box.scrollTop -= canvas === this.canvas ? dy : 0;
        drag = { x: event.clientX, y: event.clientY, moved: true };
      }
    });
    const end = (event) => {
      const isClick = drag !== null && !drag.moved && event.type === "pointerup";
      drag = null;
      canvas.classList.remove("dragging");
      if (isClick && canvas === this.canvas) {
        this.select(this.timeline.at(event.offsetX, event.offsetY));
      }
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
  }

  doubleClick(event) {
    const index = this.timeline.at(event.offsetX, event.offsetY);
    if (index !== null) {
      this.zoomTo(index);
    }
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const actions = {
      "+": () => this.timeline.zoom(1.5), "=": () => this.timeline.zoom(1.5), "-": () => this.timeline.zoom(1 / 1.5),
      "0": () => this.timeline.fit(), ArrowLeft: () => this.timeline.pan(-0.15), ArrowRight: () => this.timeline.pan(0.15),
    };
    if (event.key in actions) {
      actions[event.key]();
      event.preventDefault();
    }
  }
}
