// Beside the picture: the verdict, the threshold and what it means, the regions, the details.

import { Axis, digits, falseAlarms, percent } from "./calibration.js";
import { lookAt } from "./stage.js";
import { errorTitle, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const BARS = 80, LISTED = 30, STEPS = 1000;
let axis = null;

function say(element, words) {
  if (element.textContent !== words) element.textContent = words; // a live region is read out when it changes
}

export function showFailure(failure) {
  $("right").hidden = false;
  $("failure").hidden = failure === null;
  for (const id of ["verdict", "threshold-card", "regions-card"]) $(id).hidden = failure !== null;
  document.querySelector("details").hidden = failure !== null;
  if (failure === null) return;
  $("unfamiliar").hidden = true;
  say($("failure-title"), errorTitle(failure.kind));
  say($("failure-message"), failure.message);
  say($("failure-hint"), failure.kind === "unreachable" ? text("unreachableAdvice") : failure.hint);
}

export function showVerdict(row, threshold) {
  const isAnomaly = row.score > threshold, verdict = isAnomaly ? "NG" : "OK";
  $("verdict").className = `card ${verdict.toLowerCase()}`;
  const words = { score: digits(row.score), threshold: digits(threshold) };
  say($("word"), `${verdict} · ${text(isAnomaly ? "ngWord" : "okWord")}`);
  say($("because"), text(isAnomaly ? "above" : "notAbove", words));
  $("unfamiliar").hidden = row.unfamiliar !== true;
}

/** model: null where the picture was judged by another one than the service has now. */
export function showThreshold(row, threshold, model, isMoved) {
  const scores = model?.calibration?.scores ?? [];
  axis = new Axis([...scores, row.score], model?.threshold ?? threshold);
  drawBars(scores, threshold);
  const isAnomaly = row.score > threshold, at = axis.place(row.score);
  $("score-mark").className = isAnomaly ? "ng" : "ok";
  $("score-mark").style.left = `${100 * at}%`;
  $("score-mark").classList.toggle("late", at > 0.6);
  $("score-mark").firstElementChild.textContent = text("scoreIs", { score: digits(row.score) });
  $("threshold-mark").style.left = `${100 * axis.place(threshold)}%`;
  const slider = $("slider"), number = $("number");
  slider.disabled = number.disabled = model === null;
  if (document.activeElement !== slider || !isMoved) slider.value = String(Math.round(STEPS * axis.place(threshold)));
  if (document.activeElement !== number) number.value = digits(threshold);
  $("reset").hidden = !isMoved;
  if (isMoved) $("reset").textContent = text("reset", { threshold: digits(model.threshold) });
  $("command").hidden = !isMoved;
  $("command").lastElementChild.textContent = `uadx serve --threshold ${threshold}`;
  $("ticks").replaceChildren(...axis.ticks().map(({ score, at: place }) => {
    const tick = document.createElement("span");
    tick.textContent = String(score);
    tick.style.left = `${100 * place}%`;
    return tick;
  }));
  showRate(scores, threshold, model);
}

function showRate(scores, threshold, model) {
  $("bars-are").textContent = scores.length ? text("barsAre", { count: scores.length }) : "";
  $("rate-line").hidden = !scores.length;
  if (!scores.length) {
    $("rate-text").textContent = text(model === null ? "otherModel" : "uncalibrated");
    $("slider").ariaValueText = digits(threshold);
    return;
  }
  const { above, count, rate, lowest } = falseAlarms(scores, threshold);
  $("rate").value = String(rate);
  $("rate").textContent = percent(rate);
  const words = { above, count, lowest: percent(lowest) };
  $("rate-text").textContent = text(above ? "certified" : "lowestReached", words);
  $("slider").ariaValueText = text("thresholdIs", { threshold: digits(threshold), rate: percent(rate) });
}

/** The threshold that the slider's place means, to the digits that are shown. */
export function sliderThreshold() {
  return Number(digits(axis.score($("slider").value / STEPS)));
}

function drawBars(scores, threshold) {
  const counts = axis.histogram(scores, BARS), most = Math.max(1, ...counts);
  $("bars").replaceChildren(...counts.flatMap((count, at) => {
    if (!count) return [];
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const high = Math.max(4, 100 * Math.sqrt(count / most)); // a single picture is to be seen too
    const place = { x: (100 * at) / BARS, width: 85 / BARS, y: 100 - high, height: high };
    for (const [name, value] of Object.entries(place)) bar.setAttribute(name, value);
    if (axis.score((at + 0.5) / BARS) > threshold) bar.setAttribute("class", "ng");
    return [bar];
  }));
}

export function showRegions(regions, above, size) {
  $("regions-title").textContent = text("regions", { count: regions.length });
  $("regions").replaceChildren(...regions.slice(0, LISTED).map((region, at) => {
    const [x, y, width, height] = region.bbox, button = document.createElement("button");
    const badge = document.createElement("b");
    badge.textContent = String(at + 1);
    button.append(badge, text("region", { x, y, width, height, score: digits(region.score) }));
    button.addEventListener("click", () => lookAt(at, region, size));
    const entry = document.createElement("li");
    entry.append(button);
    return entry;
  }));
  const notes = [regions.length ? text("regionsAbove", { threshold: digits(above) }) : text("regionsNone")];
  if (regions.length > LISTED) notes.push(text("regionsMore", { shown: LISTED }));
  $("regions-note").textContent = notes.join(" ");
}

export function showDetails(name, row) {
  const { device, ms } = row, [height, width] = row.image_size;
  const used = [device.used, text("precision", device)];
  if (device.simulated) used.push("SIMULATED");
  const entries = [
    ["file", name],
    ["size", `${width} × ${height}`],
    ["windows", row.windows],
    ["pValue", row.p_value === null ? "–" : digits(row.p_value)],
    ["times", [ms.decode, ms.infer, ms.score].map((spent) => `${spent.toFixed(1)} ms`).join(", ")],
    ["modelName", `${row.model.name} ${row.model.sha256.slice(0, 12)}`],
    ["device", used.join(", ")],
  ];
  $("details").replaceChildren(...entries.flatMap(([term, value]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = text(term);
    dd.textContent = value;
    return [dt, dd];
  }));
}
