"use strict";
// The forward pass of digits.demo.network's operations. An image is {values, height, width, channels}, channels last.

const bytesOf = (id) => Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));

function float16(bytes) {
  const view = new DataView(bytes.buffer), values = new Float32Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) {
    const bits = view.getUint16(2 * i, true), exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
    values[i] = (bits >> 15 ? -1 : 1) * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
  }
  return values;
}

function erf(x) {  // M. Abramowitz and I. A. Stegun (1964), Handbook of mathematical functions, 7.1.26; error 1.5e-7
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const ACTIVATIONS = {  // with the constants of Keras 3
  elu: (x) => x > 0 ? x : Math.expm1(x),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  leaky_relu: (x) => x > 0 ? x : 0.2 * x,
  relu: (x) => x > 0 ? x : 0,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

const OPERATIONS = {
  convolution(image, { kernel: [rows, columns], stride, same, weights, bias }) {
    const { values, height, width, channels } = image, filters = bias.length;
    const side = (length, kernel) => same ? Math.ceil(length / stride) : Math.floor((length - kernel) / stride) + 1;
    const outHeight = side(height, rows), outWidth = side(width, columns);
    // as TensorFlow pads: the odd pixel comes after the image
    const before = (length, out, kernel) => same ? Math.max((out - 1) * stride + kernel - length, 0) >> 1 : 0;
    const top = before(height, outHeight, rows), left = before(width, outWidth, columns);
    const sums = new Float32Array(outHeight * outWidth * filters);
    for (let y = 0, at = 0; y < outHeight; y++) for (let x = 0; x < outWidth; x++, at += filters) {
      sums.set(bias, at);
      for (let ky = 0; ky < rows; ky++) for (let kx = 0; kx < columns; kx++) {
        const row = y * stride + ky - top, column = x * stride + kx - left;
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        const from = (row * width + column) * channels;
        let weight = (ky * columns + kx) * channels * filters;
        for (let channel = 0; channel < channels; channel++) {
          const value = values[from + channel];
          if (value === 0) weight += filters;
          else for (let filter = 0; filter < filters; filter++) sums[at + filter] += value * weights[weight++];
        }
      }
    }
    return { values: sums, height: outHeight, width: outWidth, channels: filters };
  },

  pooling({ values, height, width, channels }, { size, max }) {
    const outHeight = Math.floor(height / size), outWidth = Math.floor(width / size);
    const pooled = new Float32Array(outHeight * outWidth * channels).fill(max ? -Infinity : 0);
    for (let y = 0; y < outHeight * size; y++) for (let x = 0; x < outWidth * size; x++) {
      const from = (y * width + x) * channels;
      const to = (Math.floor(y / size) * outWidth + Math.floor(x / size)) * channels;
      for (let channel = 0; channel < channels; channel++) {
        const value = values[from + channel];
        if (!max) pooled[to + channel] += value / size ** 2;
        else if (value > pooled[to + channel]) pooled[to + channel] = value;
      }
    }
    return { values: pooled, height: outHeight, width: outWidth, channels };
  },

  mean({ values, height, width, channels }) {
    const means = new Float32Array(channels);
    values.forEach((value, i) => { means[i % channels] += value / (height * width); });
    return { values: means, height: 1, width: 1, channels };
  },

  scale: (image, { weights, bias }) =>
    ({ ...image, values: image.values.map((value, i) => value * weights[i % weights.length] + bias[i % bias.length]) }),

  activation: (image, { name }) => ({ ...image, values: image.values.map(ACTIVATIONS[name]) }),

  dense({ values }, { weights, bias }) {
    const sums = bias.slice(), units = sums.length;
    values.forEach((value, i) => {
      if (value !== 0) for (let unit = 0; unit < units; unit++) sums[unit] += value * weights[i * units + unit];
    });
    return { values: sums, height: 1, width: 1, channels: units };
  },
};

function makeNetwork(content, halves) {
  const array = ({ start, length, times }) => halves.subarray(start, start + length).map((value) => value * times);
  const layers = content.layers.map((layer) =>
    layer.weights ? { ...layer, weights: array(layer.weights), bias: array(layer.bias) } : layer);
  const offset = array(content.offset), scale = array(content.scale);
  const hidden = layers.findIndex(({ kind, weights, bias }) => kind === "dense" && weights.length === content.features * bias.length);
  const first = layers.findIndex((layer) => layer.kind === "convolution");

  // probabilities of an image's bytes; features: see digits.demo.network.hidden_features; maps: what the first convolution gives
  function look(bytes) {
    let features, maps, image = { height: content.height, width: content.width, channels: content.channels };
    image.values = Float32Array.from(bytes, (value, i) => (value - offset[i % offset.length]) * scale[i % scale.length]);
    layers.forEach((layer, number) => {
      if (number === hidden) features = image.values;
      image = OPERATIONS[layer.kind](image, layer);
      if (number === first) maps = image;
    });
    const logits = image.values.map((logit) => logit / content.temperature), largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - largest)), sum = powers.reduce((a, b) => a + b);
    return { probabilities: powers.map((power) => power / sum), features, maps };
  }
  return { look, first: layers[first] };
}
