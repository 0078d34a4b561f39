// The cells of a table with columns of several kinds, out of a row of the numbers that were made of it.

codeword.said = function (cell) {
  if (cell === null || Number.isNaN(cell)) return "missing";
  const whole = Number.isInteger(cell) && Math.abs(cell) < 1e15;
  return typeof cell === "number" && !whole ? codeword.short(cell) : String(cell);
};

codeword.two = number => String(number).padStart(2, "0");

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

  date({ at, mean, scale, form, per_second, low, high, zone }, row) {
    const ticks = Math.min(Math.max(row[at] * scale + mean, low), high);
    const seconds = Math.round(ticks) / per_second;
    if (form === "day") return this.moment(seconds, null).slice(0, 10);
    if (form === "moment") return this.moment(seconds + 30, zone).slice(0, 16);
    const all = form === "time" ? Math.floor(seconds) : Math.abs(Math.round(seconds));
    const days = Math.floor(all / 86400), rest = all - days * 86400;
    const clock = [rest / 3600, rest / 60 % 60, rest % 60].map(part => codeword.two(Math.floor(part))).join(":");
    return (Math.round(seconds) < 0 ? "-" : "") + (days ? `${days} d ${clock}` : clock);
  }

  // Seconds since 1970 as a date and a time of day, there where the clocks are those of the zone.
  moment(seconds, zone) {
    let ahead = 0;
    if (zone !== null && zone !== "UTC") {
      const form = { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
        hour: "numeric", minute: "numeric" };
      try {
        const parts = new Intl.DateTimeFormat("en-GB", form).formatToParts(seconds * 1000);
        const { year, month, day, hour, minute } = Object.fromEntries(parts.map(p => [p.type, Number(p.value)]));
        const there = new Date(Date.UTC(2000, month - 1, day, hour, minute));
        there.setUTCFullYear(year, month - 1, day);  // Date.UTC takes the years up to 99 for those from 1900
        ahead = there / 1000 - Math.floor(seconds / 60) * 60;
      } catch { /* a zone that the browser does not know: UTC */ }
    }
    return new Date((seconds + ahead) * 1000).toISOString().replace("T", " ");
  }
};
