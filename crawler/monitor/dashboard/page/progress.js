// The top of the page: what the run is doing, how far it is, and its counts.

import { byId, tell, tellTile } from './document.js';
import { amount, clock, counted, duration, percent, rate, size, sum } from './numbers.js';
import { showWhole } from './whole.js';
import { showWorkers } from './workers.js';

const STATES = {
  connecting: 'Connecting',
  running: 'Running',
  paused: 'Paused',
  stopping: 'Stopping',
  over: 'Over',
  lost: 'Connection lost',
  refused: 'Not allowed',
};

export function showState(state) {
  byId('state').dataset.state = state;
  tell(byId('state'), STATES[state]);
}

export class Progress {
  #title = 'crawler';
  #isCrawl = false;

  greet({ version, title, crawl, job, started }) {
    this.#title = title;
    this.#isCrawl = crawl;
    tell(byId('title'), title);
    const since = new Date(1000 * started).toLocaleString();
    tell(byId('about'), `crawler ${version}, began ${since}${job ? `, job ${job}` : ''}`);
  }

  /** What the tab of the browser says; also while it is in the background, where nothing else is drawn. */
  nameTab(snapshot) {
    const done = snapshot.total === null ? amount(snapshot.done) : percent(snapshot.done, snapshot.total);
    document.title = `${done} · ${this.#title}`;
  }

  show(status, time, isOver) {
    const { snapshot } = status;
    const left = snapshot.in_flight + snapshot.queued + snapshot.parked;
    const total = snapshot.total ?? (this.#isCrawl ? snapshot.done + left : null);
    const outcomes = outcomesOf(snapshot);
    showBar(outcomes, snapshot.done, total);
    tell(byId('done'), this.#howFar(snapshot, total));
    tell(byId('eta'), howLong(snapshot, isOver));
    tell(byId('bottleneck'), whatBinds(snapshot, isOver));
    tell(byId('time'), time);
    showTiles(status, outcomes);
  }

  #howFar(snapshot, total) {
    const done = amount(snapshot.done);
    if (snapshot.total !== null) return `${done} of ${amount(total)} done (${percent(snapshot.done, total)})`;
    if (!this.#isCrawl) return `${done} done, the input is being read`;
    const found = total ? ` (${percent(snapshot.done, total)} of what was found)` : '';
    return `${done} done, ${amount(snapshot.queued + snapshot.parked)} queued${found}`;
  }
}

/** In a sentence with figures; first, in a word, where the run is held. */
function whatBinds({ bottleneck, bottleneck_overall: overall, binds }, isOver) {
  if (isOver) return overall && capital(`${overall}.`);
  return bottleneck && `${capital(binds)}: ${bottleneck}.`;
}

const capital = (sentence) => sentence.charAt(0).toUpperCase() + sentence.slice(1);

function howLong({ elapsed, eta }, isOver) {
  if (isOver) return `took ${duration(elapsed)}`;
  return `${clock(elapsed)}${eta === null ? '' : ` · ETA ${duration(eta)}`}`;
}

/** How many ended in which way; what was answered with a status from 400 on is not ok here. */
function outcomesOf({ statuses, ok, failed, skipped }) {
  const fromFourHundred = Object.keys(statuses).filter((status) => status >= '400');
  // A failed record may have a status too, so this is how many of the good ones have a bad one at most.
  const http = Math.min(ok, sum(fromFourHundred.map((status) => statuses[status])));
  return { ok: ok - http, http, failed, skipped };
}

/** A part for each outcome. Together they are as long as what is done is of all. */
function showBar(outcomes, done, total) {
  const bar = byId('progress');
  const share = (count) => (total ? (100 * count) / total : 0);
  bar.setAttribute('aria-valuenow', Math.floor(Math.min(100, share(done))));
  for (const part of bar.children) part.style.width = `${share(outcomes[part.className])}%`;
}

function showTiles({ snapshot, concurrency }, outcomes) {
  const times = snapshot.time_total;
  const ofDone = (count) => percent(count, snapshot.done);
  const skippedLinks = sum(Object.values(snapshot.skips)) - snapshot.skipped;
  tellTile('rate', rate(snapshot.rate_now), `${rate(snapshot.rate_mean)} on average`);
  tellTile('received', `${size(snapshot.bandwidth)}/s`, `${size(snapshot.size_download)} in all`);
  tellTile('time', times ? duration(times.p50) : '–', times ? `99 %: ${duration(times.p99)}` : '');
  tellTile('flight', amount(snapshot.in_flight), `of ${amount(concurrency)}`);
  tellTile('queued', amount(snapshot.queued), snapshot.queued === 1 ? 'waits for its turn' : 'wait for their turn');
  tellTile('parked', amount(snapshot.parked), 'tried again at the end');
  tellTile('ok', amount(outcomes.ok), ofDone(outcomes.ok));
  tellTile('http', amount(outcomes.http), ofDone(outcomes.http));
  tellTile('failed', amount(outcomes.failed), ofDone(outcomes.failed));
  tellTile(
    'skipped',
    amount(outcomes.skipped),
    skippedLinks > 0 ? `and ${counted(skippedLinks, 'link')}` : ofDone(outcomes.skipped),
  );
  tellTile('retries', amount(snapshot.retries), counted(snapshot.redirects, 'redirect'));
  tellTile('cpu', `${Math.round(100 * snapshot.cpu)} %`, 'of one core');
  showWhole(snapshot.crawl);
  showWorkers(snapshot.workers);
}
