// What the page says, in English and in Chinese. What the service says of an error stays in the service's words.

const EN = {
  other: "中文",
  choose: "Choose pictures",
  camera: "Camera",
  invitation: "Drop pictures here, paste one, or choose them.",
  letGo: "Let go to inspect.",
  stays: "They go to this service and nowhere else.",
  picture: "Picture",
  result: "Result",
  heat: "Heat map",
  outlines: "Outlines",
  smaller: "Smaller",
  larger: "Larger",
  working: "Inspecting {name}",
  workingOf: "Inspecting {name}, {left} to go",
  ngWord: "not good",
  okWord: "good",
  above: "Score {score} is above the threshold {threshold}.",
  notAbove: "Score {score} is not above the threshold {threshold}.",
  unfamiliar:
    "Unlike the pictures that the model was calibrated on, all over and not in one place: another product, light, lens or distance? Score and verdict mean little.",
  simulated: "SIMULATED: this device is no hardware.",
  fallback: "Not the device that was asked for: {reason}",
  threshold: "Threshold",
  barsAre: "Bars: the scores of {count} good pictures, by which the threshold was calibrated.",
  thresholdIs: "threshold {threshold}, false-alarm rate at most {rate}",
  scoreIs: "score {score}",
  reset: "Back to {threshold}",
  rate: "of good parts, at most, would be called NG",
  certified:
    "{above} of the {count} score above it: ({above} + 1) / ({count} + 1). So many certify rates of {lowest} and more.",
  lowestReached:
    "None of the {count} scores above it: (0 + 1) / ({count} + 1), the lowest rate that so many certify. A higher threshold has no lower one.",
  uncalibrated: "The model has no calibration for the way it is used here, so no false-alarm rate can be stated.",
  command: "Moved on this page only. For the service:",
  otherModel: "Inspected by a model or a threshold that the service no longer has; judged as it was then.",
  regions: "Regions: {count}",
  regionsAbove: "Where the map is above {threshold}, the highest peak first. Places and sizes in pixels.",
  regionsNone: "None in a picture that is OK.",
  regionsMore: "The first {shown} are listed.",
  region: "at {x}, {y} · {width} × {height} · peak {score}",
  details: "Details",
  file: "File",
  size: "Size",
  windows: "Tiles",
  pValue: "p-value",
  times: "Decode, infer, score",
  modelName: "Model",
  device: "Device",
  precision: "precision {precision}",
  recent: "Recent",
  tally: "{ng} NG of {all}",
  tallyFailed: "{ng} NG of {all}, {failed} not inspected",
  clear: "Clear",
  again: "Try again",
  keyTitle: "This service asks for a key",
  keyWrong: "That is not its key.",
  key: "API key",
  keyKept: "Kept in this tab until it is closed.",
  use: "Use it",
  cancel: "Cancel",
  take: "Take and inspect",
  which: "Which camera",
  noPicture: "That was no picture file.",
  reconnecting: "The service does not answer. Is `uadx serve` still running? Trying again.",
  unready: "The service is not ready: {message}. Trying again.",
  cameraInsecure:
    "A browser lends its camera to pages at localhost or over https only. On a phone, “Choose pictures” offers the camera too.",
  cameraNotAllowedError: "The browser did not allow the camera: see the sign beside the address.",
  cameraNotFoundError: "There is no camera.",
  cameraNotReadableError: "The camera is in use by another program.",
  cameraOther: "The camera cannot be opened: {message}",
  errors: {
    unreachable: "The service does not answer",
    file: "The file cannot be read",
    not_an_image: "This is no image",
    unsupported: "This kind of image is not supported",
    too_large: "Too large",
    unauthorised: "The key is missing or wrong",
    busy: "The service is busy",
    not_ready: "The service is not ready",
    too_many_requests: "Too many pictures at once",
    failed: "The service failed",
    inference_failed: "The device failed",
    other: "It cannot be inspected",
  },
  unreachableAdvice: "Is `uadx serve` still running, and this machine still in its network?",
  strip: "{name}: {verdict}",
  waiting: "waiting",
  error: "error",
};

