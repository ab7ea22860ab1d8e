import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asDigit } from '../../service/web/digit.js';
import { centreOf, coloursOf, edgeLevel, fileOf, greyOf } from '../../service/web/grey.js';
import { changed, SLIDERS, sweepValues } from '../../service/web/sliders.js';
import { apply, isNone, NONE } from '../../service/web/transform.js';

const side = 6;
const picture = {
  width: side,
  height: side,
  levels: Uint8Array.from({ length: side * side }, (_, index) => (index * 37 + 11) % 256),
};
const pixel = ({ width, levels }, x, y) => levels[y * width + x];

test('no change leaves every pixel', () => {
  assert.ok(isNone(NONE));
  assert.deepEqual(apply(picture, NONE), picture);
});

test('a quarter turn moves pixels clockwise, exactly', () => {
  for (const [turn, from] of [
    [90, (x, y) => [y, side - 1 - x]],
    [-90, (x, y) => [side - 1 - y, x]],
    [180, (x, y) => [side - 1 - x, side - 1 - y]],
  ]) {
    const turned = apply(picture, { ...NONE, turn });
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) assert.equal(pixel(turned, x, y), pixel(picture, ...from(x, y)));
    }
  }
});

test('a shift by whole pixels moves them, and shows the level of the edge', () => {
  const shifted = apply(picture, { ...NONE, shiftX: 2 / side, shiftY: -1 / side });
  assert.equal(pixel(shifted, 3, 2), pixel(picture, 1, 3));
  assert.equal(pixel(shifted, 0, 0), Math.round(edgeLevel(picture)));
});

test('scaling is about the centre', () => {
  const white = { width: 20, height: 20, levels: new Uint8Array(400) };
  for (let y = 8; y < 12; y++) white.levels.fill(200, y * 20 + 8, y * 20 + 12);
  const grown = apply(white, { ...NONE, scale: 2 });
  assert.equal(pixel(grown, 7, 12), 200);
  assert.equal(pixel(grown, 4, 10), 0);
});

test('brightness is added and stays within the levels', () => {
  const brighter = apply(picture, { ...NONE, brightness: 100 });
  assert.deepEqual(
    Array.from(brighter.levels),
    Array.from(picture.levels, (level) => Math.min(255, level + 100)),
  );
});

test('a hidden part has the level of the edge', () => {
  const hidden = apply(picture, { ...NONE, hide: 0.5 });
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const isHidden = x + 0.5 > 1.5 && x + 0.5 < 4.5 && y + 0.5 > 1.5 && y + 0.5 < 4.5;
      assert.equal(pixel(hidden, x, y), isHidden ? Math.round(edgeLevel(picture)) : pixel(picture, x, y));
    }
  }
});

test('grey is the luma of Pillow', () => {
  const data = Uint8ClampedArray.of(255, 0, 0, 255, 10, 200, 30, 255, 77, 77, 77, 255);
  assert.deepEqual(Array.from(greyOf({ width: 3, height: 1, data }).levels), [76, 124, 77]);
});

test('the centre of a wide picture is cut as the service cuts it', () => {
  const wide = { width: 7, height: 2, levels: Uint8Array.from({ length: 14 }, (_, index) => index) };
  assert.deepEqual(centreOf(wide, 48, 48), { width: 2, height: 2, levels: Uint8Array.of(2, 3, 9, 10) });
});

test('a PGM has its head and its levels', () => {
  const file = fileOf([{ width: 2, height: 1, levels: Uint8Array.of(5, 250) }]);
  assert.equal(new TextDecoder('latin1').decode(file), 'P5\n2 1\n255\n\x05\xfa');
});

test('a picture of colours is a PPM; one without colours has none', () => {
  const image = { width: 2, height: 1, data: Uint8ClampedArray.of(1, 2, 3, 255, 65, 66, 67, 255) };
  assert.equal(new TextDecoder('latin1').decode(fileOf(coloursOf(image))), 'P6\n2 1\n255\n\x01\x02\x03ABC');
  assert.equal(coloursOf({ width: 1, height: 1, data: Uint8ClampedArray.of(9, 9, 9, 255) }), null);
});

test('a drawing fills 20 of 28 units and has its mass in the middle', () => {
  const drawing = { width: 280, height: 280, levels: new Uint8Array(280 * 280) };
  for (let y = 20; y < 60; y++) drawing.levels.fill(255, y * 280 + 10, y * 280 + 20);
  const { levels } = asDigit(drawing);
  let [mass, x, y, top, bottom] = [0, 0, 0, 280, 0];
  levels.forEach((level, index) => {
    if (!level) return;
    mass += level;
    x += level * (index % 280);
    y += level * Math.floor(index / 280);
    top = Math.min(top, Math.floor(index / 280));
    bottom = Math.floor(index / 280);
  });
  assert.ok(Math.abs(x / mass - 139.5) < 3 && Math.abs(y / mass - 139.5) < 3);
  assert.ok(Math.abs(bottom - top + 1 - 200) <= 4);
  assert.equal(asDigit({ width: 4, height: 4, levels: new Uint8Array(16) }), null);
});

test('a sweep has 31 steps over the range of its slider', () => {
  for (const slider of SLIDERS) {
    const values = sweepValues(slider);
    assert.deepEqual([values.length, values[0], values[30]], [31, slider.min, slider.max]);
  }
  const across = SLIDERS.find(({ of }) => of === 'hideX');
  assert.deepEqual(changed(NONE, across, 0.2), { ...NONE, hide: 0.3, hideX: 0.2 });
});
