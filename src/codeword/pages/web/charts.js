// Axes, and the two small charts: learning curves and the use of each number of a code.

// The least and the largest of some numbers.
codeword.range = function (values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
};

// About `count` round numbers between two others, a step of 1, 2 or 5 times a power of ten apart.
codeword.ticks = function (low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find(times => times * power >= rough) || 10);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(Number((i * step).toPrecision(6)));
  return ticks;
};

// The same for a logarithmic axis: powers of ten, and as many of the numbers between them as there is room for.
codeword.powers = function (low, high, count) {
  const first = Math.floor(Math.log10(low)), decades = Math.ceil(Math.log10(high)) - first;
  const every = Math.ceil(decades / count);
  let chosen = [];
  for (const digits of [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 6, 8]]) {
    const ticks = [];
    for (let p = 0; p <= decades; p += every) {
      for (const digit of digits) ticks.push(Number(`${digit}e${first + p}`));
    }
    const seen = ticks.filter(tick => tick >= low && tick <= high);
    if (seen.length <= count || !chosen.length) chosen = seen;
  }
  return chosen.length > 1 ? chosen : codeword.ticks(low, high, count);
};

codeword.tick = value => Math.abs(value) >= 1e6 ? value.toExponential() : String(value);

// Lines and texts of two axes around a frame. Each axis has a title and ticks: a place in pixels, and a text.
codeword.axes = function ({ left, top, width, height }, x, y) {
  const right = left + width, bottom = top + height, parts = [];
  const line = (x1, y1, x2, y2, kind) => parts.push(codeword.svg("line", { x1, y1, x2, y2, class: kind }));
  const text = (words, x, y, anchor, turned) => {
    const turn = turned ? { transform: `rotate(-90 ${x} ${y})` } : {};
    const part = codeword.svg("text", { x, y, "text-anchor": anchor, ...turn });
    part.textContent = words;
    parts.push(part);
  };
  for (const [at, words] of x.ticks) {
    if (!x.bars) line(at, top, at, bottom, "grid");
    line(at, bottom, at, bottom + 4, "axis");
    if (x.turned) text(words, at + 4, bottom + 8, "end", true);
    else text(words, at, bottom + 17, "middle");
  }
  for (const [at, words] of y.ticks) {
    line(left, at, right, at, "grid");
    line(left - 4, at, left, at, "axis");
    text(words, left - 8, at + 4, "end");
  }
  line(left, bottom, right, bottom, "axis");
  line(left, top, left, bottom, "axis");
  if (x.title) text(x.title, left + width / 2, bottom + 36, "middle");
  if (y.title) text(y.title, 13, top + height / 2, "middle", true);
  return parts;
};

// A drawing that fills its place, made anew where that changes its size.
codeword.chart = function (name, label, draw) {
  const place = document.getElementById(`of-${name}`);
  const picture = place.appendChild(codeword.svg("svg", { role: "img", "aria-label": label }));
  const resize = () => {
    const { clientWidth: width, clientHeight: height } = place;
    picture.replaceChildren(...draw({ left: 62, top: 8, width: Math.max(1, width - 74), height: height - 52 }));
  };
  new ResizeObserver(resize).observe(place);
};

// The loss of each epoch: lines with a color and points, each an epoch and a loss.
codeword.curves = function (lines) {
  const all = lines.flatMap(line => line.points);
  const [[first, last], [least, most]] = [0, 1].map(i => codeword.range(all.map(point => point[i])));
  const margin = 0.05 * (most - least) || 0.05 * Math.abs(most) || 1;
  const [low, high] = [least - margin, most + margin];
  codeword.chart("history", "learning curves", frame => {
    const fx = epoch => frame.left + (last > first ? 0.02 + 0.96 * (epoch - first) / (last - first) : 0.5) * frame.width;
    const fy = loss => frame.top + (high - loss) / (high - low) * frame.height;
    const epochs = last > first ? codeword.ticks(first, last, 7).filter(Number.isInteger) : [first];
    const parts = codeword.axes(frame,
      { title: "epoch", ticks: epochs.map(tick => [fx(tick), codeword.tick(tick)]) },
      { title: "loss", ticks: codeword.ticks(low, high, 6).map(tick => [fy(tick), codeword.tick(tick)]) });
    for (const { color, points } of lines) {
      const places = points.map(([epoch, loss]) => [fx(epoch), fy(loss)]);
      parts.push(codeword.svg("polyline", { points: places.join(" "), class: "history", stroke: color }));
      if (points.length >= 60) continue;
      for (const [cx, cy] of places) parts.push(codeword.svg("circle", { cx, cy, r: 2.5, fill: color }));
    }
    return parts;
  });
};

// A bar for each number of a code.
codeword.bars = function ({ names, values, what, color }) {
  const high = 1.05 * codeword.range(values)[1] || 1;
  codeword.chart("dimensions", what, frame => {
    const each = frame.width / names.length;
    const fy = value => frame.top + (1 - value / high) * frame.height;
    const parts = codeword.axes(frame,
      { bars: true, turned: each < 30, ticks: names.map((name, i) => [frame.left + (i + 0.5) * each, name]) },
      { title: what, ticks: codeword.ticks(0, high, 6).map(tick => [fy(tick), codeword.tick(tick)]) });
    values.forEach((value, i) => {
      const bar = codeword.svg("rect", { x: frame.left + (i + 0.125) * each, width: 0.75 * each, y: fy(value),
        height: frame.top + frame.height - fy(value), fill: color });
      bar.appendChild(codeword.svg("title", {})).textContent = `${names[i]}: ${codeword.short(value)}`;
      parts.push(bar);
    });
    return parts;
  });
};
