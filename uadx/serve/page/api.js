// The service as the page asks it: the key, and failures in the service's own words.

const KEY = "uadx-key"; // in sessionStorage: gone with the tab

/** kind: the service's word for it, or "unreachable" and "file" for what never came there. */
export class Failure extends Error {
  constructor(kind, message = "", hint = "", status = 0) {
    super(message);
    Object.assign(this, { kind, hint, status });
  }
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

export async function model() {
  return ask("v1/model");
}

/** The row of one picture with its anomaly map; withPicture: with what was inspected, for a file that no browser shows. */
export async function inspect(file, withPicture) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (error) {
    throw new Failure("file", `${file.name}: ${error.message}`);
  }
  const body = new FormData();
  body.append("image", file, file.name);
  const query = withPicture ? "anomaly_map=true&picture=true" : "anomaly_map=true";
  return (await ask(`v1/inspect?${query}`, { method: "POST", body })).results[0];
}

async function ask(path, request = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = key === null ? {} : { "X-API-Key": key };
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { ...request, headers });
  } catch {
    throw new Failure("unreachable");
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body !== null) return body;
  const { type, message, hint } = body?.error ?? {}; // none where a proxy answered instead of the service
  throw new Failure(type ?? "failed", message ?? `${answer.status} ${answer.statusText}`, hint ?? "", answer.status);
}
