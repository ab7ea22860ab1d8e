/**
 * A drawing as MNIST prepares its digits: scaled to 20 of 28 units, and centred by its mass.
 *
 * @typedef {import('./grey.js').Grey} Grey
 */

const BOX = 20 / 28;

/**
 * @param {Grey} drawing white on black, square
 * @returns {Grey | null} of the same size; null if the drawing is empty
 */
export function asDigit({ width, height, levels }) {
  let left = width;
  let right = -1;
  let top = height;
  let bottom = -1;
  let mass = 0;
  let sumX = 0;
  let sumY = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = levels[y * width + x];
      if (!level) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
      mass += level;
      sumX += level * x;
      sumY += level * y;
    }
  }
  if (!mass) return null;
  const scale = (BOX * width) / Math.max(right - left + 1, bottom - top + 1);
  const centreX = sumX / mass;
  const centreY = sumY / mass;
  const out = new Uint8Array(width * height);
  // Each pixel of the result averages a few samples: a large drawing that shrinks would lose thin lines otherwise.
  const samples = Math.max(1, Math.ceil(1 / scale));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let n = 0; n < samples * samples; n++) {
        const dx = ((n % samples) + 0.5) / samples - 0.5;
        const dy = (Math.floor(n / samples) + 0.5) / samples - 0.5;
        const fromX = Math.round((x + dx - (width - 1) / 2) / scale + centreX);
        const fromY = Math.round((y + dy - (height - 1) / 2) / scale + centreY);
        if (fromX >= 0 && fromX < width && fromY >= 0 && fromY < height) sum += levels[fromY * width + fromX];
      }
      out[y * width + x] = Math.round(sum / (samples * samples));
    }
  }
  return { width, height, levels: out };
}
