// The dialog that asks for the service's key.

import { hasKey, useKey } from "./api.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const dialog = $("key-dialog");
let asking = null;

/** Do some work, asking for the key as often as the service refuses. Throws its Failure once somebody cancels. */
export async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (failure) {
      if (failure.status !== 401) throw failure;
      asking ??= ask().finally(() => (asking = null));
      if (!(await asking)) throw failure;
    }
  }
}

function ask() {
  $("key-why").textContent = hasKey() ? text("keyWrong") : "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "use"), { once: true });
  });
}

dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value;
  $("key").value = "";
  if (!/^[!-~]+$/.test(key)) { // no header carries it, so it is no key
    $("key-why").textContent = text("keyWrong");
    return;
  }
  useKey(key);
  dialog.close("use");
});
$("key-cancel").addEventListener("click", () => dialog.close(""));
