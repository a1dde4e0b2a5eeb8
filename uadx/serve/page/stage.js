// The picture with its heat map, outlines and the numbers of its regions, at any zoom.

import { decode, highest, outline, paint, stretch } from "./anomaly.js";

const $ = (id) => document.getElementById(id);
const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
let zoom = 1;

/** A picture from an address; null where the browser cannot show it. */
export async function pictureFrom(address) {
  const picture = new Image();
  picture.src = address;
  try {
    await picture.decode();
    return picture;
  } catch {
    return null;
  }
}

/** A small copy for the strip, as a data URL. */
export function thumbnail(picture, side = 160) {
  const scale = Math.min(1, side / Math.max(picture.naturalWidth, picture.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(picture.naturalHeight * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.8);
}

/** The maps of a row: as it came, and stretched to the picture. */
export function mapsOf(row) {
  const map = decode(row.anomaly_map), [height, width] = row.image_size;
  const stretched = stretch(map, height, width);
  return { map, stretched, highest: highest(stretched) };
}

/** Show a picture; size: [height, width] as it was inspected, null where it was not. */
export function showPicture(address, alt, size) {
  $("sheet").hidden = address === null;
  $("empty").hidden = address !== null;
  $("tools").hidden = size === null;
  if (address === null) return;
  const picture = $("picture");
  if (picture.getAttribute("src") !== address) {
    picture.src = address;
    setZoom(1);
  }
  picture.alt = alt;
  const ratio = size === null ? picture.naturalWidth / picture.naturalHeight : size[1] / size[0];
  $("sheet").style.setProperty("--ratio", String(ratio || 1));
}

export function showNothing() {
  $("empty").hidden = false;
  $("sheet").hidden = $("tools").hidden = true;
  $("picture").removeAttribute("src");
}

/** Show what was found; maps: null shows none. above: the value above which regions lie. */
export function showMaps(maps, threshold, regions, above, [height, width]) {
  $("heat").hidden = maps === null;
  $("outlines").style.display = maps === null ? "none" : ""; // SVG has no `hidden`
  if (maps !== null) paint($("heat"), maps.stretched, threshold);
  const path = maps === null || !regions.length ? "" : outline(maps.map, above);
  for (const line of $("outlines").children) line.setAttribute("d", path);
  $("badges").replaceChildren(
    ...regions.map(({ bbox: [x, y, wide, high] }, at) => {
      const badge = document.createElement("span");
      badge.textContent = String(at + 1);
      badge.style.left = `${(100 * (x + wide / 2)) / width}%`;
      const isBelow = y < height * 0.08; // above the region it would be cut off
      badge.style.top = `${(100 * (isBelow ? y + high : y)) / height}%`;
      badge.classList.toggle("below", isBelow);
      return badge;
    }),
  );
}

/** Bring a region to the middle, enlarged, and mark it. */
export function lookAt(at, { bbox: [x, y, wide, high] }, [height, width]) {
  for (const [number, badge] of [...$("badges").children].entries()) badge.classList.toggle("chosen", number === at);
  const share = Math.max(wide / width, high / height);
  setZoom(ZOOMS.findLast((one) => one * share <= 0.5) ?? 1);
  const stage = $("stage"), sheet = $("sheet");
  stage.scrollTo({
    left: sheet.offsetLeft + ((x + wide / 2) / width) * sheet.offsetWidth - stage.clientWidth / 2,
    top: sheet.offsetTop + ((y + high / 2) / height) * sheet.offsetHeight - stage.clientHeight / 2,
  });
}

function setZoom(wanted) {
  const stage = $("stage");
  const centre = [
    (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth,
    (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight,
  ];
  zoom = wanted;
  $("sheet").style.setProperty("--zoom", String(zoom));
  stage.scrollTo(
    centre[0] * stage.scrollWidth - stage.clientWidth / 2,
    centre[1] * stage.scrollHeight - stage.clientHeight / 2,
  );
  $("zoom").textContent = `${100 * zoom} %`;
  $("smaller").disabled = zoom === ZOOMS[0];
  $("larger").disabled = zoom === ZOOMS.at(-1);
}

$("smaller").addEventListener("click", () => setZoom(ZOOMS.findLast((one) => one < zoom) ?? 1));
$("larger").addEventListener("click", () => setZoom(ZOOMS.find((one) => one > zoom) ?? zoom));
$("opacity").addEventListener("input", () => {
  $("heat").style.opacity = String($("opacity").value / 100);
  $("opacity-value").textContent = `${$("opacity").value} %`;
});
$("opacity").dispatchEvent(new Event("input"));
$("show-regions").addEventListener("change", () => $("sheet").classList.toggle("bare", !$("show-regions").checked));
setZoom(1);
