// What is shown as the visitor draws.

const content = JSON.parse(document.getElementById("content").textContent);
const network = makeNetwork(content, float16(bytesOf("weights")));
const images = bytesOf("images"), features = new Int8Array(bytesOf("features").buffer);
const pixels = content.height * content.width * content.channels;
const imageAt = (number) => images.subarray(number * pixels, (number + 1) * pixels);
const part = (id) => document.getElementById(id);
const percent = (share) => `${share > 0.99 ? Math.min(99.9, 100 * share).toFixed(1) : Math.round(100 * share)} %`;
const canvasOf = (label) => {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
};
const NOTHING = part("answer").textContent;

const bars = content.names.map((name) => {
  const row = document.createElement("li"), [label, bar, value] = ["span", "span", "span"].map((tag) => document.createElement(tag));
  label.textContent = name;
  bar.className = "bar";
  bar.append(document.createElement("span"));
  row.append(label, bar, value);
  part("bars").append(row);
  return { row, value, length: bar.firstChild };
});

let told;  // the timer of the screen reader's line
function tell(text) {
  clearTimeout(told);
  told = setTimeout(() => { part("told").textContent = text; }, 700);
}

function nothing() {
  part("answer").textContent = NOTHING;
  part("answer").className = "";
  part("shown").hidden = true;
  for (const { row, value, length } of bars) {
    row.className = value.textContent = "";
    length.style.width = "0";
  }
  tell("");
}

function show(bytes) {
  const { probabilities, features: own, maps } = network.look(bytes);
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]), [best, second] = order;
  const sure = probabilities[best] >= content.sure, name = content.names[best];
  const text = sure ? `${name}, ${percent(probabilities[best])}` : `not sure: ${name} or ${content.names[second]}`;
  part("answer").textContent = text;
  part("answer").className = sure ? "sure" : "unsure";
  tell(sure ? text : `${text}; ${name} has ${percent(probabilities[best])}`);
  bars.forEach(({ row, value, length }, label) => {
    row.className = label === best ? "best" : "";
    length.style.width = `${100 * probabilities[label]}%`;
    value.textContent = percent(probabilities[label]);
  });
  part("shown").hidden = false;
  paint(part("seen"), bytes, content);
  showAlike(own, best);
  if (part("inside").open) showMaps(maps);
  return probabilities;
}

// The training image of the class whose features have the largest cosine with these.
function showAlike(own, label) {
  let found = -1, closest = -Infinity;
  content.alike.forEach((other, number) => {
    if (other !== label) return;
    let product = 0, squares = 0;
    own.forEach((value, i) => {
      const feature = features[number * own.length + i];
      product += value * feature;
      squares += feature ** 2;
    });
    const cosine = product / Math.sqrt(squares || 1);
    if (cosine > closest) [found, closest] = [number, cosine];
  });
  part("alike").closest("figure").hidden = found < 0;
  if (found >= 0) paint(part("alike"), imageAt(found), content);
}

// An array from its lowest to its highest value as grey or coloured bytes.
function stretched(values, low = Math.min(...values), high = Math.max(...values)) {
  return Uint8Array.from(values, (value) => 255 * (value - low) / (high - low || 1));
}

const filterOf = (number) => network.first.weights.filter((_, i) => i % network.first.bias.length === number);
let tiles = [];
if (network.first) {
  const [height, width] = network.first.kernel, channels = content.channels;
  tiles = [...network.first.bias.keys()].map((number) => {
    const tile = document.createElement("li"), filter = canvasOf(`filter ${number + 1}`), map = canvasOf(`map of filter ${number + 1}`);
    paint(filter, stretched(filterOf(number)), { height, width, channels });
    tile.append(filter, map);
    part("filters").append(tile);
    return map;
  });
} else part("inside").hidden = true;

function showMaps({ values, height, width, channels }) {
  const highest = values.reduce((a, b) => Math.max(a, b), 0);
  tiles.forEach((tile, number) => {
    const map = values.filter((_, i) => i % channels === number).map((value) => Math.max(0, value));
    paint(tile, stretched(map, 0, highest), { height, width, channels: 1 });
  });
}

let now = null, waiting = false;  // the image that is shown, and whether a newer one will be
function later(bytes) {
  now = bytes;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (now) show(now);
    else nothing();
  });
}
part("inside").addEventListener("toggle", () => { if (now) later(now); });

let pad = null;
if (content.framing) {
  pad = makePad(part("pad"), content, (strokes) => later(strokes.length ? imageOf(strokes, content) : null));
  part("clear").addEventListener("click", pad.clear);
  part("undo").addEventListener("click", pad.undo);
}

function choose(bytes) {
  const picture = document.createElement("canvas");
  paint(picture, bytes, content);
  pad?.put(picture);
  later(bytes);
}
for (let number = 0; number < content.tried; number++) {
  const button = document.createElement("button"), canvas = document.createElement("canvas"), bytes = imageAt(content.alike.length + number);
  button.type = "button";
  button.setAttribute("aria-label", `test image ${number + 1}`);
  paint(canvas, bytes, content);
  button.append(canvas);
  button.addEventListener("click", () => choose(bytes));
  part("tried").append(button);
}
part("file")?.addEventListener("change", async (event) => {
  const [file] = event.target.files;
  try {
    if (file) choose(await imageOfFile(file, content));
  } catch {
    part("answer").textContent = `${file.name} is no picture that this browser can read`;
    part("answer").className = "unsure";
  }
});
