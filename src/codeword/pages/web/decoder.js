// A decoder of dense layers: the steps that decoder.py took it apart into, in the same order.

codeword.bytes = function (text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes.buffer;
};

// Half precision to single: sign, five bits of exponent, ten of fraction.
codeword.halves = function (buffer) {
  const halves = new Uint16Array(buffer);
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i];
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24
      : exponent === 31 ? (fraction ? NaN : Infinity)
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    values[i] = bits & 32768 ? -size : size;
  }
  return values;
};

codeword.numbers = function (text, precision) {
  const buffer = codeword.bytes(text);
  return precision === "float16" ? codeword.halves(buffer) : new Float32Array(buffer);
};

// Abramowitz and Stegun (1964), 7.1.26.
codeword.erf = function (x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
    + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
};

codeword.functions = {
  relu: x => Math.max(x, 0),
  silu: x => x / (1 + Math.exp(-x)),
  gelu: x => 0.5 * x * (1 + codeword.erf(x / Math.SQRT2)),
  gelu_tanh: x => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  tanh: Math.tanh,
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  clip: x => Math.min(Math.max(x, 0), 1),
};

codeword.Decoder = class {
  constructor(packed) {
    this.steps = packed.steps;
    this.weights = codeword.numbers(packed.weights, packed.precision);
  }

  // One code to one row, in scaled units.
  run(code, steps = this.steps) {
    let x = Float32Array.from(code);
    for (const step of steps) x = this.step(step, x);
    return x;
  }

  part(place) {
    return place === null ? null : this.weights.subarray(place[0], place[0] + place[1]);
  }

  step(step, x) {
    if (step.op === "linear") return this.linear(step, x);
    if (step.op === "skip") {
      const straight = this.run(x, step.linear);
      const deep = this.run(x, step.deep);
      return straight.map((value, i) => value + step.gate * deep[i]);
    }
    if (step.op === "affine") {
      const scale = this.part(step.scale), shift = this.part(step.shift);
      return x.map((value, i) => value * scale[i] + shift[i]);
    }
    if (step.op === "layer_norm") return this.layerNorm(step, x);
    if (step.op === "layout") return this.layout(step, x);
    if (step.op === "leaky_relu") return x.map(value => value < 0 ? step.slope * value : value);
    return x.map(codeword.functions[step.op]);
  }

  // The row of a mixed table: numbers as they are, flags and categories as probabilities.
  layout(step, x) {
    const y = Float32Array.from(x);
    let at = step.numbers;
    for (const end = at + step.flags; at < end; at++) y[at] = codeword.functions.sigmoid(x[at]);
    for (const size of step.groups) {
      const part = x.subarray(at, at + size);
      const most = Math.max(...part);
      const shares = part.map(value => Math.exp(value - most));
      const sum = shares.reduce((a, b) => a + b, 0);
      y.set(shares.map(share => share / sum), at);
      at += size;
    }
    return y;
  }

  linear(step, x) {
    const weight = this.part(step.weight), bias = this.part(step.bias);
    const y = new Float32Array(step.rows);
    const n = step.columns;
    for (let row = 0, at = 0; row < step.rows; row++, at += n) {
      let sum = bias === null ? 0 : bias[row];
      for (let i = 0; i < n; i++) sum += weight[at + i] * x[i];
      y[row] = sum;
    }
    return y;
  }

  layerNorm(step, x) {
    const n = x.length;
    const mean = x.reduce((a, b) => a + b, 0) / n;
    const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    const size = 1 / Math.sqrt(variance + step.epsilon);
    const weight = this.part(step.weight), bias = this.part(step.bias);
    return x.map((v, i) => (v - mean) * size * (weight ? weight[i] : 1) + (bias ? bias[i] : 0));
  }
};
