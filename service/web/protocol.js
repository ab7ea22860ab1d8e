/**
 * The binary form of the Open Inference Protocol: JSON, followed by the bytes of tensors.
 *
 * @typedef {{shape: number[], data: Float32Array}} Tensor
 */

/**
 * The body of a request for inference of encoded files.
 *
 * @param {Uint8Array[]} files one or two per sample
 * @param {number} perSample files of a sample: two for a stereo pair
 * @param {string[]} outputs names of the outputs that are wanted
 * @returns {{body: Uint8Array, headerLength: number}}
 */
export function encodeRequest(files, perSample, outputs) {
  const size = files.reduce((sum, file) => sum + 4 + file.length, 0);
  const shape = [files.length / perSample, perSample];
  const head = new TextEncoder().encode(
    JSON.stringify({
      inputs: [{ name: 'files', datatype: 'BYTES', shape, parameters: { binary_data_size: size } }],
      outputs: outputs.map((name) => ({ name, parameters: { binary_data: true } })),
    }),
  );
  const body = new Uint8Array(head.length + size);
  body.set(head);
  const view = new DataView(body.buffer);
  let place = head.length;
  for (const file of files) {
    view.setUint32(place, file.length, true);
    body.set(file, place + 4);
    place += 4 + file.length;
  }
  return { body, headerLength: head.length };
}

/**
 * The tensors of an answer, by name.
 *
 * @param {ArrayBuffer} body
 * @param {number} headerLength bytes of JSON at its beginning
 * @returns {Map<string, Tensor>}
 */
export function decodeResponse(body, headerLength) {
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 0, headerLength)));
  const tensors = new Map();
  let place = headerLength;
  for (const { name, datatype, shape, parameters } of head.outputs) {
    const bytes = parameters.binary_data_size;
    if (datatype !== 'FP32' || place + bytes > body.byteLength) {
      throw new Error(`output ${name}: expected ${bytes} bytes of FP32, got ${datatype}`);
    }
    // A copy: the bytes may start at a place that is no multiple of four.
    tensors.set(name, { shape, data: new Float32Array(body.slice(place, place + bytes)) });
    place += bytes;
  }
  return tensors;
}

/**
 * One sample of a batch.
 *
 * @param {Tensor} tensor
 * @param {number} sample
 * @returns {Float32Array}
 */
export function sampleOf(tensor, sample = 0) {
  const size = tensor.shape.slice(1).reduce((product, extent) => product * extent, 1);
  return tensor.data.subarray(sample * size, (sample + 1) * size);
}