const ZH = {
  other: "English",
  choose: "选择图片",
  camera: "拍照",
  invitation: "将图片拖到此处、粘贴，或点击选择。",
  letGo: "松开即开始检测。",
  stays: "图片只发送到本服务，不会传到别处。",
  picture: "图片",
  result: "结果",
  heat: "热图",
  outlines: "轮廓",
  smaller: "缩小",
  larger: "放大",
  working: "正在检测 {name}",
  workingOf: "正在检测 {name}，还剩 {left} 张",
  ngWord: "不合格",
  okWord: "合格",
  above: "得分 {score}，高于阈值 {threshold}。",
  notAbove: "得分 {score}，不高于阈值 {threshold}。",
  unfamiliar: "整张图片（而非某一处）都与标定图片不同：是否换了产品、光照、镜头或距离？此时得分与判定意义不大。",
  simulated: "模拟（SIMULATED）：此设备不是真实硬件。",
  fallback: "实际设备与所要求的不同：{reason}",
  threshold: "阈值",
  barsAre: "柱形：{count} 张良品图片的得分，阈值由此标定。",
  thresholdIs: "阈值 {threshold}，误报率至多 {rate}",
  scoreIs: "得分 {score}",
  reset: "恢复为 {threshold}",
  rate: "：良品被判为 NG 的比例上限（误报率）",
  certified: "{count} 张中有 {above} 张得分高于阈值：({above} + 1) / ({count} + 1)。这些图片最低可保证 {lowest}。",
  lowestReached: "{count} 张的得分都不高于阈值：(0 + 1) / ({count} + 1)，这是该数量所能保证的最低误报率；继续提高阈值也不会更低。",
  uncalibrated: "模型没有针对当前用法的标定，无法给出误报率。",
  command: "仅在本页生效。要在服务中使用：",
  otherModel: "由服务已不再使用的模型或阈值检测，保留当时的判定。",
  regions: "缺陷区域：{count}",
  regionsAbove: "热图高于 {threshold} 之处，按峰值从高到低；位置与大小以像素计。",
  regionsNone: "合格图片没有缺陷区域。",
  regionsMore: "只列出前 {shown} 个。",
  region: "位置 {x}, {y} · {width} × {height} · 峰值 {score}",
  details: "详情",
  file: "文件",
  size: "尺寸",
  windows: "切块数",
  pValue: "p 值",
  times: "解码、推理、评分",
  modelName: "模型",
  device: "设备",
  precision: "精度 {precision}",
  recent: "最近检测",
  tally: "共 {all} 张，NG {ng} 张",
  tallyFailed: "共 {all} 张，NG {ng} 张，{failed} 张未能检测",
  clear: "清空",
  again: "重试",
  keyTitle: "此服务需要密钥",
  keyWrong: "密钥不正确。",
  key: "API 密钥",
  keyKept: "仅保存在本标签页中，关闭即清除。",
  use: "使用",
  cancel: "取消",
  take: "拍照并检测",
  which: "选择摄像头",
  noPicture: "这不是图片文件。",
  reconnecting: "服务没有响应。`uadx serve` 是否仍在运行？正在重试。",
  unready: "服务尚未就绪：{message}。正在重试。",
  cameraInsecure: "浏览器只允许 localhost 或 https 页面使用摄像头。在手机上，“选择图片”也可以拍照。",
  cameraNotAllowedError: "浏览器未允许使用摄像头：请查看地址栏旁的图标。",
  cameraNotFoundError: "没有找到摄像头。",
  cameraNotReadableError: "摄像头正被其他程序使用。",
  cameraOther: "无法打开摄像头：{message}",
  errors: {
    unreachable: "服务没有响应",
    file: "无法读取文件",
    not_an_image: "这不是图片",
    unsupported: "不支持这种图片",
    too_large: "过大",
    unauthorised: "密钥缺失或错误",
    busy: "服务繁忙",
    not_ready: "服务尚未就绪",
    too_many_requests: "同时检测的图片过多",
    failed: "服务出错",
    inference_failed: "设备出错",
    other: "无法检测",
  },
  unreachableAdvice: "`uadx serve` 是否仍在运行？本机是否仍在同一网络中？",
  strip: "{name}：{verdict}",
  waiting: "等待中",
  error: "出错",
};

export const TEXTS = { en: EN, zh: ZH };
const STORED = "uadx-language";
let texts = EN;

export function language() {
  return texts === ZH ? "zh" : "en";
}

/** The language that was chosen here before, else the browser's. */
export function startLanguage() {
  setLanguage(localStorage.getItem(STORED) ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
}

export function otherLanguage() {
  setLanguage(language() === "zh" ? "en" : "zh");
  localStorage.setItem(STORED, language());
}

function setLanguage(name) {
  texts = TEXTS[name] ?? EN;
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = text(element.dataset.label);
}

export function text(name, values = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export function errorTitle(kind) {
  return texts.errors[kind] ?? texts.errors.other;
}
