import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inWords, mayPass, ServiceError } from '../../service/web/errors.js';
import { Latest } from '../../service/web/latest.js';
import { findingOf } from '../../service/web/sweep.js';

/** A task that ends when it is told to, or when it is cancelled. */
function taskOf(log, name) {
  let end = () => {};
  const task = (signal) =>
    new Promise((resolve) => {
      log.push(`begin ${name}`);
      end = () => resolve(log.push(`end ${name}`));
      signal.addEventListener('abort', () => resolve(log.push(`cancel ${name}`)));
    });
  return { task, end: () => end() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('one task runs at a time, and only the newest of those that wait', async () => {
  const log = [];
  const latest = new Latest();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => taskOf(log, name));
  for (const { task } of [a, b, c]) latest.run(task, 10_000);
  assert.deepEqual(log, ['begin a']);
  a.end();
  await turn();
  c.end();
  await turn();
  assert.deepEqual(log, ['begin a', 'end a', 'begin c', 'end c']);
  latest.run(b.task, 10_000);
  b.end();
  await turn();
  assert.deepEqual(log.slice(4), ['begin b', 'end b']);
});

test('a newer task cancels one that takes longer than the patience', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const log = [];
  const latest = new Latest();
  const [a, b] = ['a', 'b'].map((name) => taskOf(log, name));
  latest.run(a.task, 100);
  latest.run(b.task, 100);
  assert.deepEqual(log, ['begin a']);
  t.mock.timers.tick(101);
  await turn();
  assert.deepEqual(log, ['begin a', 'cancel a', 'begin b']);
});

test('after a cancelled task the next one has twice the time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const log = [];
  const latest = new Latest(() => now);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => taskOf(log, name));
  const wait = async (milliseconds) => {
    now += milliseconds;
    t.mock.timers.tick(milliseconds);
    await turn();
  };
  latest.run(a.task, 100);
  latest.run(b.task, 100);
  await wait(100);
  latest.run(c.task, 100);
  await wait(199);
  assert.deepEqual(log, ['begin a', 'cancel a', 'begin b']);
  await wait(1);
  assert.deepEqual(log.slice(3), ['cancel b', 'begin c']);
});

test('a newer task cancels one without patience at once', async () => {
  const log = [];
  const latest = new Latest();
  const [a, b] = ['a', 'b'].map((name) => taskOf(log, name));
  latest.run(a.task, 0);
  latest.run(b.task, 100);
  await turn();
  assert.deepEqual(log, ['begin a', 'cancel a', 'begin b']);
  b.end();
});

test('errors are said in words', () => {
  assert.equal(inWords(new ServiceError(429, 'the queue is full', 3)), 'The service is busy. Try again in 3 s.');
  const offline = 'No connection to the service. See whether it runs, then try again.';
  assert.equal(inWords(new ServiceError(0, '')), offline);
  const broken = inWords(new ServiceError(422, 'the PNG image is broken: cut off'));
  assert.equal(broken, 'The picture cannot be read. The PNG image is broken: cut off. Choose another file.');
  const other = 'The service answered with status 418. Try again; its log says more.';
  assert.equal(inWords(new ServiceError(418, '')), other);
  assert.equal(inWords(new RangeError('too far')), 'The page failed: too far. Reload it.');
});

test('a refused picture is not asked about again, and a busy service is', () => {
  for (const status of [413, 415, 422]) assert.ok(!mayPass(new ServiceError(status, '')));
  for (const status of [0, 408, 429, 500, 503, 504]) assert.ok(mayPass(new ServiceError(status, '')));
});

test('a finding counts where the class is first, and how far its pose moves', () => {
  const activations = [Float32Array.of(0.9, 0.1), Float32Array.of(0.2, 0.4)];
  const poses = [new Float32Array(16).fill(1), new Float32Array(16).fill(3)];
  const finding = findingOf(activations, poses, 0);
  assert.equal(finding.steps, 1);
  assert.ok(Math.abs(finding.moved - 0.5) < 1e-9);
});
