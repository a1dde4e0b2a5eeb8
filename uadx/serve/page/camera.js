// A picture from the camera, taken in a dialog that holds the camera only while it is open.

import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const dialog = $("camera-dialog"), video = $("video");
let wanted = { facingMode: { ideal: "environment" } };

/** Open the dialog; onPicture is given what is taken, as a PNG file. */
export async function openCamera(onPicture) {
  $("take").onclick = async () => {
    const file = await still();
    dialog.close();
    onPicture(file);
  };
  dialog.showModal();
  await start();
}

async function start() {
  stop();
  $("camera-why").textContent = "";
  $("take").disabled = true;
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "Insecure");
    const size = { width: { ideal: 1920 }, height: { ideal: 1080 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...size, ...wanted } });
    if (!dialog.open) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    video.srcObject = stream;
    await video.play();
    await listCameras();
    $("take").disabled = false;
    $("take").focus();
  } catch (error) {
    const known = ["Insecure", "NotAllowedError", "NotFoundError", "NotReadableError"].includes(error.name);
    $("camera-why").textContent = text(`camera${known ? error.name[0].toUpperCase() + error.name.slice(1) : "Other"}`, error);
  }
}

async function listCameras() {
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  const used = video.srcObject.getVideoTracks()[0].getSettings().deviceId;
  $("cameras-label").hidden = found.length < 2;
  $("cameras").replaceChildren(...found.map((one) => new Option(one.label, one.deviceId, false, one.deviceId === used)));
}

async function still() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const png = await new Promise((done) => canvas.toBlob(done, "image/png")); // no second loss before the inspection
  const name = `camera-${new Date().toTimeString().slice(0, 8).replaceAll(":", "")}.png`;
  return new File([png], name, { type: "image/png" });
}

function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

dialog.addEventListener("close", stop);
$("camera-cancel").addEventListener("click", () => dialog.close());
$("cameras").addEventListener("change", () => {
  wanted = { deviceId: { exact: $("cameras").value } };
  start();
});
