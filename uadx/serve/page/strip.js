// Recent pictures, the newest first; a click shows one again.

import { digits } from "./calibration.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);

/** isAnomaly(item): by the threshold that holds now; onChoose(item): what a click does. */
export function showStrip(items, shown, isAnomaly, onChoose) {
  $("recent").hidden = !items.length;
  const judged = items.filter((item) => item.row);
  const failed = items.filter((item) => item.failure).length, ng = judged.filter(isAnomaly).length;
  $("tally").textContent = text(failed ? "tallyFailed" : "tally", { ng, all: judged.length, failed });
  const entries = items.map((item) => {
    item.entry ??= newEntry(() => onChoose(item));
    const button = item.entry.firstElementChild, [picture, badge] = button.children;
    const verdict = item.row ? (isAnomaly(item) ? "NG" : "OK") : null;
    const state = verdict ?? (item.failure ? text("error") : text("waiting"));
    picture.hidden = !item.thumbnail;
    if (item.thumbnail && picture.getAttribute("src") !== item.thumbnail) picture.src = item.thumbnail;
    badge.textContent = verdict ? `${verdict} ${digits(item.row.score)}` : state;
    button.className = verdict?.toLowerCase() ?? (item.failure ? "failed" : "waiting");
    button.ariaLabel = text("strip", { name: item.name, verdict: badge.textContent });
    button.title = item.name;
    if (item === shown) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    return item.entry;
  });
  if (entries.length !== $("strip").children.length || entries.some((entry, at) => entry !== $("strip").children[at])) {
    const focused = document.activeElement;
    $("strip").replaceChildren(...entries);
    if ($("strip").contains(focused)) focused.focus();
  }
}

function newEntry(onClick) {
  const entry = document.createElement("li"), button = document.createElement("button");
  const picture = new Image(), badge = document.createElement("span");
  picture.alt = "";
  button.append(picture, badge);
  button.addEventListener("click", onClick);
  entry.append(button);
  return entry;
}
