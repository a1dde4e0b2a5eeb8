
// The results that lie in the page, and the pictures, which are looked up only when they are shown.

const $ = (id) => document.getElementById(id);
const FACTS = JSON.parse($("facts").textContent);
const BLOCKS = [...document.querySelectorAll("script.pictures")];
const BLOCKS_KEPT = 60;
const blocks = new Map();

const ALL = [...document.querySelectorAll("script.rows")].flatMap((block, number) =>
  JSON.parse(block.textContent).map(([name, score, unfamiliar, regions, size, overlay, error], at) => {
    const folder = name.slice(0, Math.max(0, name.lastIndexOf("/")));
    return { name, score, unfamiliar: unfamiliar === 1, regions, size, overlay, error, folder, block: number, at };
  }));
const ERRORS = ALL.filter((row) => row.error), JUDGED = ALL.filter((row) => !row.error);
const BY_SCORE = [...JUDGED].sort((one, other) => other.score - one.score);

/** The address of a result's small picture, or null. */
function picture(row) {
  if (!blocks.has(row.block)) {
    if (blocks.size >= BLOCKS_KEPT) blocks.delete(blocks.keys().next().value);
    blocks.set(row.block, BLOCKS[row.block].textContent.split("\n"));
  }
  const data = blocks.get(row.block)[row.at];
  return data ? `data:image/webp;base64,${data}` : null;
}

function verdict(row, threshold) {
  return row.error ? "error" : row.score > threshold ? "NG" : "OK";
}

function element(tag, className = "", words = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = words;
  return made;
}
