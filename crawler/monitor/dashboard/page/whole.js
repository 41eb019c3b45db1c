// The crawl of all nodes, where the run is one of several: its books, and the table of nodes.

import { byId, make, reconcile, tell, tellTile } from './document.js';
import { amount, duration, percent, rate, sum } from './numbers.js';

const OLD = 15; // seconds: from there on it is said how old the books are

/** What is known of it; null in a run of its own, and before anything is known. */
export function showWhole(crawl) {
  byId('crawl-section').hidden = crawl === null;
  if (crawl === null) return;
  tell(byId('crawl-name'), crawl.name);
  tell(byId('crawl-age'), crawl.age > OLD + crawl.there ? `as of ${duration(crawl.age)} ago` : '');
  showBooks(crawl);
  reconcile(byId('nodes'), crawl.nodes.map((node) => ({ ...node, key: node.name })), makeRow, fillRow);
  const more = crawl.there + crawl.gone - crawl.nodes.length;
  tell(byId('more-nodes'), more > 0 ? `and ${amount(more)} more` : '');
}

function showBooks(crawl) {
  const { arrived, ok, failed, skipped, queued, leased, moving, there, gone } = crawl;
  const done = sum([ok, failed, skipped]);
  const nodes = there === 1 ? 'by 1 node' : `by ${amount(there)} nodes`;
  tellTile('crawl-rate', rate(crawl.rate), gone ? `${nodes}, ${amount(gone)} gone` : nodes);
  tellTile('crawl-arrived', amount(arrived), `${percent(done, arrived)} done`);
  tellTile('crawl-ok', amount(ok), percent(ok, done));
  tellTile('crawl-failed', amount(failed), percent(failed, done));
  tellTile('crawl-skipped', amount(skipped), percent(skipped, done));
  tellTile('crawl-queued', amount(queued + leased + moving), `${amount(queued)} queued, ${amount(leased)} leased`);
}

function makeRow() {
  const row = make('tr');
  for (const className of ['url', '', 'n', 'n', 'n', 'n', 'n', 'url', 'n']) row.append(make('td', className));
  return row;
}

function fillRow(row, node) {
  const isGone = node.gone !== null;
  row.classList.toggle('dim', isGone);
  const texts = [
    node.is_this ? `${node.name} (this one)` : node.name,
    stateOf(node),
    isGone ? '–' : rate(node.rate),
    amount(node.done),
    amount(node.failed),
    isGone ? '–' : amount(node.in_flight),
    isGone ? '–' : amount(node.hosts),
    node.machine || '–',
    node.pid ? String(node.pid) : '–',
  ];
  texts.forEach((text, index) => tell(row.children[index], text));
}

/** A node whose hosts all have to wait before they may be asked again is at work, too. */
function stateOf(node) {
  if (node.gone !== null) return `gone for ${duration(node.gone)}`;
  return node.hosts || node.in_flight ? 'at work' : 'waits';
}
