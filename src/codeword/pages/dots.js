// Many points on a canvas of our own, below bokeh's: drawn in a few milliseconds on any machine, where WebGL
// needs a graphics processor to be quick. Bokeh keeps the axes, the tools, and what is drawn over the points.
"use strict";
var codeword = window.codeword || (window.codeword = {});

// Bytes of a colour as "#rrggbb", or as a number with alpha last.
codeword.channels = function (colour) {
  const number = typeof colour === "number" ? colour >>> 8 : parseInt(colour.slice(1, 7), 16);
  return [number >> 16 & 255, number >> 8 & 255, number & 255];
};

codeword.Dots = class {
  constructor(map, plot, xs, ys) {
    Object.assign(this, { map, plot, xs, ys, colours: new Uint32Array(map.n), waiting: false });
    this.canvas = codeword.make("canvas", "dots");
    this.canvas.setAttribute("aria-hidden", "true");
    const place = document.getElementById(`of-${plot.name}`);
    place.prepend(this.canvas);
    for (const range of [plot.x_range, plot.y_range]) range.change.connect(() => this.later());
    plot.properties.inner_width.change.connect(() => this.later());
    plot.properties.inner_height.change.connect(() => this.later());
    map.source.selected.properties.indices.change.connect(() => this.later());
    new ResizeObserver(() => this.later()).observe(place);
  }

  // The colour of each point: by a column and bokeh's mapper for it, or one for all.
  colour(column, mapper, one) {
    const packed = colour => {
      const [r, g, b] = codeword.channels(colour);
      return b << 16 | g << 8 | r;
    };
    if (one !== undefined) {
      this.colours.fill(packed(one));
    } else {
      const palette = Array.from(mapper.palette, packed);
      const { low, high } = mapper;
      const none = packed("#9aa0a6");
      for (let i = 0; i < this.map.n; i++) {
        const at = Math.floor((column[i] - low) / (high - low) * palette.length);
        const unknown = !Number.isFinite(column[i]) || mapper.low_color !== null && column[i] < low;
        this.colours[i] = unknown ? none : palette[Math.max(0, Math.min(palette.length - 1, at))];
      }
    }
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
    const view = Bokeh.index.find_one_by_id(this.plot.id);
    const { left, top, width, height } = view.frame.bbox;
    if (!(width > 0 && height > 0)) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const across = Math.round(width * ratio), down = Math.round(height * ratio);
    const { canvas } = this;
    const inside = view.canvas_view.el.getBoundingClientRect(), outside = canvas.parentNode.getBoundingClientRect();
    Object.assign(canvas.style, {
      left: `${inside.left - outside.left + left}px`, top: `${inside.top - outside.top + top}px`,
      width: `${width}px`, height: `${height}px`,
    });
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    const image = new ImageData(across, down);
    this.paint(new Uint32Array(image.data.buffer), across, down, ratio);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  paint(pixels, across, down, ratio) {
    const { plot, map: { n }, colours } = this;
    const [fx, fy] = this.map.scales(plot);
    const x0 = fx(plot.x_range.start), y1 = fy(plot.y_range.end);
    const seen = new Int32Array(n), places = new Int32Array(n);
    const edge = 8;  // of no points: no disc is cut, and no pixel has to be looked up twice
    let count = 0;
    for (let i = 0; i < n; i++) {
      const px = Math.round((fx(this.xs[i]) - x0) * ratio), py = Math.round((y1 - fy(this.ys[i])) * ratio);
      if (px < edge || py < edge || px >= across - edge || py >= down - edge) continue;
      places[count] = py * across + px;
      seen[count++] = i;
    }
    const [radius, alpha] = count <= 3000 ? [3, 0.8] : count <= 20_000 ? [2, 0.6] : [1.5, 0.5];
    const chosen = new Uint8Array(n);
    const { indices } = this.map.source.selected;
    for (const i of indices) chosen[i] = 1;
    const faint = codeword.disc(radius * ratio, indices.length ? 0.4 * alpha : alpha, across);
    for (let j = 0; j < count; j++) {
      if (!chosen[seen[j]]) codeword.stamp(pixels, places[j], faint, colours[seen[j]]);
    }
    if (!indices.length) return;
    const bold = codeword.disc((radius + 0.5) * ratio, 1, across);
    for (let j = 0; j < count; j++) {
      if (chosen[seen[j]]) codeword.stamp(pixels, places[j], bold, colours[seen[j]]);
    }
  }
};

// A disc as pixels: how far each lies from the centre in a picture so many pixels across, and how much of it
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

// A disc laid over what is there (Porter & Duff 1984, "over", of colours not multiplied by alpha).
codeword.stamp = function (pixels, place, { offsets, covers }, colour) {
  const red = colour & 255, green = colour >> 8 & 255, blue = colour >> 16 & 255;
  for (let j = 0; j < offsets.length; j++) {
    const at = place + offsets[j], alpha = covers[j], there = pixels[at];
    if (there === 0) {
      pixels[at] = alpha << 24 | colour;
      continue;
    }
    const under = (there >>> 24) * (255 - alpha) / 255, total = alpha + under, share = alpha / total;
    const r = there & 255, g = there >> 8 & 255, b = there >> 16 & 255;
    pixels[at] = total << 24 | b + (blue - b) * share << 16 | g + (green - g) * share << 8 | r + (red - r) * share;
  }
};
