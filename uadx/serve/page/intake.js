// Where pictures come from: chosen, dropped, pasted or taken.

import { openCamera } from "./camera.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);

/** Call onFiles with whatever files come, none where something else was dropped or pasted. */
export function takeFiles(onFiles) {
  $("files").addEventListener("change", () => {
    onFiles([...$("files").files]);
    $("files").value = ""; // the same file may be chosen again
  });
  $("open-camera").addEventListener("click", () => openCamera((file) => onFiles([file])));
  document.addEventListener("paste", (event) => {
    if (!(event.target instanceof HTMLInputElement)) onFiles([...event.clipboardData.files]);
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault(); // or the browser would leave the page for the picture
      document.body.classList.toggle("over", name === "dragover");
      $("invitation").textContent = text(name === "dragover" ? "letGo" : "invitation");
      if (name === "drop") onFiles([...event.dataTransfer.files]);
    });
  }
}
