/**
 * Arrays as a file that numpy.load reads: a zip of .npy files, without compression.
 *
 * @typedef {{shape: number[], data: Float32Array}} Tensor
 */

/**
 * @param {Map<string, Tensor>} tensors
 * @returns {Uint8Array}
 */
export function npzOf(tensors) {
  /** @type {Uint8Array[]} */
  const pieces = [];
  /** @type {Uint8Array[]} */
  const index = [];
  let place = 0;
  for (const [name, tensor] of tensors) {
    const file = new TextEncoder().encode(`${name}.npy`);
    const content = npyOf(tensor);
    const fields = [
      [20, 2],
      [0x800, 2],
      [0, 2],
      [0, 2],
      [0x21, 2],
      [crc32(content), 4],
      [content.length, 4],
      [content.length, 4],
      [file.length, 2],
      [0, 2],
    ];
    const local = numbers([[0x04034b50, 4], ...fields]);
    index.push(numbers([[0x02014b50, 4], [20, 2], ...fields, [0, 2], [0, 2], [0, 2], [0, 4], [place, 4]]), file);
    pieces.push(local, file, content);
    place += local.length + file.length + content.length;
  }
  const size = index.reduce((sum, piece) => sum + piece.length, 0);
  const end = numbers([
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [tensors.size, 2],
    [tensors.size, 2],
    [size, 4],
    [place, 4],
    [0, 2],
  ]);
  return joined([...pieces, ...index, end]);
}

/** @param {Tensor} tensor */
function npyOf({ shape, data }) {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${axes}), }`;
  const padded = `${head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11)}\n`;
  const magic = new Uint8Array([0x93, 78, 85, 77, 80, 89, 1, 0]);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return joined([magic, numbers([[padded.length, 2]]), new TextEncoder().encode(padded), bytes]);
}

/** @param {number[][]} fields value and bytes of each, little-endian */
function numbers(fields) {
  const bytes = [];
  for (const [value, size] of fields) {
    for (let byte = 0; byte < size; byte++) bytes.push((value / 2 ** (8 * byte)) & 255);
  }
  return new Uint8Array(bytes);
}

/** @param {Uint8Array[]} pieces */
function joined(pieces) {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let place = 0;
  for (const piece of pieces) {
    all.set(piece, place);
    place += piece.length;
  }
  return all;
}

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
