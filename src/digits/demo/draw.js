// Drawings. A stroke is a list of points [x, y] in pixels of the network's image.

// The pixels, 0 to 1, that lines of a width cover; a point p is drawn at p * times + (right, down).
function rasterised(strokes, height, width, stroke, times = 1, right = 0, down = 0) {
  const covered = new Float32Array(height * width), radius = stroke / 2;
  for (const points of strokes) points.forEach((point, i) => {
    const [x0, y0] = [point[0] * times + right, point[1] * times + down];
    const last = points[Math.max(0, i - 1)], [x1, y1] = [last[0] * times + right, last[1] * times + down];
    const squared = (x1 - x0) ** 2 + (y1 - y0) ** 2, reach = radius + 1;
    const rows = [Math.max(0, Math.floor(Math.min(y0, y1) - reach)), Math.min(height, Math.ceil(Math.max(y0, y1) + reach))];
    const columns = [Math.max(0, Math.floor(Math.min(x0, x1) - reach)), Math.min(width, Math.ceil(Math.max(x0, x1) + reach))];
    for (let row = rows[0]; row < rows[1]; row++) for (let column = columns[0]; column < columns[1]; column++) {
      const x = column + 0.5 - x0, y = row + 0.5 - y0;
      const along = squared && Math.min(1, Math.max(0, (x * (x1 - x0) + y * (y1 - y0)) / squared));
      const distance = Math.hypot(x - along * (x1 - x0), y - along * (y1 - y0));
      const share = Math.min(1, Math.max(0, radius + 0.5 - distance));  // of the pixel, as if the line were straight
      const at = row * width + column;
      if (share > covered[at]) covered[at] = share;
    }
  });
  return covered;
}

// The image, 0 to 255, of a drawing: made like the training images, see digits.demo.framing.
function imageOf(strokes, { height, width, framing }) {
  const { light, centred, box, centre, stroke } = framing;
  let ink;
  if (centred) {
    const xs = strokes.flat().map(([x]) => x), ys = strokes.flat().map(([, y]) => y);
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const [wide, high] = [Math.max(...xs) - left, Math.max(...ys) - top];
    const times = (box - stroke) / Math.max(wide, high, height / 8);  // a dot stays small
    const right = width / 2 - (left + wide / 2) * times, down = height / 2 - (top + high / 2) * times;
    const middle = rasterised(strokes, height, width, stroke, times, right, down);
    let mass = 0, row = 0, column = 0;
    middle.forEach((value, i) => {
      mass += value;
      row += value * (Math.floor(i / width) + 0.5);
      column += value * (i % width + 0.5);
    });
    ink = rasterised(strokes, height, width, stroke, times, right + centre[1] - column / mass, down + centre[0] - row / mass);
  } else ink = rasterised(strokes, height, width, stroke);
  return Uint8Array.from(ink, (value) => Math.round(255 * (light ? value : 1 - value)));
}

// Puts bytes of an image, channels last, on a canvas of its size.
function paint(canvas, bytes, { height, width, channels }) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[i * channels + (channels < 3 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// The bytes of a picture file, its middle scaled to the network's image.
async function imageOfFile(file, { height, width, channels }) {
  const picture = await createImageBitmap(file), canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const times = Math.max(width / picture.width, height / picture.height);
  const size = [picture.width * times, picture.height * times];
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
  const { data } = context.getImageData(0, 0, width, height), bytes = new Uint8Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const grey = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];  // as in ITU-R BT.601
    for (let c = 0; c < channels; c++) bytes[i * channels + c] = channels < 3 ? (c ? data[4 * i + 3] : grey) : data[4 * i + c];
  }
  return bytes;
}

// A pad to draw on; onChange(strokes) is called as lines grow. The strokes are in pixels of the network's image.
function makePad(canvas, content, onChange) {
  const { height, width, framing } = content, context = canvas.getContext("2d");
  let strokes = [], drawing = null;
  canvas.height = Math.round(canvas.width * height / width);
  const pixel = canvas.width / width;
  const line = framing.stroke * (framing.centred ? 0.8 : 1) * pixel;  // a centred drawing fills most of the pad
  const [paper, ink] = framing.light ? ["#000000", "#ffffff"] : ["#ffffff", "#000000"];

  function show() {
    context.fillStyle = paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
    Object.assign(context, { strokeStyle: ink, lineWidth: line, lineCap: "round", lineJoin: "round" });
    for (const points of strokes) {
      context.beginPath();
      points.forEach(([x, y]) => context.lineTo(x * pixel, y * pixel));
      if (points.length === 1) context.lineTo(points[0][0] * pixel, points[0][1] * pixel);
      context.stroke();
    }
  }
  function change(now) {
    strokes = now;
    show();
    onChange(strokes);
  }
  function extend(event) {
    const { left, top, width: shown } = canvas.getBoundingClientRect();
    const events = event.getCoalescedEvents?.() ?? [];
    for (const { clientX, clientY } of events.length ? events : [event])
      strokes.at(-1).push([(clientX - left) * width / shown, (clientY - top) * width / shown]);
    change(strokes);
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || drawing !== null) return;
    drawing = event.pointerId;
    canvas.setPointerCapture(drawing);
    strokes = [...strokes, []];
    extend(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.pointerId === drawing) extend(event); });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => { if (event.pointerId === drawing) drawing = null; });
  show();
  function put(picture) {  // an image that was not drawn, in place of strokes
    strokes = [];
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  }
  return { clear: () => change([]), undo: () => change(strokes.slice(0, -1)), put };
}
