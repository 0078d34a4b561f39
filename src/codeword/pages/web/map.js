// The map of codes: what lies under the pointer, what is selected, and what the plane does to neighbors.

// The places of the `count` least of n distances, the least first.
codeword.least = function (n, count, distance) {
  const places = [], sizes = [];
  for (let i = 0; i < n; i++) {
    const size = distance(i);
    if (places.length === count && size >= sizes[count - 1]) continue;
    let at = places.length;
    while (at > 0 && sizes[at - 1] > size) at--;
    places.splice(at, 0, i);
    sizes.splice(at, 0, size);
    if (places.length > count) { places.pop(); sizes.pop(); }
  }
  return { places, sizes };
};

codeword.Map = class {
  constructor(page) {
    this.page = page;
    const { points } = page.content;
    Object.assign(this, points);
    this.codes = codeword.numbers(points.codes, points.precision);
    this.numbers = points.rows === null ? null : new Int32Array(codeword.bytes(points.rows));
    this.pictured = new globalThis.Map(
      Array.from(new Int32Array(codeword.bytes(points.pictured)), (place, i) => [place, i]));
    for (const name of ["x", "y", "error", "pca", "label"]) {
      this[name] = points[name] === null ? null : codeword.numbers(points[name], "float32");
    }
    this.selection = [];
    this.listeners = [() => this.selected()];  // called whenever something else is selected
    this.turn = 0;  // of what is selected: an answer that was asked for in an earlier one comes too late
    const titles = ["error of PCA", "error of the auto-encoder"];
    this.plots = {
      map: new codeword.Plot(this, "map", { xs: this.x, ys: this.y, limits: this.around() }),
      errors: new codeword.Plot(this, "errors", { ...this.compared(), titles }),
    };
    this.tip = document.body.appendChild(codeword.make("div", "tip"));
    this.tip.hidden = true;
    this.mouse = { x: 0, y: 0 };
    new ResizeObserver(() => { if (!this.tip.hidden) this.placeTip(); }).observe(this.tip);
    document.addEventListener("keydown", event => {
      if (event.key === "Escape" && this.selection.length) this.select([]);
    });
  }

  // All points, and a little room around them.
  around() {
    return [this.x, this.y].flatMap(values => {
      const [low, high] = codeword.range(values);
      const middle = (low + high) / 2, half = (high - low) / 2 * 1.06 || 1;
      return [middle - half, middle + half];
    });
  }

  // Errors of PCA and of the model, where the largest are many times the least on logarithmic axes.
  compared() {
    const [least, most] = codeword.range([...codeword.range(this.pca), ...codeword.range(this.error)]);
    const log = least > 0 && most > 20 * least;
    const [low, high] = log ? [Math.log10(least * 0.8), Math.log10(most * 1.15)] : [0, most * 1.15 || 1];
    const [xs, ys] = [this.pca, this.error].map(values => log ? values.map(Math.log10) : values);
    return { xs, ys, log, limits: [low, high, low, high] };
  }

  row(i) { return this.numbers === null ? i : this.numbers[i]; }

  code(i) { return this.codes.subarray(i * this.k, (i + 1) * this.k); }

  labelOf(i) {
    if (!this.label) return null;
    if (!this.classes.length) return codeword.short(this.label[i]);
    return this.label[i] < 0 ? "no label" : this.classes[this.label[i]];
  }

  title(i) {
    const label = this.labelOf(i);
    const words = [`no. ${this.row(i).toLocaleString("en")}`];
    if (label !== null) words.push(label);
    return [...words, `error ${codeword.short(this.error[i])}`].join(" · ");
  }

  move(plot, place, { clientX: x, clientY: y }) {
    this.mouse = { x, y };
    this.hover(plot.at(place, 8));
    if (plot.name === "map") this.decodeAt(...plot.data(place));
  }

  leave() { this.tip.hidden = true; }

  // The sample and its reconstruction; in a file, what its decoder makes of the code where it has no picture.
  picture(i, small) {
    if (this.page.live) return [this.page.live.picture(this.row(i), small)];
    const at = this.pictured.get(i);
    if (at !== undefined) return this.page.albums.pictures.draw(at, small);
    if (!this.page.decodes) return [codeword.make("p", "note", "no picture of it in this file")];
    const place = codeword.make("div", "tile");
    this.page.decodeInto(place, this.code(i), "reconstruction");
    place.append(codeword.make("figcaption", "", "reconstruction"));
    return [place];
  }

  hover(i) {
    this.tip.hidden = i === null;
    if (i === null) { this.hovered = null; return; }
    if (this.hovered !== i) {
      const pictures = codeword.make("div", "tiles");
      pictures.append(...this.picture(i));
      this.tip.replaceChildren(pictures, codeword.make("p", "", this.title(i)));
      this.hovered = i;
    }
    this.placeTip();
  }

  placeTip() {
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const { x, y } = this.mouse;
    this.tip.style.left = `${Math.max(4, x + 16 + width < innerWidth ? x + 16 : x - width - 16)}px`;
    this.tip.style.top = `${Math.max(4, Math.min(y + 16, innerHeight - height - 8))}px`;
  }

  // -- decoding where there is no point -----------------------------------------------------------------

  // The codes of the points nearest to a place, each weighted by one over its squared distance (Shepard
  // 1968); the confidence is one as near to a point as points are to each other, and falls with the square.
  codeAt(x, y) {
    const count = Math.min(8, this.n);
    const near = codeword.least(this.n, count, i => (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2);
    const code = new Float64Array(this.k);
    const tiny = (this.spacing * 1e-3) ** 2;
    let total = 0;
    near.places.forEach((i, j) => {
      const weight = 1 / (near.sizes[j] + tiny);
      total += weight;
      const own = this.code(i);
      for (let c = 0; c < this.k; c++) code[c] += weight * own[c];
    });
    return { code: code.map(v => v / total), confidence: Math.min(1, this.spacing ** 2 / near.sizes[0]) };
  }

  decodeAt(x, y) {
    const card = document.getElementById("mouse");
    if (!card || !this.page.decodes) return;
    const { code, confidence } = this.codeAt(x, y);
    const place = card.querySelector(".decoded");
    this.page.decodeInto(place, code, "decoded under the mouse");
    place.style.opacity = 0.2 + 0.8 * confidence;
    card.querySelector("meter").value = confidence;
    card.querySelector(".confidence").textContent = confidence >= 0.995 ? "codes lie close by"
      : `confidence ${confidence < 0.01 ? "below 1" : Math.round(100 * confidence)} %`;
  }

  // -- selection ------------------------------------------------------------------------------------------

  tap(plot, place) {
    if (plot.name === "map") this.decodeAt(...plot.data(place));
    const i = plot.at(place, 14);
    this.select(i === null ? [] : [i]);
  }

  // What lies within an area; with `more`, what is selected already stays so.
  enclose(plot, within, more) {
    const before = new Set(more ? this.selection : []), indices = [];
    for (let i = 0; i < this.n; i++) if (before.has(i) || within(plot.xs[i], plot.ys[i])) indices.push(i);
    this.select(indices);
  }

  // "label", "error" or "cluster": classes each have a color; quantities have one of a ramp, between limits.
  colorBy(name) {
    const { colors } = this.page, { palette, limits } = this.page.colorsOf(name);
    const pixels = palette.map(codeword.pixel), none = codeword.pixel(colors.none), values = this[name];
    const { map, errors } = this.plots;
    const [low, high] = limits || [-0.5, palette.length - 0.5];
    for (let i = 0; i < this.n; i++) {
      const at = Math.floor((values[i] - low) / (high - low) * palette.length);
      const known = Number.isFinite(values[i]) && (limits || at >= 0);
      map.colors[i] = known ? pixels[Math.max(0, Math.min(palette.length - 1, at))] : none;
    }
    errors.colors.fill(codeword.pixel(colors.plain));
    map.later();
    errors.later();
  }

  select(indices) {
    this.selection = indices;
    for (const plot of Object.values(this.plots)) plot.later();
    for (const listener of this.listeners) listener();
  }

  neighbors(i) {
    const count = Math.min(10, this.n - 1);
    const own = this.code(i), k = this.k, codes = this.codes;
    const distance = j => {
      if (j === i) return Infinity;
      let sum = 0;
      for (let c = 0, at = j * k; c < k; c++) sum += (codes[at + c] - own[c]) ** 2;
      return sum;
    };
    const inCodes = codeword.least(this.n, count, distance).places;
    const onMap = codeword.least(this.n, count, j => j === i ? Infinity
      : (this.x[j] - this.x[i]) ** 2 + (this.y[j] - this.y[i]) ** 2).places;
    return { inCodes, kept: inCodes.filter(j => onMap.includes(j)) };
  }

  // Leave nothing selected, without a word in the card.
  unselect() {
    this.quiet = true;
    this.select([]);
    this.quiet = false;
  }

  selected() {
    if (this.quiet) return;
    this.turn++;
    const chosen = this.selection;
    const place = document.querySelector("#chosen .content");
    const one = chosen.length === 1 ? chosen[0] : null;
    const focused = place.contains(document.activeElement);
    const found = one === null || this.n < 2 ? { inCodes: [], kept: [] } : this.neighbors(one);
    this.overlay(one, found);
    if (one !== null) {
      place.replaceChildren(...this.about(one, found));
      this.page.slideTo(this.code(one));
    } else if (chosen.length) {
      place.replaceChildren(...this.many(chosen));
    } else {
      place.replaceChildren(codeword.make("p", "note", place.dataset.empty));
    }
    if (focused) place.focus();  // what had it is gone, and the keyboard would begin at the top of the page
  }

  overlay(one, { inCodes, kept }) {
    const place = one === null ? null : [this.x[one], this.y[one]];
    this.mark(place, inCodes, inCodes.map(j => kept.includes(j) ? "#228833" : "#CC3311"));
  }

  // A ring at a place, or none, with a line from there to each of some points.
  mark(place, points, colors) {
    if (place === null) return this.plots.map.mark([]);
    const ends = points.map((j, i) => ({ x: this.x[j], y: this.y[j], to: place, color: colors[i], radius: 4.5 }));
    this.plots.map.mark([...ends, { x: place[0], y: place[1], color: "#CC3311", radius: 7 }]);
  }

  about(i, { inCodes, kept }) {
    const pictures = codeword.make("div", "tiles");
    pictures.append(...this.picture(i));
    const parts = [codeword.make("p", "title", this.title(i)), pictures];
    if (inCodes.length) {
      const text = `${kept.length} of its ${inCodes.length} nearest codes are also among the `
        + `${inCodes.length} nearest points on the map:`;
      parts.push(codeword.make("p", "preserved", text), this.strip(inCodes, kept));
    }
    if (this.page.between) {
      const ends = codeword.make("div", "ends");
      for (const [end, words] of [["from", "interpolate from here"], ["to", "to here"]]) {
        const button = codeword.make("button", "", words);
        button.type = "button";
        button.addEventListener("click", () => this.page.between.set(end, i));
        ends.append(button);
      }
      parts.push(ends);
    }
    return parts;
  }

  many(chosen) {
    const mean = chosen.reduce((sum, i) => sum + this.error[i], 0) / chosen.length;
    const text = `${chosen.length.toLocaleString("en")} samples, mean error ${codeword.short(mean)}`;
    const parts = [codeword.make("p", "title", text)];
    if (this.classes.length) {
      const counts = new globalThis.Map();
      for (const i of chosen) counts.set(this.labelOf(i), (counts.get(this.labelOf(i)) || 0) + 1);
      const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6);
      parts.push(codeword.make("p", "", most.map(([name, count]) => `${name}: ${count}`).join(", ")));
    }
    return [...parts, this.strip(chosen.slice(0, 30), null)];
  }

  // Small pictures in a row; each selects its point.
  strip(places, kept) {
    const strip = codeword.make("div", "strip");
    for (const j of places) {
      const at = this.pictured.get(j);
      const button = codeword.make("button", kept === null ? "" : kept.includes(j) ? "kept" : "torn");
      button.type = "button";
      button.title = this.title(j);
      const { kind } = this.page.view;
      if (kind !== "table" && (at !== undefined || this.page.decodes)) {
        button.append(...this.picture(j, true));
      } else {
        button.append(codeword.make("span", "", this.row(j)));
      }
      button.addEventListener("click", () => this.select([j]));
      strip.append(button);
    }
    return strip;
  }
};
