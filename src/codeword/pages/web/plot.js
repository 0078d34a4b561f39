// Points on a canvas, drawn in a few milliseconds however many, with axes, and tools to move, zoom and select.

codeword.EDGE = 8;  // of no points around the frame, in pixels: no disc is cut

// Bytes of a color as "#rrggbb".
codeword.channels = function (color) {
  const number = parseInt(color.slice(1, 7), 16);
  return [number >> 16 & 255, number >> 8 & 255, number & 255];
};

// A color as a pixel without alpha.
codeword.pixel = function (color) {
  const [r, g, b] = codeword.channels(color);
  return b << 16 | g << 8 | r;
};

// `xs` and `ys` are the points'; `limits` is what is seen to begin with, [x0, x1, y0, y1]; with `log` all of
// these are logarithms to the base of ten. `titles` are those of the axes, where there are any.
codeword.Plot = class {
  constructor(map, name, { xs, ys, limits, log = false, titles = null }) {
    Object.assign(this, { map, name, xs, ys, log, titles, home: limits, limits: [...limits], waiting: false });
    this.colors = new Uint32Array(map.n);
    this.marks = [];
    this.place = document.getElementById(`of-${name}`);
    this.back = codeword.svg("svg", { "aria-hidden": "true" });
    this.canvas = codeword.make("canvas", "points");
    this.front = codeword.svg("svg", { "aria-hidden": "true", class: "front" });
    const label = `${name === "map" ? "the map of codes" : "errors of the model and of PCA"}: arrow keys move it`;
    for (const [key, value] of Object.entries({ role: "img", tabindex: 0, "aria-label": label })) {
      this.canvas.setAttribute(key, value);
    }
    this.place.append(this.back, this.canvas, this.front);
    this.tools();
    this.listen();
    new ResizeObserver(() => this.later()).observe(this.place);
  }

  // -- what is seen -----------------------------------------------------------------------------------------

  // Left, top, width and height of the part with points, within the place.
  get frame() {
    const { clientWidth: width, clientHeight: height } = this.place;
    const [left, top, right, bottom] = this.titles ? [62, 8, 12, 44] : [8, 8, 8, 8];
    return { left, top, width: Math.max(1, width - left - right), height: Math.max(1, height - top - bottom) };
  }

  // From data to pixels of the frame: functions of x and of y.
  scales() {
    const { width, height } = this.frame, [x0, x1, y0, y1] = this.limits;
    const across = width / (x1 - x0), down = height / (y1 - y0);
    return [x => (x - x0) * across, y => (y1 - y) * down];
  }

  // From pixels of the frame to data.
  data([px, py]) {
    const { width, height } = this.frame, [x0, x1, y0, y1] = this.limits;
    return [x0 + px / width * (x1 - x0), y1 - py / height * (y1 - y0)];
  }

  // The point at a place in pixels of the frame, if there is one within `reach` of it.
  at([px, py], reach) {
    const [fx, fy] = this.scales(), { xs, ys } = this;
    const { places, sizes } = codeword.least(this.map.n, 1, i => Math.hypot(fx(xs[i]) - px, fy(ys[i]) - py));
    return sizes[0] <= reach ? places[0] : null;
  }

  shift(across, down) {
    const { width, height } = this.frame, [x0, x1, y0, y1] = this.limits;
    const x = across / width * (x1 - x0), y = down / height * (y1 - y0);
    this.show([x0 - x, x1 - x, y0 + y, y1 + y]);
  }

  // By a factor, around a place in pixels that stays where it is.
  zoom(factor, [px, py]) {
    const [x, y] = this.data([px, py]);
    this.show(this.limits.map((v, i) => (i < 2 ? x : y) + (v - (i < 2 ? x : y)) / factor));
  }

  show(limits) {
    if (limits[1] - limits[0] < 1e-7 * (this.home[1] - this.home[0])) return;  // single precision has no more
    this.limits = limits;
    this.later();
  }

  // -- tools ------------------------------------------------------------------------------------------------

  tools() {
    const bar = codeword.make("div", "tools");
    const button = (text, title, act) => {
      const made = codeword.make("button", "", text);
      Object.assign(made, { type: "button", title });
      made.addEventListener("click", act);
      bar.append(made);
      return made;
    };
    const middle = () => [this.frame.width / 2, this.frame.height / 2];
    this.buttons = {};
    for (const [tool, title] of [["move", "drag to move"], ["box", "drag a rectangle to select"],
      ["lasso", "draw around what is to be selected"]]) {
      this.buttons[tool] = button(tool, title, () => this.take(this.tool === tool ? null : tool));
    }
    button("+", "zoom in", () => this.zoom(1.5, middle()));
    button("\u2212", "zoom out", () => this.zoom(1 / 1.5, middle()));
    button("reset", "show all again", () => this.show([...this.home]));
    this.place.before(bar);
    // A finger that swipes over a plot scrolls the page, until a tool is taken up.
    this.take(matchMedia("(pointer: coarse)").matches ? null : "move");
  }

  take(tool) {
    this.tool = tool;
    this.canvas.style.touchAction = tool === null ? "auto" : "none";
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", name === tool);
  }

  listen() {
    const { canvas, map } = this;
    const where = event => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left - codeword.EDGE, event.clientY - box.top - codeword.EDGE];
    };
    const down = new globalThis.Map();  // where the fingers are, or the mouse while its button is down
    let drag = null;
    const ended = event => {
      down.delete(event.pointerId);
      if (drag && drag.area) drag.area.remove();
      const done = down.size ? null : drag;
      if (!down.size) drag = null;
      return done;
    };
    canvas.addEventListener("pointerdown", event => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      down.set(event.pointerId, where(event));
      if (down.size === 1) drag = { path: [where(event)], moved: false, pinched: false, area: null };
      else Object.assign(drag, { moved: true, pinched: true });
    });
    canvas.addEventListener("pointermove", event => {
      const place = where(event), before = down.get(event.pointerId);
      const far = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);
      if (!before) {
        if (event.pointerType !== "touch") map.move(this, place, event);
      } else if (this.tool !== null && (drag.moved || far(place, drag.path[0]) > 3)) {
        down.set(event.pointerId, place);
        if (!drag.moved) map.leave();
        drag.moved = true;
        const other = [...down].find(([id]) => id !== event.pointerId);
        if (other) this.zoom((far(place, other[1]) || 1) / (far(before, other[1]) || 1), other[1]);
        else if (this.tool === "move") this.shift(place[0] - before[0], place[1] - before[1]);
        else if (!drag.pinched) this.surround(drag, place);
      }
    });
    canvas.addEventListener("pointerup", event => {
      const done = ended(event);
      if (!done) return;
      if (!done.moved) map.tap(this, where(event));
      else if (done.area && !done.pinched) map.enclose(this, this.within(done.path), event.shiftKey);
    });
    canvas.addEventListener("pointercancel", ended);
    canvas.addEventListener("pointerleave", () => map.leave());
    canvas.addEventListener("wheel", event => {
      if (!event.ctrlKey && !event.metaKey) return;  // without a key the wheel scrolls the page
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 40 : 1) / 500), where(event));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.shift(...step);
    });
  }

  // A rectangle or a line of its own, from where a drag began to where it is.
  surround(drag, place) {
    const [x, y] = drag.path[0];
    if (this.tool === "lasso") drag.path.push(place);
    else drag.path = [[x, y], [place[0], y], place, [x, place[1]]];
    if (!drag.area) drag.area = this.front.appendChild(codeword.svg("polygon", { class: "area" }));
    drag.area.setAttribute("points", drag.path.join(" "));
  }

  // Whether a point of the data lies in a polygon: by how many sides a ray to the right crosses.
  within(path) {
    const corners = path.map(place => this.data(place)), count = corners.length;
    const xs = corners.map(corner => corner[0]), ys = corners.map(corner => corner[1]);
    return (x, y) => {
      let inside = false;
      for (let i = 0, j = count - 1; i < count; j = i++) {
        if ((ys[i] > y) !== (ys[j] > y) && x < (xs[j] - xs[i]) * (y - ys[i]) / (ys[j] - ys[i]) + xs[i]) inside = !inside;
      }
      return inside;
    };
  }

  // -- drawing ----------------------------------------------------------------------------------------------

  // Rings and lines over the points: a ring has a place and a color, and `to`, a place, where a line goes.
  mark(marks) {
    this.marks = marks;
    this.later();
  }

  // Once before the next frame, however many things have changed.
  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { canvas, frame, front } = this, { left, top, width, height } = frame, edge = codeword.EDGE;
    if (this.place.clientWidth < 100) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [across, down] = [width, height].map(size => Math.round((size + 2 * edge) * ratio));
    Object.assign(canvas.style, { left: `${left - edge}px`, top: `${top - edge}px`,
      width: `${width + 2 * edge}px`, height: `${height + 2 * edge}px` });
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    const image = new ImageData(across, down);
    this.paint(new Uint32Array(image.data.buffer), across, frame, ratio);
    canvas.getContext("2d").putImageData(image, 0, 0);
    Object.assign(front.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    const [fx, fy] = this.scales(), area = front.querySelector(".area"), parts = [];
    for (const { x, y, to, color, radius } of this.marks) {
      const [cx, cy] = [fx(x), fy(y)];
      if (to) parts.push(codeword.svg("line", { x1: cx, y1: cy, x2: fx(to[0]), y2: fy(to[1]), stroke: color }));
      parts.push(codeword.svg("circle", { cx, cy, r: radius, stroke: color }));
    }
    front.replaceChildren(...parts, ...(area ? [area] : []));
    if (this.titles) this.axes(frame, fx, fy);
  }

  axes(frame, fx, fy) {
    const [x0, x1, y0, y1] = this.limits, bend = this.log ? Math.log10 : Number;
    const ticks = (low, high, count) => this.log ? codeword.powers(10 ** low, 10 ** high, count) : codeword.ticks(low, high, count);
    const wide = Math.max(3, Math.floor(frame.width / 60));
    const along = (shown, scale, start) => shown.map(tick => [start + scale(bend(tick)), codeword.tick(tick)]);
    const parts = codeword.axes(frame,
      { title: this.titles[0], ticks: along(ticks(x0, x1, Math.min(8, wide)), fx, frame.left) },
      { title: this.titles[1], ticks: along(ticks(y0, y1, 7), fy, frame.top) });
    const [from, to] = [Math.max(x0, y0), Math.min(x1, y1)];
    if (from < to) {
      parts.push(codeword.svg("line", { class: "equal", x1: frame.left + fx(from), y1: frame.top + fy(from),
        x2: frame.left + fx(to), y2: frame.top + fy(to) }));
    }
    this.back.replaceChildren(...parts);
  }

  paint(pixels, across, { width, height }, ratio) {
    const { map: { n, selection }, colors } = this, [fx, fy] = this.scales(), edge = codeword.EDGE;
    const seen = new Int32Array(n), places = new Int32Array(n);
    let count = 0;
    for (let i = 0; i < n; i++) {
      const px = fx(this.xs[i]), py = fy(this.ys[i]);
      if (!(px >= 0 && py >= 0 && px <= width && py <= height)) continue;
      places[count] = Math.round((py + edge) * ratio) * across + Math.round((px + edge) * ratio);
      seen[count++] = i;
    }
    const [radius, alpha] = count <= 200 ? [4.5, 0.9] : count <= 3000 ? [3, 0.8] : count <= 20_000 ? [2, 0.6] : [1.5, 0.5];
    const chosen = new Uint8Array(n);
    for (const i of selection) chosen[i] = 1;
    const faint = codeword.disc(radius * ratio, selection.length ? 0.4 * alpha : alpha, across);
    const bold = codeword.disc((radius + 0.5) * ratio, 1, across);
    for (const [which, disc] of selection.length ? [[0, faint], [1, bold]] : [[0, faint]]) {
      for (let j = 0; j < count; j++) {
        if (chosen[seen[j]] === which) codeword.stamp(pixels, places[j], disc, colors[seen[j]]);
      }
    }
  }
};

