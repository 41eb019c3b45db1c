// The live page of a run: it shows what the run's WebSocket sends, and sends back what its controls ask for.
//
//   connection.js  the WebSocket: what the run says, and what it is asked for
//   progress.js    what the run is doing, how far it is, its counts
//   steering.js    the controls that change the run
//   plots.js       what it did over time
//   answers.js     how many answers and errors of each kind there are
//   hosts.js       the table of hosts
//   workers.js     the table of workers
//   whole.js       the crawl of all nodes, and the table of these
//   newest.js      the records that came last
//   drill.js       those behind a number
//   story.js       all that is known of one URL
//   files.js       what the run writes, and its options
//
// Those stand on document.js (elements), numbers.js (numbers as text) and timing.js (when to draw), and know nothing
// of each other, but that drill.js and story.js show lists as newest.js does. Here is what goes from one to another.

import { showAnswers } from './answers.js';
import { Connection, takeToken } from './connection.js';
import { byId } from './document.js';
import { Drill } from './drill.js';
import { Files } from './files.js';
import { Hosts } from './hosts.js';
import { Newest } from './newest.js';
import { Timeline } from './plots.js';
import { Progress, showState } from './progress.js';
import { Steering, notice } from './steering.js';
import { StoryTeller } from './story.js';
import { onceAFrame } from './timing.js';

const REFUSED = 'the token of this page is not (or no longer) that of the run: open the address that the run shows';

class Page {
  #connection = new Connection(
    takeToken(),
    (message) => this.#hear(message),
    (state) => this.#changeState(state),
  );
  #progress = new Progress();
  #steering = new Steering((verb, fields) => this.#connection.ask(verb, fields));
  #timeline = new Timeline();
  #hosts = new Hosts(
    (view) => this.#connection.ask('hosts', view),
    (host) => this.#steering.drop(host),
  );
  #records = new Newest(byId('records'));
  #httpErrors = new Newest(byId('http-errors'));
  #failures = new Newest(byId('failures'));
  #drill = new Drill((what) => this.#connection.ask('records', what));
  #stories = new StoryTeller((url) => this.#connection.get('why', { url }));
  #files = new Files(
    () => this.#connection.get('run'),
    () => this.#connection.ticket(),
  );
  #status = null;
  #time = '';
  #isOver = false;
  #draw = onceAFrame(() => this.#show());

  open() {
    this.#connection.open();
  }

  #hear(message) {
    switch (message.type) {
      case 'hello': // the run has begun, so it does what it is asked for
        this.#progress.greet(message);
        this.#steering.greet(message);
        this.#steering.enable(true);
        this.#hosts.look();
        this.#files.begin();
        break;
      case 'history':
        this.#timeline.replace(message);
        break;
      case 'point':
        this.#timeline.append(message);
        break;
      case 'frame':
        this.#hearFrame(message);
        break;
      case 'hosts':
        this.#hosts.receive(message);
        break;
      case 'records':
        this.#drill.receive(message);
        break;
    }
  }

  #hearFrame({ status, time, records, http_errors: httpErrors, failures }) {
    this.#status = status;
    this.#time = time;
    this.#progress.nameTab(status.snapshot);
    this.#records.add(records);
    this.#httpErrors.add(httpErrors);
    this.#failures.add(failures);
    if (!this.#isOver) showState(status.stopping ? 'stopping' : status.paused ? 'paused' : 'running');
    this.#draw();
  }

  #changeState(state) {
    if (state === 'connected') {
      this.#records.clear(); // its first frame has the newest again
      this.#httpErrors.clear();
      this.#failures.clear();
      return;
    }
    this.#isOver = state === 'over';
    this.#steering.enable(false);
    this.#files.end();
    showState(state);
    if (state === 'refused') notice(REFUSED, true);
    this.#draw();
  }

  #show() {
    if (this.#status === null) return;
    this.#progress.show(this.#status, this.#time, this.#isOver);
    this.#steering.show(this.#status);
    showAnswers(this.#status.snapshot);
  }
}

new Page().open();
