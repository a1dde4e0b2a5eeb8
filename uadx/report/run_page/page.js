
// What moves the report: threshold, filters, pages, language, printing.

let threshold = FACTS.threshold, later = null;

function draw() {
  showThreshold(threshold);
  showCounts(threshold);
  showFolders(threshold, filters.folder, chooseFolder);
  showChoices();
  showGallery(threshold);
}

function drawSoon() {
  later ??= requestAnimationFrame(() => {
    later = null;
    draw();
  });
}

function filter(change) {
  Object.assign(filters, { page: 0 }, change);
  draw();
}

function chooseFolder(folder) {
  filter({ folder });
  $("pictures").scrollIntoView({ block: "start" });
}

function showChoices() {
  const isMoved = threshold !== FACTS.threshold, hasStrange = JUDGED.some((row) => row.unfamiliar);
  if (filters.verdict === "changed" && !isMoved) filters.verdict = "all";
  for (const button of $("verdicts").children) {
    const key = button.dataset.verdict;
    button.textContent = { all: text("all"), NG: "NG", OK: "OK", unfamiliar: text("unfamiliarCount"), changed: text("changed") }[key];
    button.setAttribute("aria-pressed", String(filters.verdict === key));
    button.hidden = (key === "changed" && !isMoved) || (key === "unfamiliar" && !hasStrange);
  }
  $("folder").hidden = FOLDERS.size < 2;
  $("folder").value = filters.folder === null ? "" : `/${filters.folder}`;
}

function showAll() {
  sayTexts();
  $("folder").replaceChildren(new Option(text("allFolders"), ""), ...[...FOLDERS.keys()].map((name) => new Option(folderName(name), `/${name}`)));
  $("sort").replaceChildren(...ORDERS.map((order) => new Option(text(order), order, false, order === filters.order)));
  showFacts();
  showErrors();
  draw();
}

function turn(step) {
  filters.page += step;
  showGallery(threshold);
  $("pictures").scrollIntoView({ block: "start" });
}

$("verdicts").replaceChildren(...VERDICTS.map((key) => {
  const button = element("button");
  button.dataset.verdict = key;
  button.addEventListener("click", () => filter({ verdict: key }));
  return button;
}));
$("slider").addEventListener("input", () => {
  threshold = Number(digits(AXIS.score($("slider").value / STEPS)));
  drawSoon();
});
$("number").addEventListener("input", () => {
  if (Number.isFinite($("number").valueAsNumber)) threshold = $("number").valueAsNumber;
  drawSoon();
});
$("reset").addEventListener("click", () => {
  threshold = FACTS.threshold;
  draw();
  $("slider").focus();
});
$("folder").addEventListener("change", () => filter({ folder: $("folder").value ? $("folder").value.slice(1) : null }));
$("sort").addEventListener("change", () => filter({ order: $("sort").value }));
$("search").addEventListener("input", () => filter({ words: $("search").value }));
$("previous").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("view-previous").addEventListener("click", () => viewNext(-1, threshold));
$("view-next").addEventListener("click", () => viewNext(1, threshold));
$("view-close").addEventListener("click", () => $("view").close());
$("view").addEventListener("click", (event) => event.target === $("view") && $("view").close());
$("view").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) viewNext(step, threshold);
});
$("language").addEventListener("click", () => {
  language = language === "en" ? "zh" : "en";
  showAll();
});
$("print").addEventListener("click", () => print());
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  showForPrint(threshold);
});
addEventListener("afterprint", () => showGallery(threshold));
if (innerWidth < 1000) $("folders-card").open = $("facts-card").open = false; // the pictures are what a phone shows first
drawBars();
drawTicks();
showAll();
