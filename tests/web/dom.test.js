import assert from 'node:assert/strict';
import { test } from 'node:test';
import { percent, signed } from '../../service/web/dom.js';

test('a number has a real minus sign, and zero has none', () => {
  assert.deepEqual([signed(-0.126), signed(0.5), signed(-0.001), signed(0)], ['−0.13', '0.50', '0.00', '0.00']);
});

test('a small share has one more digit', () => {
  assert.deepEqual([percent(0.5), percent(0.0123)], ['50\u00a0%', '1.2\u00a0%']);
});
