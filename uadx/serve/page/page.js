// The page: pictures go one after the other to the service, and what it finds is shown.

import { regions as regionsOf } from "./anomaly.js";
import * as api from "./api.js";
import { inspected } from "./inspection.js";
import { takeFiles } from "./intake.js";
import { withKey } from "./key.js";
import { sliderThreshold, showDetails, showFailure, showRegions, showThreshold, showVerdict } from "./panel.js";
import { mapsOf, showMaps, showNothing, showPicture } from "./stage.js";
import { showStrip } from "./strip.js";
import { errorTitle, otherLanguage, startLanguage, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const KEPT = 50; // pictures of the strip; what is older is let go
const RETRY = 3000; // ms

let model = null;
let moved = null; // the threshold where somebody moved it; else the service's
let items = []; // the newest first: {name, file, address, thumbnail, row, failure}
let shown = null, maps = null; // maps: those of the shown one, which are large
let follows = true; // whether what comes next is shown, until somebody chooses
let working = false;

const isCurrent = (row) => row.model.sha256 === model?.sha256 && row.threshold === model.threshold;
const thresholdOf = (row) => (moved !== null && isCurrent(row) ? moved : row.threshold);
const isWaiting = (item) => !item.row && !item.failure;
const isAnomaly = ({ row }) => row.score > thresholdOf(row);

function add(files) {
  if (!files.length) {
    $("progress").textContent = text("noPicture");
    return;
  }
  const added = Array.from(files, (file) => ({ name: file.name, file, address: URL.createObjectURL(file) }));
  items = [...added.reverse(), ...items];
  follows = true;
  work();
}

async function work() {
  if (working) return;
  working = true;
  try {
    for (let item; (item = items.findLast(isWaiting)); ) await finish(item);
  } finally {
    working = false;
    $("progress").textContent = "";
  }
}

async function finish(item) {
  const left = items.filter(isWaiting).length - 1;
  $("progress").textContent = text(left ? "workingOf" : "working", { name: item.name, left });
  showStrip(items, shown, isAnomaly, choose);
  try {
    const row = await inspected(item);
    if (!isCurrent(row)) await learnModel();
    item.row = row;
  } catch (failure) {
    item.failure = failure;
    if (!(failure instanceof api.Failure)) throw failure;
  }
  forgetOld();
  if (follows && items.includes(item)) show(item);
  else showStrip(items, shown, isAnomaly, choose);
}

/** The model has been swapped, or this is the first picture. A threshold that was moved was one of the old model. */
async function learnModel() {
  const before = model;
  model = await withKey(api.model);
  if (before !== null && before.sha256 !== model.sha256) moved = null;
  $("offline").hidden = true;
  showModel();
}

function forgetOld() {
  for (const item of items.filter((one) => !isWaiting(one)).slice(KEPT)) {
    if (item === shown) continue;
    URL.revokeObjectURL(item.address);
    items.splice(items.indexOf(item), 1);
  }
}

function choose(item) {
  follows = false;
  show(item);
}

function show(item) {
  shown = item;
  maps = item.row ? mapsOf(item.row) : null;
  draw();
}

/** All of the page by what is known now. */
function draw() {
  showStrip(items, shown, isAnomaly, choose);
  $("right").hidden = shown === null;
  document.body.classList.toggle("used", items.length > 0);
  if (shown === null) return showNothing();
  const { row, failure } = shown;
  showPicture(shown.thumbnail ? shown.address : null, shown.name, row?.image_size ?? null);
  if (!row && !failure) {
    $("right").hidden = true;
    return showMaps(null, 0, [], 0, [1, 1]);
  }
  showFailure(failure ?? null);
  if (!row) return showMaps(null, 0, [], 0, [1, 1]);
  const threshold = thresholdOf(row), [regions, above] = found(row, threshold);
  showVerdict(row, threshold);
  showThreshold(row, threshold, isCurrent(row) ? model : null, moved !== null && isCurrent(row));
  showMaps(maps, threshold, regions, above, row.image_size);
  showRegions(regions, above, row.image_size);
  showDetails(shown.name, row);
}

/** The regions, and the value of the map above which they lie: the service's own, or as it would find them. */
function found(row, threshold) {
  if (threshold !== row.threshold) {
    return [row.score > threshold ? regionsOf(maps.stretched, threshold, ...row.image_size) : [], threshold];
  }
  return [row.regions, maps.highest > row.pixel_threshold ? row.pixel_threshold : row.threshold];
}

function move(threshold) {
  moved = threshold === model.threshold ? null : threshold;
  later ??= requestAnimationFrame(() => {
    later = null;
    draw();
  });
}
let later = null;

function showModel() {
  if (model === null) return;
  const { used, precision, simulated, fallback_reason: reason } = model.device;
  $("model").textContent = `${model.name} · ${used} ${precision}`;
  $("model").title = model.sha256;
  $("simulated").hidden = !simulated && !reason;
  $("simulated").textContent = simulated ? text("simulated") : text("fallback", { reason });
}

/** Until the service answers: it may just be starting anew. */
async function connect() {
  try {
    await learnModel();
    draw();
  } catch (failure) {
    if (!(failure instanceof api.Failure)) throw failure;
    $("offline").hidden = false;
    if (failure.status === 401) {
      $("offline").textContent = errorTitle(failure.kind);
      return;
    }
    $("offline").textContent = failure.kind === "unreachable" ? text("reconnecting") : text("unready", failure);
    setTimeout(connect, RETRY);
  }
}

function again() {
  if (model === null) connect();
  delete shown.failure;
  follows = true;
  work();
}

takeFiles(add);
$("again").addEventListener("click", again);
$("clear").addEventListener("click", () => {
  for (const item of items) URL.revokeObjectURL(item.address);
  [items, shown, maps] = [[], null, null];
  draw();
  $("files").focus();
});
$("slider").addEventListener("input", () => move(sliderThreshold()));
$("number").addEventListener("input", () => {
  if (Number.isFinite($("number").valueAsNumber)) move($("number").valueAsNumber);
});
$("number").addEventListener("blur", draw);
$("reset").addEventListener("click", () => {
  move(model.threshold);
  $("slider").focus();
});
$("language").addEventListener("click", () => {
  otherLanguage();
  speak();
});
function speak() {
  $("language").textContent = text("other");
  $("language").lang = text("other") === "English" ? "en" : "zh-CN";
  showModel();
  draw();
}

startLanguage();
speak();
connect();
