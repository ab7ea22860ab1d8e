import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeResponse, encodeRequest, sampleOf } from '../../service/web/protocol.js';
import { curlOf, pythonOf } from '../../service/web/requests.js';

test('a request is JSON, then each file behind its length', () => {
  const { body, headerLength } = encodeRequest([Uint8Array.of(1, 2, 3), Uint8Array.of(9)], 2, ['poses']);
  const head = JSON.parse(new TextDecoder().decode(body.subarray(0, headerLength)));
  const input = { name: 'files', datatype: 'BYTES', shape: [1, 2], parameters: { binary_data_size: 12 } };
  assert.deepEqual(head, { inputs: [input], outputs: [{ name: 'poses', parameters: { binary_data: true } }] });
  assert.deepEqual(Array.from(body.subarray(headerLength)), [3, 0, 0, 0, 1, 2, 3, 1, 0, 0, 0, 9]);
});

test('an answer becomes typed arrays, wherever its bytes begin', () => {
  const output = (name, shape, bytes) => ({ name, datatype: 'FP32', shape, parameters: { binary_data_size: bytes } });
  for (const space of ['', ' ', '  ', '   ']) {
    const head = new TextEncoder().encode(
      JSON.stringify({ outputs: [output('a', [1, 2], 8), output('b', [1], 4)] }) + space,
    );
    const body = new Uint8Array(head.length + 12);
    body.set(head);
    body.set(new Uint8Array(Float32Array.of(0.5, -1, 7).buffer), head.length);
    const tensors = decodeResponse(body.buffer, head.length);
    assert.deepEqual(tensors.get('a'), { shape: [1, 2], data: Float32Array.of(0.5, -1) });
    assert.deepEqual(tensors.get('b'), { shape: [1], data: Float32Array.of(7) });
  }
});

test('an answer that is cut off is an error that names the output', () => {
  const outputs = [{ name: 'a', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } }];
  const head = new TextEncoder().encode(JSON.stringify({ outputs }));
  assert.throws(() => decodeResponse(head.buffer, head.length), /output a: expected 8 bytes/);
});

test('a sample is its part of the batch', () => {
  const tensor = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  assert.deepEqual(Array.from(sampleOf(tensor, 1)), [4, 5, 6]);
});

test('a command quotes what a shell would read', () => {
  const asked = {
    home: new URL('http://h/x/'),
    model: 'm',
    files: [{ name: "a'b.png", type: 'image/png' }],
    withKey: true,
  };
  assert.equal(
    curlOf(asked),
    `curl --data-binary '@a'\\''b.png' -H 'Content-Type: image/png' -H "Authorization: Bearer $MATCAPS_KEY" 'http://h/x/predict?model=m'`,
  );
  assert.match(pythonOf(asked), /for name in \["a'b\.png"\]/);
});

test('a stereo pair is a form, left first', () => {
  const files = ['left', 'right'].map((name) => ({ name: `${name}.png`, type: 'image/png' }));
  const command = curlOf({ home: new URL('http://h/'), model: 'm', files, withKey: false });
  assert.equal(
    command,
    "curl -F 'images=@left.png;type=image/png' -F 'images=@right.png;type=image/png' 'http://h/predict?model=m'",
  );
});
