// Node's fetch, which keeps its connection.
import { readFileSync } from 'node:fs';

const [address, ...rest] = process.argv.slice(2);
for (let place = 0; place < rest.length; place += 2) {
  const headers = { 'Content-Type': rest[place] };
  const body = readFileSync(rest[place + 1]);
  const answer = await fetch(`${address}/predict`, { method: 'POST', headers, body });
  console.log(await answer.text());
}
