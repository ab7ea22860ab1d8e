import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, npzOf } from '../../service/web/npz.js';

test('the checksum is that of zip', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
});

test('an archive begins with a file and ends with its directory', () => {
  const archive = npzOf(new Map([['a', { shape: [1], data: Float32Array.of(1) }]]));
  assert.deepEqual(Array.from(archive.subarray(0, 4)), [0x50, 0x4b, 3, 4]);
  assert.deepEqual(Array.from(archive.subarray(-22, -18)), [0x50, 0x4b, 5, 6]);
});
