// What a threshold means by the scores of the held-out good pictures, and the axis on which they are drawn.

/** The share of good parts that score above a threshold, at most: split-conformal as uadx/scoring/calibration.py. */
export function falseAlarms(scores, threshold) {
  const count = scores.length, above = scores.filter((score) => score > threshold).length;
  return { above, count, rate: (above + 1) / (count + 1), lowest: 1 / (count + 1) };
}

/** Scores to 0..1 and back, linear about the calibration's and logarithmic above, where defects are. */
export class Axis {
  constructor(scores, threshold) {
    const low = Math.min(...scores, threshold), high = Math.max(...scores, threshold);
    this.knee = Math.max((threshold - low) / 2, (high - low) / 20, 1e-9);
    this.low = low - this.knee / 4;
    this.reach = Math.asinh((Math.max(high, 2 * threshold - low) - this.low) / this.knee) * 1.05;
  }

  place(score) {
    return Math.min(Math.max(Math.asinh((score - this.low) / this.knee) / this.reach, 0), 1);
  }

  score(place) {
    return this.low + this.knee * Math.sinh(place * this.reach);
  }

  /** Round scores with room between them. */
  ticks() {
    const top = this.score(1), last = Math.floor(Math.log10(top - this.low));
    const round = [0];
    for (let power = last - 2; power <= last; power++) {
      for (const digit of [1, 2, 5]) round.push(Number(`${digit}e${power}`), Number(`-${digit}e${power}`));
    }
    const chosen = [];
    for (const score of round.filter((one) => one >= this.low && one <= top)) {
      const at = this.place(score);
      if (at < 0.97 && chosen.every((other) => Math.abs(other.at - at) > 0.1)) chosen.push({ score, at });
    }
    return chosen;
  }

  /** How many of the scores lie in each of some equal parts of the axis. */
  histogram(scores, parts) {
    const counts = new Array(parts).fill(0);
    for (const score of scores) counts[Math.min(parts - 1, Math.floor(this.place(score) * parts))]++;
    return counts;
  }
}

/** Four digits, as people read a score. */
export function digits(score) {
  return String(Number(score.toPrecision(4)));
}

export function percent(rate) {
  return `${rate >= 0.0995 ? Number((100 * rate).toPrecision(3)) : (100 * rate).toPrecision(2)} %`;
}
