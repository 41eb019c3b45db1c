// What is behind a number: the newest records of a status, a code, a host or an outcome, in a dialog.

import { byId, make, tell } from './document.js';
import { Newest } from './newest.js';

const AGAIN = 1_000; // milliseconds between two questions, while it is open
const OUTCOMES = { ok: 'Answers below 400', http_error: 'Answers from 400', failed: 'Failed', skipped: 'Skipped' };
const NONE =
  'None is remembered. Links that are not followed have no record, unless --skipped asks for them; of hosts that were ' +
  'asked long ago nothing may be left here. All records are in the outputs of the run.';

/** Opened by each element with data-of and data-key, also by those that come later. */
export class Drill {
  #ask;
  #list = new Newest(byId('drilled'));
  #what = null;
  #last = 0;

  constructor(ask) {
    this.#ask = ask;
    document.addEventListener('click', (event) => {
      const { of, key } = event.target.closest?.('[data-of]')?.dataset ?? {};
      if (of) this.#open(of, key);
    });
    byId('drill-close').addEventListener('click', () => byId('drill').close());
    byId('drill').addEventListener('close', () => {
      this.#what = null;
    });
    setInterval(() => this.#what && this.#look(), AGAIN);
  }

  receive({ of, key, last, records, about }) {
    if (this.#what?.of !== of || this.#what.key !== key) return;
    // One that was asked for twice, and answered twice.
    this.#list.add(records.filter(({ number }) => number > this.#last));
    this.#last = Math.max(this.#last, last);
    tell(byId('drill-none'), NONE);
    const lines = byId('drill-about');
    about.forEach((sentence, index) => tell(lines.children[index] ?? lines.appendChild(make('p')), sentence));
    while (lines.children.length > about.length) lines.lastChild.remove();
  }

  #open(of, key) {
    this.#what = { of, key };
    this.#last = 0;
    this.#list.clear();
    tell(byId('drill-title'), titleOf(of, key));
    tell(byId('drill-none'), '');
    byId('drill-about').replaceChildren();
    if (!byId('drill').open) byId('drill').showModal();
    this.#look();
  }

  async #look() {
    const error = await this.#ask({ ...this.#what, after: this.#last });
    if (error !== null && !this.#last) tell(byId('drill-none'), error);
  }
}

function titleOf(of, key) {
  if (of === 'outcome') return OUTCOMES[key];
  if (of === 'class') return `Statuses ${key}xx`;
  return of === 'status' ? `Status ${key}` : key;
}
