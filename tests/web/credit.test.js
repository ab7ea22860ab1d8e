import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bySite, childSite, creditOfChildren, creditOfClass, largest, votesOf } from '../../service/web/credit.js';

// Children on a 5×5 grid of 2 types, parents on a 2×2 grid of 3 types; the last row and column of children have no parent.
const window = { childGrid: [6, 6], parentGrid: [2, 2], kernel: [3, 3], stride: [2, 2], childTypes: 2, parentTypes: 3 };
let seed = 7;
const random = () => {
  seed = (seed * 1103515245 + 12345) % 2 ** 31;
  return seed / 2 ** 31;
};
const activations = Float32Array.from({ length: 36 * 2 }, random);
const assignments = Float32Array.from({ length: 4 * 9 * 2 * 3 }, random);
const parents = Float64Array.from({ length: 4 * 3 }, random);
const total = parents.reduce((sum, share) => sum + share, 0);
const credit = parents.map((share) => share / total);

test('the credit of a class sums to 1 over the children', () => {
  const found = creditOfClass(
    Float32Array.from({ length: 8 * 5 }, random),
    Float32Array.from({ length: 8 }, random),
    5,
    3,
  );
  assert.ok(Math.abs(found.reduce((sum, share) => sum + share, 0) - 1) < 1e-12);
});

test('the credit of a class goes by assignment times activation', () => {
  const found = creditOfClass(Float32Array.of(0.5, 0.5, 1, 0), Float32Array.of(0.5, 0.25), 2, 0);
  assert.deepEqual(Array.from(found), [0.5, 0.5]);
});

test('a class without votes gives no credit, and no NaN', () => {
  assert.deepEqual(Array.from(creditOfClass(new Float32Array(4), Float32Array.of(1, 1), 2, 1)), [0, 0]);
});

test('the credit of children sums to that of their parents', () => {
  const found = creditOfChildren(credit, assignments, activations, window);
  assert.ok(Math.abs(found.reduce((sum, share) => sum + share, 0) - 1) < 1e-12);
});

test('the credit of children is that of a sum over all pairs', () => {
  const expected = new Float64Array(72);
  for (let parent = 0; parent < 4; parent++) {
    for (let above = 0; above < 3; above++) {
      const terms = [];
      for (let row = 0; row < 3; row++) {
        for (let column = 0; column < 3; column++) {
          const site = (2 * Math.floor(parent / 2) + row) * 6 + 2 * (parent % 2) + column;
          for (let type = 0; type < 2; type++) {
            const r = assignments[((parent * 9 + 3 * row + column) * 2 + type) * 3 + above];
            terms.push([2 * site + type, r * activations[2 * site + type]]);
          }
        }
      }
      const sum = terms.reduce((all, [, term]) => all + term, 0);
      for (const [child, term] of terms) expected[child] += (credit[parent * 3 + above] * term) / sum;
    }
  }
  const found = creditOfChildren(credit, assignments, activations, window);
  for (let child = 0; child < 72; child++) assert.ok(Math.abs(found[child] - expected[child]) < 1e-12);
});

test('children that no window sees get no credit', () => {
  const sites = bySite(creditOfChildren(credit, assignments, activations, window), 2);
  for (let site = 0; site < 36; site++) {
    assert.equal(sites[site] > 0, site % 6 < 5 && site < 30);
  }
});

test('positions are row by row in the window', () => {
  assert.equal(childSite(window, 3, 0), 2 * 6 + 2);
  assert.equal(childSite(window, 1, 5), 1 * 6 + 4);
});

test('votes name the parents that see the child, largest first', () => {
  const votes = votesOf(assignments, window, 2 * 6 + 2, 1, 100);
  assert.equal(votes.length, 4 * 3);
  assert.deepEqual(new Set(votes.map(({ site }) => site)), new Set([0, 1, 2, 3]));
  for (let i = 1; i < votes.length; i++) assert.ok(votes[i - 1].share >= votes[i].share);
  const first = votes.find(({ site, type }) => site === 0 && type === 2);
  assert.equal(first?.share, assignments[(8 * 2 + 1) * 3 + 2]);
});

test('the largest values come first', () => {
  assert.deepEqual(largest([0.1, 0.9, 0.5], 2), [1, 2]);
});
