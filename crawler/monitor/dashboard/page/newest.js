// Lists of records, the newest on top.

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

const MARKS = { http_error: 'http' };

export function makeRecord(record) {
  const { at, url, final_url: finalUrl, kind, status, error, message, via, size: bytes, seconds, title } = record;
  const row = make('li', MARKS[kind] ?? kind);
  const facts = [timeOfDay(at), seconds && duration(seconds), bytes && size(bytes), message || title];
  row.append(
    makeMark(error ?? String(status), url),
    makeUrl(url),
    make('p', 'dim', facts.filter(Boolean).join(' · ')),
  );
  if (finalUrl) row.append(beside('led to', finalUrl));
  if (via) row.append(beside('from', via));
  return row;
}

/** How it ended, which opens its story; see story.js. */
function makeMark(text, url) {
  const mark = make('button', 'mark open', text);
  mark.type = 'button';
  mark.dataset.why = url;
  mark.setAttribute('aria-label', `${text}, story of ${url}`);
  return mark;
}

/** Another URL, and what it has to do with the record. */
function beside(word, url) {
  const line = make('p', 'dim via', `${word} `);
  line.append(makeUrl(url));
  return line;
}
