// One picture to the service and back, with a picture that the browser can show.

import { inspect } from "./api.js";
import { withKey } from "./key.js";
import { pictureFrom, thumbnail } from "./stage.js";

/** The row of an item, {file, address}, which gets its thumbnail. Throws Failure. */
export async function inspected(item) {
  const picture = await pictureFrom(item.address);
  if (picture !== null) item.thumbnail = thumbnail(picture);
  const row = await send(item, picture === null); // a TIFF, say, which no browser shows
  const [height, width] = row.image_size;
  if (picture === null) return withPicture(item, row);
  if (picture.naturalHeight === height && picture.naturalWidth === width) return row;
  return withPicture(item, await send(item, true)); // the browser turns it otherwise: regions would lie elsewhere
}

function send(item, picture) {
  return withKey(() => inspect(item.file, picture));
}

async function withPicture(item, row) {
  URL.revokeObjectURL(item.address);
  item.address = row.picture;
  delete row.picture;
  item.thumbnail = thumbnail(await pictureFrom(item.address));
  return row;
}
