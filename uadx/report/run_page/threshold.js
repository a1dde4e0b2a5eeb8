
// The histogram and the threshold that moves over it.

const BARS = 80, STEPS = 1000;
const SCORES = JUDGED.map((row) => row.score);
const AXIS = new Axis(
  [FACTS.calibration[0], FACTS.calibration.at(-1), BY_SCORE[0]?.score, BY_SCORE.at(-1)?.score].filter(Number.isFinite),
  FACTS.threshold);

function drawBars() {
  const counts = AXIS.histogram(SCORES, BARS), most = Math.max(1, ...counts);
  const bars = counts.map((count, at) => {
    const high = count ? Math.max(3, 100 * Math.sqrt(count / most)) : 0; // a single image is to be seen too
    return shape("rect", { x: (100 * at) / BARS, width: 85 / BARS, y: 100 - high, height: high });
  });
  const good = AXIS.histogram(FACTS.calibration, BARS), mostGood = Math.max(1, ...good);
  const steps = good.map((count, at) => `H${(100 * at) / BARS}V${100 - 96 * Math.sqrt(count / mostGood)}`).join("");
  const line = shape("path", { d: `M0 100${steps}H100V100`, class: "calibration" });
  $("bars").replaceChildren(...bars, ...(FACTS.calibration.length ? [line] : []));
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function drawTicks() {
  $("ticks").replaceChildren(...AXIS.ticks().map(({ score, at }) => {
    const tick = element("span", "", String(score));
    tick.style.left = `${100 * at}%`;
    return tick;
  }));
}

function showThreshold(threshold) {
  const place = AXIS.place(threshold), isMoved = threshold !== FACTS.threshold;
  [...$("bars").querySelectorAll("rect")].forEach((bar, at) => bar.classList.toggle("ng", (at + 0.5) / BARS > place));
  $("bars").ariaLabel = SCORES.length
    ? text("scores", { low: digits(BY_SCORE.at(-1).score), high: digits(BY_SCORE[0].score) }) : "";
  $("bars-are").textContent = text(FACTS.calibration.length ? "bars" : "barsAlone", { count: FACTS.calibration.length });
  $("threshold-mark").style.left = `${100 * place}%`;
  if (document.activeElement !== $("slider") || !isMoved) $("slider").value = String(Math.round(STEPS * place));
  if (document.activeElement !== $("number")) $("number").value = digits(threshold);
  $("reset").hidden = $("command").hidden = !isMoved;
  $("reset").textContent = text("reset", { threshold: digits(FACTS.threshold) });
  $("command").lastElementChild.textContent = `uadx run --threshold ${threshold}`;
  showRate(threshold);
}

function showRate(threshold) {
  $("rate-line").hidden = !FACTS.calibration.length;
  if (!FACTS.calibration.length) {
    $("rate-text").textContent = text("uncalibrated");
    $("slider").ariaValueText = digits(threshold);
    return;
  }
  const { above, count, rate, lowest } = falseAlarms(FACTS.calibration, threshold);
  $("rate").value = String(rate);
  $("rate").textContent = percent(rate);
  $("rate-text").textContent = text(above ? "certified" : "lowestReached", { above, count, lowest: percent(lowest) });
  $("slider").ariaValueText = text("thresholdIs", { threshold: digits(threshold), rate: percent(rate) });
}
