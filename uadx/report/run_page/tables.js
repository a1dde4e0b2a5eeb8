
// Counts, folders, errors and facts.

const ERRORS_LISTED = 500;

function showCounts(threshold) {
  const ng = JUDGED.filter((row) => row.score > threshold).length, strange = ALL.filter((row) => row.unfamiliar).length;
  const counted = { images: ALL.length, ng, ok: JUDGED.length - ng, errors: ERRORS.length, unfamiliar: strange };
  for (const [name, count] of Object.entries(counted)) $(`count-${name}`).textContent = count.toLocaleString(language);
  $("errors-counted").hidden = !ERRORS.length;
  $("unfamiliar-counted").hidden = !strange;
  if (JUDGED.length) $("count-ng").append(element("small", "", ` ${percent(ng / JUDGED.length)}`));
}

function folderName(folder) {
  return folder || text("top");
}

const FOLDERS = new Map();
for (const row of ALL) {
  const folder = FOLDERS.get(row.folder) ?? { name: row.folder, rows: [] };
  folder.rows.push(row);
  FOLDERS.set(row.folder, folder);
}

function showFolders(threshold, chosen, onChoose) {
  $("folders-card").hidden = FOLDERS.size < 2;
  $("folders").tBodies[0].replaceChildren(...[...FOLDERS.values()].map(({ name, rows }) => {
    const line = element("tr", name === chosen ? "chosen" : ""), cell = element("td"), button = element("button", "plain", folderName(name));
    button.addEventListener("click", () => onChoose(name === chosen ? null : name));
    button.setAttribute("aria-pressed", String(name === chosen));
    cell.append(button);
    const ng = rows.filter((row) => !row.error && row.score > threshold).length;
    const errors = rows.filter((row) => row.error).length;
    line.append(cell, element("td", "", rows.length), element("td", ng ? "ng" : "", ng), element("td", "", errors || ""));
    return line;
  }));
}

function showErrors() {
  $("failures").hidden = !ERRORS.length;
  $("failures-title").textContent = text("failures", { count: ERRORS.length });
  const entries = ERRORS.slice(0, ERRORS_LISTED).map((row) => {
    const entry = element("li");
    entry.append(element("b", "", row.name), " ", element("code", "", row.error[0]), element("p", "soft", row.error[1]));
    return entry;
  });
  if (ERRORS.length > ERRORS_LISTED) entries.push(element("li", "soft", text("more", { count: ERRORS.length - ERRORS_LISTED })));
  $("failure-list").replaceChildren(...entries);
}

function showFacts() {
  const { device, calibration } = FACTS, speed = (ALL.length + FACTS.left_out - FACTS.resumed) / FACTS.seconds;
  const words = { threshold: digits(FACTS.threshold), rate: FACTS.fpr === null ? "" : percent(FACTS.fpr) };
  const from = { model: "fromModel", fpr: "fromFpr", own: "fromOwn" }[FACTS.threshold_from];
  const spent = { seconds: FACTS.seconds.toFixed(1), speed: speed.toFixed(1), resumed: FACTS.resumed };
  const entries = [
    ["factInput", FACTS.input],
    ["factModel", `${FACTS.model} ${FACTS.sha256}`],
    ["factAsked", device.requested],
    ["factUsed", device.simulated ? `${device.used} SIMULATED` : device.used],
    ["factPrecision", device.precision],
    ["factThreshold", text(from, words)],
    ["factTime", text(FACTS.resumed ? "timeResumed" : "time", spent)],
    ["factFinished", FACTS.finished],
    ["factVersion", text("madeBy", { version: FACTS.version, madeBy: FACTS.made_by })],
  ];
  $("facts-list").replaceChildren(...entries.flatMap(([term, value]) => [element("dt", "", text(term)), element("dd", "", value)]));
  $("model").textContent = `${FACTS.input} · ${FACTS.model} · ${device.used} ${device.precision}`;
  const notices = [];
  if (device.simulated) notices.push(text("simulated"));
  if (device.fallback_reason) notices.push(text("fallback", { reason: device.fallback_reason }));
  if (FACTS.left_out) notices.push(text("leftOut", { shown: ALL.length, all: ALL.length + FACTS.left_out }));
  if (JUDGED.length >= 5 && 2 * JUDGED.filter((row) => row.unfamiliar).length > JUDGED.length) notices.push(text("mostUnfamiliar"));
  $("notices").replaceChildren(...notices.map((words) => element("p", "notice", words)));
}
