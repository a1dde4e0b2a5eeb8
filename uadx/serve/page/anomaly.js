// The anomaly map of a row: stretched to the picture, coloured, outlined and searched for regions as uadx does it
// (uadx/render/heatmap.py, uadx/scoring/regions.py), so that a threshold can be moved without another inspection.

const MOST = 1 << 20; // cells of a stretched map; for larger pictures regions are found at a coarser scale

/** {height, width, values} from a row's anomaly_map. */
export function decode({ shape: [height, width], data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  return { height, width, values: new Float32Array(bytes.buffer) };
}

/** The map at a picture's size, bilinear with half-pixel centres. */
export function stretch(map, height, width) {
  const scale = Math.min(1, Math.sqrt(MOST / (height * width)));
  const rows = places(map.height, Math.max(1, Math.round(height * scale)));
  const columns = places(map.width, Math.max(1, Math.round(width * scale)));
  const values = new Float32Array(rows.length * columns.length);
  let at = 0;
  for (const row of rows) {
    const top = row.low * map.width, bottom = row.high * map.width;
    for (const { low, high, part } of columns) {
      const above = map.values[top + low] + (map.values[top + high] - map.values[top + low]) * part;
      const below = map.values[bottom + low] + (map.values[bottom + high] - map.values[bottom + low]) * part;
      values[at++] = above + (below - above) * row.part;
    }
  }
  return { height: rows.length, width: columns.length, values };
}

function places(size, target) {
  return Array.from({ length: target }, (_, at) => {
    const centre = Math.min(Math.max(((at + 0.5) * size) / target - 0.5, 0), size - 1);
    const low = Math.floor(centre);
    return { low, high: Math.min(low + 1, size - 1), part: centre - low };
  });
}

export function highest(map) {
  return map.values.reduce((most, value) => Math.max(most, value), -Infinity);
}

// every 16th colour of uadx's scale: the threshold is in the middle, the end at twice the threshold
const COLOURS = [
  [0, 0, 4], [6, 4, 25], [17, 10, 48], [33, 12, 74], [52, 10, 95], [69, 10, 105],
  [87, 16, 110], [105, 22, 110], [122, 29, 109], [147, 38, 103], [173, 48, 93], [196, 60, 78],
  [218, 78, 60], [235, 100, 41], [246, 126, 20], [251, 157, 7], [251, 186, 31],
];
const PALETTE = new Uint8ClampedArray(256 * 4);
for (let level = 0; level < 256; level++) {
  const at = Math.min(Math.floor(level / 16), COLOURS.length - 2), part = level / 16 - at;
  const ratio = level / 127.5;
  const colour = COLOURS[at].map((value, channel) => value + (COLOURS[at + 1][channel] - value) * Math.min(part, 1));
  // calm parts are clear; at half the opacity this is the overlay of `uadx run`
  const opacity = ratio < 1 ? Math.max(0, (ratio - 0.6) / 0.4) * 0.5 : 0.5 + (ratio - 1) * 0.5;
  PALETTE.set([...colour, 255 * opacity], 4 * level);
}

/** Draw a stretched map into a canvas, which takes its size. */
export function paint(canvas, map, threshold) {
  canvas.height = map.height;
  canvas.width = map.width;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(map.width, map.height);
  const from = new Uint32Array(PALETTE.buffer), to = new Uint32Array(picture.data.buffer);
  const base = threshold <= 0 ? threshold - Math.max(1, -1e-6 * threshold) : 0; // as uadx/render/heatmap.py
  const scale = 127.5 / (threshold - base);
  for (let at = 0; at < to.length; at++) {
    to[at] = from[Math.min(255, Math.max(0, Math.trunc((map.values[at] - base) * scale)))];
  }
  context.putImageData(picture, 0, 0);
}

/** The line around what lies above a threshold, as an SVG path in thousandths of the picture (marching squares). */
export function outline(map, threshold) {
  const value = (row, column) =>
    map.values[Math.min(Math.max(row, 0), map.height - 1) * map.width + Math.min(Math.max(column, 0), map.width - 1)];
  const place = (at, size) => 1000 * Math.min(Math.max((at + 0.5) / size, 0), 1);
  const parts = [];
  for (let row = -1; row < map.height; row++) {
    for (let column = -1; column < map.width; column++) {
      const corners = [value(row, column), value(row, column + 1), value(row + 1, column + 1), value(row + 1, column)];
      const kind = corners.reduce((bits, corner, at) => bits | ((corner > threshold) << at), 0);
      if (kind === 0 || kind === 15) continue;
      const [a, b, c, d] = corners;
      const cross = (first, second) => (threshold - first) / (second - first);
      const on = {
        top: () => [column + cross(a, b), row],
        right: () => [column + 1, row + cross(b, c)],
        bottom: () => [column + cross(d, c), row + 1],
        left: () => [column, row + cross(a, d)],
      };
      for (const [from, to] of SIDES[kind]) {
        const [start, end] = [on[from](), on[to]()].map(
          ([x, y]) => `${place(x, map.width).toFixed(1)} ${place(y, map.height).toFixed(1)}`,
        );
        parts.push(`M${start}L${end}`);
      }
    }
  }
  return parts.join("");
}

const [UPPER_LEFT, UPPER_RIGHT, LOWER_RIGHT, LOWER_LEFT] = [["left", "top"], ["top", "right"], ["right", "bottom"], ["bottom", "left"]];
const ACROSS = ["left", "right"], DOWN = ["top", "bottom"];
const SIDES = [
  [], [UPPER_LEFT], [UPPER_RIGHT], [ACROSS], [LOWER_RIGHT], [UPPER_LEFT, LOWER_RIGHT], [DOWN], [LOWER_LEFT],
  [LOWER_LEFT], [DOWN], [UPPER_RIGHT, LOWER_LEFT], [LOWER_RIGHT], [ACROSS], [UPPER_RIGHT], [UPPER_LEFT], [],
];

/** The connected parts of a stretched map above a threshold, in pixels of the picture, the highest score first. */
export function regions(map, threshold, height, width) {
  const found = [], seen = new Uint8Array(map.values.length);
  for (let start = 0; start < seen.length; start++) {
    if (!seen[start] && map.values[start] > threshold) found.push(grown(map, threshold, start, seen));
  }
  if (!found.length) found.push(grown(map, -Infinity, map.values.indexOf(highest(map)), new Uint8Array(seen.length).fill(1)));
  const down = height / map.height, across = width / map.width;
  return found
    .sort((one, other) => other.score - one.score)
    .map(({ left, top, right, bottom, area, peak, score }) => {
      const x = Math.floor(left * across), y = Math.floor(top * down);
      return {
        bbox: [x, y, Math.ceil((right + 1) * across) - x, Math.ceil((bottom + 1) * down) - y],
        area: Math.round(area * down * across),
        peak: [Math.floor(((peak % map.width) + 0.5) * across), Math.floor((Math.floor(peak / map.width) + 0.5) * down)],
        score,
      };
    });
}

function grown(map, threshold, start, seen) {
  const region = { left: Infinity, top: Infinity, right: 0, bottom: 0, area: 0, peak: start, score: -Infinity };
  const open = [start];
  seen[start] = 1;
  while (open.length) {
    const at = open.pop(), x = at % map.width, y = (at - x) / map.width;
    region.area++;
    region.left = Math.min(region.left, x);
    region.right = Math.max(region.right, x);
    region.top = Math.min(region.top, y);
    region.bottom = Math.max(region.bottom, y);
    if (map.values[at] > region.score) [region.peak, region.score] = [at, map.values[at]];
    for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, map.height - 1); row++) {
      for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, map.width - 1); column++) {
        const next = row * map.width + column;
        if (!seen[next] && map.values[next] > threshold) {
          seen[next] = 1;
          open.push(next);
        }
      }
    }
  }
  return region;
}
