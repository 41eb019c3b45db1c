// The table of hosts, a hundred at a time.

import { byId, make, makeOpener, tell } from './document.js';
import { amount, duration } from './numbers.js';
import { onceAFrame, settled } from './timing.js';

const HOSTS_SHOWN = 100;
const TEXTS = ['host', 'binding', 'robots']; // the columns that are sorted upwards at first
const HELD_BY = {
  per_host: 'per-host limit',
  delay: '--delay',
  crawl_delay: 'Crawl-delay of robots.txt',
  retry_after: 'Retry-After',
  ratelimit: 'rate limit used up',
  backoff: 'overload: slowed down',
  robots: 'robots.txt unreadable',
};

/** One page of hosts: the run sorts and filters them, here are never more than can be looked at. */
export class Hosts {
  #ask;
  #drop;
  #view = { sort: 'queued', descending: true, match: '', offset: 0, number: HOSTS_SHOWN };
  #latest = null;
  #draw = onceAFrame(() => this.#show());

  constructor(ask, drop) {
    this.#ask = ask;
    this.#drop = drop;
    for (const button of document.querySelectorAll('[data-sort]')) {
      button.addEventListener('click', () => this.#sort(button.dataset.sort));
    }
    const filter = settled(() => this.#look({ match: byId('match').value.trim(), offset: 0 }), 200);
    byId('match').addEventListener('input', filter);
    byId('previous').addEventListener('click', () => this.#turn(-HOSTS_SHOWN));
    byId('next').addEventListener('click', () => this.#turn(HOSTS_SHOWN));
  }

  /** Tell a new connection what is looked at. */
  look() {
    this.#ask(this.#view);
  }

  receive(message) {
    const { offset } = this.#view;
    if (offset && offset >= message.matching) {
      this.#look({ offset: Math.max(0, Math.ceil(message.matching / HOSTS_SHOWN) - 1) * HOSTS_SHOWN });
    } else if (offset === message.offset) {
      this.#latest = message;
      this.#draw();
    }
  }

  #look(change) {
    Object.assign(this.#view, change);
    this.look();
  }

  #turn(step) {
    byId('hosts').closest('.scroll').scrollTop = 0;
    this.#look({ offset: Math.max(0, this.#view.offset + step) });
  }

  #sort(sort) {
    const descending = sort === this.#view.sort ? !this.#view.descending : !TEXTS.includes(sort);
    for (const button of document.querySelectorAll('[data-sort]')) {
      const header = button.parentElement;
      if (button.dataset.sort === sort) header.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      else header.removeAttribute('aria-sort');
    }
    this.#look({ sort, descending, offset: 0 });
  }

  #show() {
    const { hosts, matching, offset } = this.#latest;
    const body = byId('hosts');
    // Rows stay where they are and get another host: so the focus stays, and nothing is built anew.
    while (body.children.length > hosts.length) body.lastChild.remove();
    while (body.children.length < hosts.length) body.append(this.#makeRow());
    hosts.forEach((host, index) => fillRow(body.children[index], host));
    tell(byId('shown'), whichHosts(this.#latest));
    byId('previous').disabled = offset === 0;
    byId('next').disabled = offset + hosts.length >= matching;
  }

  #makeRow() {
    const row = make('tr');
    for (const className of ['url', 'n', 'n', 'n', '', 'n', 'n', 'n', 'dim', 'n']) row.append(make('td', className));
    row.firstChild.append(makeOpener('host', '', ''));
    const button = make('button', 'small', 'Drop');
    button.type = 'button';
    button.addEventListener('click', () => this.#drop(row.dataset.host));
    row.lastChild.append(button);
    return row;
  }
}

function whichHosts({ hosts, matching, total, offset }) {
  if (!total) return 'No hosts yet';
  if (!hosts.length) return 'No host matches';
  const all = matching === total ? amount(total) : `${amount(matching)} found among ${amount(total)}`;
  const [first, last] = [amount(offset + 1), amount(offset + hosts.length)];
  return `${first === last ? first : `${first}–${last}`} of ${all}`;
}

function fillRow(row, host) {
  const texts = [
    amount(host.queued),
    `${amount(host.in_flight)} of ${amount(host.limit)}`,
    host.delay ? duration(host.delay) : '–',
    HELD_BY[host.binding] ?? host.binding ?? (host.queued ? 'nothing' : ''),
    amount(host.done),
    amount(host.http_errors),
    amount(host.failed),
    host.robots,
  ];
  texts.forEach((text, index) => tell(row.children[index + 1], text));
  const drop = row.lastChild.firstChild;
  if (row.dataset.host !== host.host) {
    row.dataset.host = host.host;
    const opener = row.firstChild.firstChild;
    opener.dataset.key = host.host;
    tell(opener, host.host);
    drop.setAttribute('aria-label', `Drop ${host.host}`);
  }
  drop.disabled = host.queued + host.in_flight === 0;
}
