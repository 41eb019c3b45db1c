// The story of a URL: where it is now, what decides of it, its newest records, and what the job has kept of it.

import { byId, make, makeUrl } from './document.js';
import { makeRecord } from './newest.js';
import { duration } from './numbers.js';

const TIMES = { namelookup: 'name', connect: 'connect', appconnect: 'TLS', starttransfer: 'first byte', total: 'total' };

/** Opened by the form, and by each element with data-why. */
export class StoryTeller {
  #get;
  #asked = 0;

  constructor(get) {
    this.#get = get;
    document.addEventListener('click', (event) => {
      const url = event.target.closest?.('[data-why]')?.dataset.why;
      if (url !== undefined) this.#open(url);
    });
    byId('find').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#open(byId('sought').value.trim());
    });
    byId('story-close').addEventListener('click', () => byId('story').close());
  }

  async #open(url) {
    const asked = ++this.#asked;
    byId('story-title').replaceChildren(makeUrl(url));
    byId('story-told').replaceChildren(make('p', 'dim', 'Looking…'));
    if (!byId('story').open) byId('story').showModal();
    const story = await this.#get(url);
    if (asked !== this.#asked) return; // another one was asked for meanwhile
    byId('story-told').replaceChildren(...('error' in story ? [make('p', '', story.error)] : tell(story)));
  }
}

function tell({ facts, records, stories, note }) {
  const told = [makeFacts(facts)];
  if (records.length) {
    const list = make('ol', 'records');
    list.append(...records.map(makeRecord).reverse());
    told.push(make('h3', '', 'Its newest records'), list);
  }
  for (const kept of stories) told.push(make('h3', '', 'In the job'), makeKept(kept));
  if (note) told.push(make('p', 'dim', `${note}.`));
  return told;
}

/** A list of [what it is about, words]. */
function makeFacts(facts) {
  const list = make('dl', 'facts');
  for (const [about, words] of facts) {
    const said = make('dd');
    said.append(typeof words === 'string' ? makeUrl(words) : words);
    list.append(make('dt', '', about), said);
  }
  return list;
}

function makeKept({ state, error, message, came, redirects, attempts }) {
  const ended = [state, error, message].filter(Boolean).join(': ');
  const facts = [['State', make('span', '', ended)]];
  for (const place of came) facts.push(['Came from', place]);
  for (const { status, url } of redirects) facts.push([`Redirect ${status}`, url]);
  attempts.forEach((attempt, index) => facts.push([`Request ${index + 1}`, makeAttempt(attempt)]));
  if (!attempts.length) facts.push(['Requests', make('span', '', 'none was made for it')]);
  return makeFacts(facts);
}

function makeAttempt(attempt) {
  const { number, started, status, error, message, remote_ip: address } = attempt;
  const when = typeof started === 'number' ? new Date(1000 * started).toLocaleString() : started;
  const times = Object.entries(TIMES)
    .filter(([field]) => attempt[field] !== null)
    .map(([field, name]) => `${name} ${duration(attempt[field])}`);
  const parts = [`try ${number}`, when, status, error, message, ...times, address && `from ${address}`];
  return make('span', '', parts.filter(Boolean).join(' · '));
}
