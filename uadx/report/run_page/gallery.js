
// The images that fit the filters, a page of them at a time, and one of them large.

const ON_PAGE = 60, PRINTED = 240;
const ORDERS = ["highest", "lowest", "nearest", "name"], VERDICTS = ["all", "NG", "OK", "unfamiliar", "changed"];
const filters = { verdict: "all", folder: null, order: "highest", words: "", page: 0 };
let fitting = JUDGED, open = null;

const ROWS_BY = {
  highest: () => BY_SCORE,
  lowest: () => BY_SCORE.toReversed(),
  nearest: (threshold) => [...BY_SCORE].sort((one, other) => Math.abs(one.score - threshold) - Math.abs(other.score - threshold)),
  name: () => JUDGED,
};
const FITS = {
  all: () => true,
  NG: (row, threshold) => row.score > threshold,
  OK: (row, threshold) => row.score <= threshold,
  unfamiliar: (row) => row.unfamiliar,
  changed: (row, threshold) => row.score > threshold !== row.score > FACTS.threshold,
};

function choose(threshold) {
  const words = filters.words.toLowerCase(), fits = FITS[filters.verdict];
  fitting = ROWS_BY[filters.order](threshold).filter((row) =>
    fits(row, threshold) && (filters.folder === null || row.folder === filters.folder)
    && (!words || row.name.toLowerCase().includes(words)));
}

function showGallery(threshold) {
  choose(threshold);
  const pages = Math.max(1, Math.ceil(fitting.length / ON_PAGE));
  filters.page = Math.min(filters.page, pages - 1);
  const start = filters.page * ON_PAGE;
  $("gallery").replaceChildren(...fitting.slice(start, start + ON_PAGE).map((row) => card(row, threshold)));
  $("shown").textContent = fitting.length
    ? text("shown", { shown: fitting.length.toLocaleString(language), all: JUDGED.length.toLocaleString(language) }) : text("none");
  $("pager").hidden = pages === 1;
  $("page-number").textContent = text("page", { page: filters.page + 1, pages });
  $("previous").disabled = filters.page === 0;
  $("next").disabled = filters.page === pages - 1;
}

function card(row, threshold) {
  const says = verdict(row, threshold), was = verdict(row, FACTS.threshold);
  const entry = element("li"), button = element("button", `${says.toLowerCase()}${says === was ? "" : " changed"}`);
  const address = picture(row), shot = address ? new Image() : element("i", "", text("noPicture"));
  if (address) [shot.src, shot.alt] = [address, ""];
  const label = element("span", "label");
  label.append(element("b", "", `${says} ${digits(row.score)}`));
  if (says !== was) label.append(element("small", "", text("was", { verdict: was })));
  if (row.unfamiliar) {
    const mark = element("small", "mark", "?");
    mark.title = text("unfamiliar");
    label.append(mark);
  }
  button.append(shot, label, element("span", "name", row.name));
  button.title = row.name;
  button.addEventListener("click", () => view(row, threshold));
  entry.append(button);
  return entry;
}

function view(row, threshold) {
  open = row;
  const says = verdict(row, threshold), address = picture(row), at = fitting.indexOf(row), image = $("view-image");
  $("view-verdict").textContent = says;
  $("view-verdict").className = says.toLowerCase();
  $("view-name").textContent = row.name;
  image.alt = row.name;
  image.onerror = () => { // the report was moved without its pictures
    image.onerror = null;
    $("view-open").hidden = true;
    image.src = address ?? "";
  };
  image.hidden = !row.overlay && !address;
  image.src = row.overlay || address || "";
  $("view-open").hidden = !row.overlay;
  if (row.overlay) $("view-open").href = row.overlay;
  const [height, width] = row.size, said = [text("score", { score: digits(row.score) })];
  if (FACTS.calibration.length) {
    const reach = FACTS.calibration.filter((score) => score >= row.score).length;
    said.push(text("pValue", { p: digits((reach + 1) / (FACTS.calibration.length + 1)) }));
  }
  said.push(text("regions", { count: row.regions }), text("size", { width, height }));
  if (row.unfamiliar) said.push(text("unfamiliar"));
  if (says !== verdict(row, FACTS.threshold)) said.push(text("drawn"));
  $("view-facts").textContent = said.join(" · ");
  $("view-previous").disabled = at <= 0;
  $("view-next").disabled = at === fitting.length - 1;
  if (!$("view").open) $("view").showModal();
}

function viewNext(step, threshold) {
  const row = fitting[fitting.indexOf(open) + step];
  if (row) view(row, threshold);
}

/** For paper: the NG images instead of the page that is shown. */
function showForPrint(threshold) {
  const bad = BY_SCORE.filter((row) => row.score > threshold);
  $("gallery").replaceChildren(...bad.slice(0, PRINTED).map((row) => card(row, threshold)));
  $("shown").textContent = text("printed", { shown: Math.min(PRINTED, bad.length), all: bad.length });
}