// A disc as pixels: how far each lies from the center in a picture so many pixels across, and how much of it
// is covered, from 0 to 255.
codeword.disc = function (radius, alpha, across) {
  const offsets = [], covers = [], reach = Math.ceil(radius);
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const cover = Math.round(255 * alpha * Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(x, y))));
      if (cover > 0) {
        offsets.push(y * across + x);
        covers.push(cover);
      }
    }
  }
  return { offsets: Int32Array.from(offsets), covers: Int32Array.from(covers) };
};

// A disc laid over what is there (Porter & Duff 1984, "over", of colors not multiplied by alpha).
codeword.stamp = function (pixels, place, { offsets, covers }, color) {
  const red = color & 255, green = color >> 8 & 255, blue = color >> 16 & 255;
  for (let j = 0; j < offsets.length; j++) {
    const at = place + offsets[j], alpha = covers[j], there = pixels[at];
    if (there === 0) {
      pixels[at] = alpha << 24 | color;
      continue;
    }
    const under = (there >>> 24) * (255 - alpha) / 255, total = alpha + under, share = alpha / total;
    const r = there & 255, g = there >> 8 & 255, b = there >> 16 & 255;
    pixels[at] = total << 24 | b + (blue - b) * share << 16 | g + (green - g) * share << 8 | r + (red - r) * share;
  }
};
