// How many answers, errors and skipped URLs of each kind there are: lists of bars, each of which opens what is behind it.

import { byId, make, makeOpener, makeUrl, reconcile, tell } from './document.js';
import { amount, percent, sum } from './numbers.js';

const CLASSES = { 1: 'upgraded', 2: 'good', 3: 'redirects', 4: 'client errors', 5: 'server errors' };

export function showAnswers({ statuses, errors, skips }) {
  showBars(byId('statuses'), statusBars(statuses));
  showBars(byId('errors'), errorBars(errors));
  showBars(byId('skips'), skipBars(skips));
}

/** A bar for each class of statuses, and under it one for each status. */
function statusBars(statuses) {
  const classes = new Map();
  for (const [status, count] of Object.entries(statuses)) {
    const first = status[0];
    const kind = first < '4' ? 'ok' : 'http';
    const whole = { key: first, of: 'class', label: `${first}xx, ${CLASSES[first]}`, count: 0, kind };
    const bars = classes.get(first) ?? [whole];
    bars[0].count += count;
    classes.set(first, [...bars, { key: status, of: 'status', label: status, count, kind, isPart: true }]);
  }
  return Array.from(classes.values()).flat();
}

const errorBars = (errors) =>
  errors.map((error) => ({ ...error, key: error.code, of: 'code', label: error.code, kind: 'failed' }));

const skipBars = (skips) =>
  Object.entries(skips).map(([code, count]) => ({ key: code, of: 'code', label: code, count, kind: 'skipped' }));

function showBars(list, bars) {
  const most = Math.max(...bars.map(({ count }) => count));
  const whole = sum(bars.map(({ count, isPart }) => (isPart ? 0 : count)));
  reconcile(list, bars, makeBar, (element, { count }) => {
    const [, number, share, bar] = element.children;
    tell(number, amount(count));
    tell(share, percent(count, whole));
    bar.firstChild.style.width = `${(100 * count) / most}%`;
  });
}

function makeBar({ key, of, label, kind, isPart, url, message }) {
  const row = make('li', isPart ? `${kind} part` : kind);
  const bar = make('span', 'bar');
  bar.append(make('i'));
  row.append(makeOpener(of, key, label), make('span', 'n'), make('span', 'n dim'), bar);
  if (url) {
    const first = make('details');
    first.append(make('summary', '', 'first seen'), make('p', '', message), makeUrl(url));
    row.append(first);
  }
  return row;
}
