// The table of workers, where a run has some: how each of them is.

import { byId, make, reconcile, tell } from './document.js';
import { amount, size } from './numbers.js';

export function showWorkers(workers) {
  byId('workers-section').hidden = workers.length === 0;
  const rows = workers.map((worker, index) => ({ ...worker, key: String(index + 1) }));
  reconcile(byId('workers'), rows, makeRow, fillRow);
}

function makeRow() {
  const row = make('tr');
  for (const className of ['n', '', 'n', 'n', 'n', 'n', 'n', 'n']) row.append(make('td', className));
  return row;
}

function fillRow(row, worker) {
  const texts = [
    worker.key,
    stateOf(worker),
    worker.pid ? String(worker.pid) : '–',
    amount(worker.in_flight),
    amount(worker.done),
    `${Math.round(100 * worker.cpu)} %`,
    worker.memory ? size(worker.memory) : '–',
    amount(worker.replaced),
  ];
  texts.forEach((text, index) => tell(row.children[index], text));
}

/** It has a number when it has begun. */
function stateOf(worker) {
  if (!worker.pid) return 'starts';
  return worker.in_flight ? 'fetches' : 'waits';
}
