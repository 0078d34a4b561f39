// The cells of a table with columns of several kinds, out of a row of the numbers that were made of it.

codeword.said = function (cell) {
  if (cell === null || Number.isNaN(cell)) return "missing";
  const whole = Number.isInteger(cell) && Math.abs(cell) < 1e15;
  return typeof cell === "number" && !whole ? codeword.short(cell) : String(cell);
};

codeword.Cells = class {
  constructor(columns) { this.columns = columns; }

  // A cell for each column: a number, a text, true, false, or null where none is more probable than any.
  of(row) {
    return this.columns.map(column => {
      const gone = column.gap !== null && row[column.gap] > 0.5;
      return gone ? null : this[column.kind](column, row);
    });
  }

  flag({ at }, row) { return row[at] >= 0.5; }

  number({ at, mean, scale, whole }, row) {
    const value = row[at] * scale + mean;
    return whole === null ? value : Math.min(Math.max(Math.round(value), whole[0]), whole[1]);
  }

  category({ places, words, missing }, row) {
    const shares = places.map(place => row[place]);
    if (missing !== null && shares[missing] > 0.5) return null;
    let best = -1;
    shares.forEach((share, i) => { if (i !== missing && (best < 0 || share > shares[best])) best = i; });
    return shares[best] > 0 ? words[best] : null;  // a word that was not there in training is none of them
  }

  date({ at, mean, scale, form, per_second, low, high }, row) {
    const ticks = Math.min(Math.max(row[at] * scale + mean, low), high);
    const seconds = Math.round(ticks) / per_second + (form === "moment" ? 30 : 0);
    const text = new Date(seconds * 1000).toISOString().replace("T", " ");
    return form === "day" ? text.slice(0, 10) : text.slice(0, 16);
  }
};
