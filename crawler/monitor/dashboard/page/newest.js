// The records that came last, the newest on top.

import { make, makeUrl } from './document.js';
import { duration, size, timeOfDay } from './numbers.js';
import { onceAFrame } from './timing.js';

const RECORDS_KEPT = 200;

/** The newest of a kind, the newest first. */
export class Newest {
  #list;
  #waiting = [];
  #draw = onceAFrame(() => this.#show());

  constructor(list) {
    this.#list = list;
  }

  add(records) {
    if (!records.length) return;
    this.#waiting = [...this.#waiting, ...records].slice(-RECORDS_KEPT);
    this.#draw();
  }

  clear() {
    this.#waiting = [];
    this.#list.replaceChildren();
  }

  #show() {
    this.#list.prepend(...this.#waiting.map(makeRecord).reverse());
    this.#waiting = [];
    while (this.#list.children.length > RECORDS_KEPT) this.#list.lastChild.remove();
  }
}

function makeRecord({ at, url, outcome, status, error, message, size: bytes, seconds, title }) {
  const kind = outcome === 'ok' && status >= 400 ? 'http' : outcome;
  const row = make('li', kind);
  const facts = [timeOfDay(at), seconds && duration(seconds), bytes && size(bytes), message || title];
  const about = make('p', 'dim', facts.filter(Boolean).join(' · '));
  row.append(make('span', 'mark', error ?? String(status)), makeUrl(url), about);
  return row;
}
