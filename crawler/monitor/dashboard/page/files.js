// What the run writes and what it was asked for: its outputs, which can be downloaded, a report, its options.

import { byId, make, tell } from './document.js';
import { amount, size } from './numbers.js';

const AGAIN = 3_000; // milliseconds between two looks at the sizes

export class Files {
  #get;
  #ticket;
  #timer = 0;

  /** `get` asks the API; `ticket` gets what opens one file or report. */
  constructor(get, ticket) {
    this.#get = get;
    this.#ticket = ticket;
    byId('outputs').addEventListener('click', (event) => {
      const { file } = event.target.dataset;
      if (file !== undefined) this.#download(file);
    });
    byId('make-report').addEventListener('click', () => this.#report());
  }

  /** Look, and look again while the run goes on. */
  begin() {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => document.hidden || this.#look(), AGAIN);
    this.#look();
  }

  end() {
    clearInterval(this.#timer);
    byId('make-report').disabled = true;
    for (const button of byId('outputs').querySelectorAll('button')) button.disabled = true;
  }

  async #look() {
    const told = await this.#get();
    if ('error' in told) return;
    fill(byId('outputs'), told.outputs, makeOutput, fillOutput);
    fill(byId('options'), told.options, makeOption, () => {});
    byId('make-report').disabled = !told.report;
    if (told.no_report) tell(byId('report-note'), `${told.no_report}.`);
  }

  async #download(file) {
    const ticket = await this.#ticket();
    if (ticket !== null) location.assign(`files/${file}?ticket=${encodeURIComponent(ticket)}`);
  }

  /** In a tab of its own, which is opened at once: later a browser would take it for something unasked. */
  async #report() {
    const tab = window.open('about:blank');
    const ticket = await this.#ticket();
    if (tab === null || ticket === null) {
      tab?.close();
      tell(byId('report-note'), 'The report cannot be opened.');
      return;
    }
    tab.opener = null;
    tab.location.replace(`${location.origin}/report?ticket=${encodeURIComponent(ticket)}`);
    tell(byId('report-note'), 'The report of what is written so far is made in a tab of its own.');
  }
}

/** Rows that are there stay, so that what is pressed or selected is not taken away. */
function fill(body, items, create, refill) {
  while (body.children.length > items.length) body.lastChild.remove();
  items.forEach((item, index) => {
    const row = body.children[index] ?? body.appendChild(create(item));
    refill(row, item);
  });
}

function makeOutput({ name, what, file }) {
  const row = make('tr');
  row.append(make('td', '', name), make('td', '', what), make('td', 'n'), make('td', 'n'), make('td', 'n'));
  if (file !== null) row.lastChild.append(makeDownload(name));
  return row;
}

function makeDownload(name) {
  const button = make('button', 'small', 'Download');
  button.type = 'button';
  button.setAttribute('aria-label', `Download ${name}`);
  return button;
}

function fillOutput(row, { name, what, size: bytes, records, file }) {
  const texts = [name, what, bytes === null ? '–' : size(bytes), records === null ? '–' : amount(records)];
  texts.forEach((text, index) => tell(row.children[index], text));
  let button = row.lastChild.firstChild;
  if (file === null) {
    button?.remove();
    return;
  }
  if (button === null) {
    button = makeDownload(name);
    row.lastChild.append(button);
  }
  button.dataset.file = file;
  button.disabled = false;
  button.setAttribute('aria-label', `Download ${name}`);
}

function makeOption({ name, value, origin, help }) {
  const row = make('tr');
  const said = make('td', '', name);
  said.title = help;
  row.append(said, make('td', '', value), make('td', 'dim', origin));
  return row;
}
