// The live page of a run: it shows what the run's WebSocket sends, and sends back what its controls ask for.
// What a crawled site says (URLs, titles, messages) is put into the document as text, and only as text.
'use strict';

// Numbers as people read them, as the terminal writes them.

const grouped = new Intl.NumberFormat('en');
const timeOfDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const twoDigits = (number) => String(number).padStart(2, '0');

const amount = (number) => grouped.format(number);

/** Bytes in decimal units: 999 B, 1.5 kB, 31 MB. */
function size(bytes) {
  let unit = 'B';
  for (const larger of ['kB', 'MB', 'GB', 'TB']) {
    if (bytes < 999.5) break;
    bytes /= 1000;
    unit = larger;
  }
  return `${unit === 'B' || bytes >= 9.95 ? amount(Math.round(bytes)) : bytes.toFixed(1)} ${unit}`;
}

const rate = (perSecond) =>
  `${perSecond >= 9.95 || !perSecond ? amount(Math.round(perSecond)) : perSecond.toFixed(1)}/s`;

/** 0:07, 12:05, 3:02:01. */
function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours ? `${hours}:${twoDigits(minutes)}` : minutes}:${twoDigits(whole % 60)}`;
}

/** 850 µs, 12 ms, 2.1 s, 45 s, 3 min 05 s, 2 h 10 min, 3 d 4 h. */
function duration(seconds) {
  if (!seconds) return '0 s';
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${(seconds * 1e3).toFixed(seconds >= 0.00995 ? 0 : 1)} ms`;
  if (seconds < 59.5) return `${seconds.toFixed(seconds >= 9.95 ? 0 : 1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${twoDigits(Math.round(seconds) % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return `${hours} h ${twoDigits(minutes % 60)} min`;
}

/** A share as people read it; 100 % is said only of all of it, 0 % only of nothing. */
function percent(part, whole) {
  if (!part || !whole) return '0 %';
  const rounded = Math.round((100 * part) / whole);
  if (!rounded) return '< 1 %';
  return `${rounded >= 100 && part < whole ? 99 : rounded} %`;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// The document.

const byId = (id) => document.getElementById(id);

/** Set a text where it is another one: what did not change is not laid out anew, and stays selected. */
function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** A URL of the crawl: a link where a browser can follow it. Anything else, javascript: above all, stays a text. */
function makeUrl(url) {
  if (!/^https?:\/\//i.test(url)) return make('span', 'url', url);
  const link = make('a', 'url', url);
  link.href = url;
  link.target = '_blank';
  link.rel = 'noreferrer noopener';
  return link;
}

/** Make the children of `parent` those of `items`, in their order. What is there already is kept and filled anew. */
function reconcile(parent, items, create, fill) {
  const known = new Map(Array.from(parent.children, (element) => [element.dataset.key, element]));
  // An element that is moved loses the focus: the order can wait until nobody is at it.
  const mayMove = !parent.contains(document.activeElement);
  items.forEach((item, index) => {
    let element = known.get(item.key);
    if (element === undefined) {
      element = create(item);
      element.dataset.key = item.key;
      parent.append(element);
    }
    known.delete(item.key);
    fill(element, item);
    if (mayMove && parent.children[index] !== element) parent.insertBefore(element, parent.children[index]);
  });
  for (const element of known.values()) element.remove();
}

/** Run `draw` in the next frame of the screen, once, however often it is asked for; never while the page is hidden. */
function onceAFrame(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  };
}

/** Run `act` when it was not asked for again for that long. */
function settled(act, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}

// The connection.

/** The token comes behind the # of the address, where no server sees it, and does not stay in the history. */
function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem('token', given);
    history.replaceState(null, '', location.pathname);
  }
  return given || sessionStorage.getItem('token') || '';
}

const REFUSED = 'the token of this page is not (or no longer) that of the run: open the address that the run shows';
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const UNREACHABLE = 'the run cannot be reached';

/** Connects again and again while the run lives. `heard` gets every message, `stateChanged` every change of state. */
class Connection {
  #token;
  #heard;
  #stateChanged;
  #socket = null;
  #wait = FIRST_WAIT;
  #lastId = 0;
  #answers = new Map();
  #isOver = false;

  constructor(token, heard, stateChanged) {
    this.#token = token;
    this.#heard = heard;
    this.#stateChanged = stateChanged;
  }

  async open() {
    let response;
    try {
      response = await fetch('api/ticket', { method: 'POST', headers: { Authorization: `Bearer ${this.#token}` } });
    } catch {
      this.#lost();
      return;
    }
    if (response.status === 401 || response.status === 403) {
      this.#stateChanged('refused');
      return;
    }
    if (!response.ok) {
      this.#lost();
      return;
    }
    const { ticket } = await response.json();
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws?ticket=${encodeURIComponent(ticket)}`);
    socket.onopen = () => {
      this.#socket = socket;
      this.#wait = FIRST_WAIT;
      this.#stateChanged('connected');
    };
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = () => this.#lost();
  }

  /** Ask the run for something. Fulfilled with null, or with a sentence that says why not. */
  ask(verb, fields = {}) {
    if (this.#socket === null) return Promise.resolve(UNREACHABLE);
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ id, verb, ...fields }));
    return new Promise((fulfil) => this.#answers.set(id, fulfil));
  }

  #receive(message) {
    if (message.type === 'answer') {
      this.#answers.get(message.id)?.(message.error);
      this.#answers.delete(message.id);
      return;
    }
    if (message.type === 'end') {
      this.#isOver = true;
      this.#stateChanged('over');
    }
    this.#heard(message);
  }

  #lost() {
    this.#socket = null;
    for (const fulfil of this.#answers.values()) fulfil(UNREACHABLE);
    this.#answers.clear();
    if (this.#isOver) return;
    this.#stateChanged('lost');
    setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
  }
}

// The state of the run, its progress and its counts.

const STATES = {
  connecting: 'Connecting',
  running: 'Running',
  paused: 'Paused',
  stopping: 'Stopping',
  over: 'Over',
  lost: 'Connection lost',
  refused: 'Not allowed',
};

class Progress {
  #title = 'crawler';
  #isCrawl = false;
  #values = new Map();
  #notes = new Map();

  constructor() {
    for (const element of byId('tiles').querySelectorAll('dd')) {
      const { value, note } = element.dataset;
      if (value) this.#values.set(value, element);
      else this.#notes.set(note, element);
    }
  }

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

  show(status, isOver) {
    const { snapshot } = status;
    const left = snapshot.in_flight + snapshot.queued + snapshot.parked;
    const total = snapshot.total ?? (this.#isCrawl ? snapshot.done + left : null);
    const fromFourHundred = Object.entries(snapshot.statuses).filter(([status]) => status >= '400');
    const httpErrors = sum(fromFourHundred.map(([, count]) => count));
    // A failed record may have a status too, so this is how many of the good ones have a bad one at most.
    const outcomes = { ...snapshot, http: Math.min(httpErrors, snapshot.ok) };
    outcomes.ok -= outcomes.http;
    this.#bar(outcomes, total);
    this.#sentences(snapshot, total, isOver);
    this.#tiles(snapshot, status, outcomes);
  }

  #bar(outcomes, total) {
    const bar = byId('progress');
    const share = total ? Math.min(1, outcomes.done / total) : 0;
    bar.setAttribute('aria-valuenow', Math.floor(100 * share));
    for (const part of bar.children) part.style.width = total ? `${(100 * outcomes[part.className]) / total}%` : '0';
  }

  #sentences(snapshot, total, isOver) {
    tell(byId('done'), this.#howFar(snapshot, total));
    tell(byId('eta'), this.#howLong(snapshot, isOver));
    tell(byId('bottleneck'), isOver ? snapshot.bottleneck_overall : snapshot.bottleneck);
  }

  #howFar(snapshot, total) {
    const done = amount(snapshot.done);
    if (snapshot.total !== null) return `${done} of ${amount(total)} done (${percent(snapshot.done, total)})`;
    if (!this.#isCrawl) return `${done} done, the input is being read`;
    const found = total ? ` (${percent(snapshot.done, total)} of what was found)` : '';
    return `${done} done, ${amount(snapshot.queued + snapshot.parked)} queued${found}`;
  }

  #howLong(snapshot, isOver) {
    if (isOver) return `took ${duration(snapshot.elapsed)}`;
    const eta = snapshot.eta === null ? '' : ` · ETA ${duration(snapshot.eta)}`;
    return `${clock(snapshot.elapsed)}${eta}`;
  }

  #tiles(snapshot, status, outcomes) {
    const times = snapshot.time_total;
    const ofDone = (count) => percent(count, snapshot.done);
    this.#tile('rate', rate(snapshot.rate_now), `${rate(snapshot.rate_mean)} on average`);
    this.#tile('received', `${size(snapshot.bandwidth)}/s`, `${size(snapshot.size_download)} in all`);
    this.#tile('time', times ? duration(times.p50) : '–', times ? `99 %: ${duration(times.p99)}` : '');
    this.#tile('flight', amount(snapshot.in_flight), `of ${amount(status.concurrency)}`);
    this.#tile('queued', amount(snapshot.queued), 'wait for their turn');
    this.#tile('parked', amount(snapshot.parked), 'tried again at the end');
    this.#tile('ok', amount(outcomes.ok), ofDone(outcomes.ok));
    this.#tile('http', amount(outcomes.http), ofDone(outcomes.http));
    this.#tile('failed', amount(snapshot.failed), ofDone(snapshot.failed));
    const links = sum(Object.values(snapshot.skips)) - snapshot.skipped;
    const skippedNote = links > 0 ? `and ${amount(links)} links` : ofDone(snapshot.skipped);
    this.#tile('skipped', amount(snapshot.skipped), skippedNote);
    this.#tile('retries', amount(snapshot.retries), `${amount(snapshot.redirects)} redirects`);
    this.#tile('cpu', `${Math.round(100 * snapshot.cpu)} %`, 'of one core');
  }

  #tile(name, value, note) {
    tell(this.#values.get(name), value);
    tell(this.#notes.get(name), note);
  }
}

// The controls.

/** Says what became of a verb, where a screen reader hears it. */
function notice(sentence, isError = false) {
  tell(byId('notice'), sentence);
  byId('notice').classList.toggle('error', isError);
}

/** Ask whether that is meant. */
function confirmed(title, text, verb) {
  const dialog = byId('sure');
  tell(byId('sure-title'), title);
  tell(byId('sure-text'), text);
  tell(byId('sure-yes'), verb);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((fulfil) => {
    dialog.addEventListener('close', () => fulfil(dialog.returnValue === 'yes'), { once: true });
  });
}

/** A number of the run, with a slider for what is usual and a box for all that is possible. */
class Setting {
  #box;
  #slider;
  #ask;
  #asked = 0;
  #isTouched = false;

  constructor(verb, ask) {
    this.#ask = (value) => ask(verb, { value });
    this.#box = byId(verb);
    this.#slider = document.querySelector(`[data-slider="${verb}"]`);
    const send = settled(() => this.#send(), 150);
    this.#slider.addEventListener('input', () => {
      this.#isTouched = true;
      this.#box.value = this.#slider.value;
      send();
    });
    this.#box.addEventListener('input', () => {
      this.#isTouched = true;
    });
    this.#box.addEventListener('change', () => this.#send());
    this.#box.addEventListener('blur', () => {
      this.#isTouched = false; // what was not valid, and so not sent, is given up
    });
  }

  /** Show what the run has, unless the user is about to change it. */
  show(value) {
    if (this.#isTouched || this.#asked) return;
    if (this.#box.value !== String(value)) this.#box.value = value;
    if (Number(this.#slider.value) !== value) this.#slider.value = value;
  }

  setMost(most) {
    this.#box.max = most;
    this.#slider.max = Math.min(this.#slider.max, most);
  }

  async #send() {
    if (!this.#box.reportValidity()) return;
    this.#slider.value = this.#box.value;
    this.#isTouched = false;
    this.#asked += 1; // until it is answered, the frames that come still show the value before
    await this.#ask(this.#box.valueAsNumber);
    this.#asked -= 1;
  }
}

/** All that changes the run. `connection` carries the verbs out. */
class Controls {
  #connection;
  #settings;
  #isPaused = false;

  constructor(connection) {
    this.#connection = connection;
    const ask = (verb, fields) => this.#ask(verb, fields);
    this.#settings = ['concurrency', 'per-host', 'delay'].map((verb) => new Setting(verb, ask));
    byId('pause').addEventListener('click', () => this.#ask(this.#isPaused ? 'resume' : 'pause'));
    byId('stop').addEventListener('click', () => this.#stop());
    byId('add').addEventListener('submit', (event) => this.#add(event));
    byId('sure-yes').addEventListener('click', () => byId('sure').close('yes'));
    byId('sure-no').addEventListener('click', () => byId('sure').close());
  }

  greet({ most_concurrency: most }) {
    this.#settings[0].setMost(most);
  }

  enable(isOn) {
    byId('steer').disabled = byId('pause').disabled = byId('stop').disabled = !isOn;
    if (!isOn && byId('sure').open) byId('sure').close();
  }

  show(status) {
    this.#isPaused = status.paused;
    tell(byId('pause'), status.paused ? 'Resume' : 'Pause');
    [status.concurrency, status.per_host, status.delay].forEach((value, index) => this.#settings[index].show(value));
  }

  async drop(host) {
    const text = `${host} is asked nothing any more, and its URLs are skipped. This cannot be undone.`;
    if (await confirmed('Drop this host?', text, 'Drop')) this.#ask('drop', { host }, `${host} is dropped`);
  }

  async #stop() {
    const text = 'What is in flight has 5 seconds to end, and no other URL is fetched.';
    if (await confirmed('Stop this run?', text, 'Stop')) this.#ask('stop');
  }

  async #add(event) {
    event.preventDefault();
    const url = byId('url').value.trim();
    if (await this.#ask('add', { url }, `${url} is added`)) byId('url').value = '';
  }

  /** Whether it was done. */
  async #ask(verb, fields, success = '') {
    const error = await this.#connection.ask(verb, fields);
    notice(error ?? success, error !== null);
    return error === null;
  }
}

// The plots.

const PLOTS = [
  {
    title: 'URLs per second',
    format: rate,
    series: [
      { field: 'rate', name: 'done', colour: '--ok', area: '--ok-area' },
      { field: 'failed', name: 'failed', colour: '--failed' },
    ],
  },
  {
    title: 'Time of one URL',
    format: duration,
    isLogarithmic: true,
    series: [
      { field: 'p99', name: '99 %', colour: '--failed' },
      { field: 'p90', name: '90 %', colour: '--http' },
      { field: 'p50', name: 'half', colour: '--ok' },
    ],
  },
  {
    title: 'Received',
    format: (bytes) => `${size(bytes)}/s`,
    series: [{ field: 'bandwidth', name: 'bytes', colour: '--size', area: '--size-area' }],
  },
  {
    title: 'In flight',
    format: (urls) => amount(Math.round(urls)),
    steps: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
    series: [{ field: 'in_flight', name: 'URLs', colour: '--ok', area: '--ok-area' }],
  },
];
const FIELDS = ['elapsed', ...PLOTS.flatMap((plot) => plot.series.map(({ field }) => field))];
const PLOT_HEIGHT = 170;
const SHORTEST_TIME = 10;

/** Colours are looked up when they are drawn with: they change with the light. */
const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name);

/** One plot. Its caption says in words what is under the cursor, or came last. */
class Plot {
  #definition;
  #caption = [];
  #plot;

  constructor(definition, parent) {
    this.#definition = definition;
    const figure = make('figure');
    const caption = make('figcaption', '', definition.title);
    for (const series of definition.series) {
      const swatch = make('i');
      swatch.style.background = `var(${series.colour})`;
      const key = make('span', 'key');
      const value = make('b', '', '–');
      key.append(swatch, `${series.name} `, value);
      this.#caption.push(value);
      caption.append(key);
    }
    const field = make('div', 'field');
    figure.append(caption, field);
    parent.append(figure);
    this.#plot = new uPlot(this.#options(field.clientWidth), [[], ...definition.series.map(() => [])], field);
    new ResizeObserver(() => this.#plot.setSize({ width: field.clientWidth, height: PLOT_HEIGHT })).observe(field);
  }

  show(columns) {
    this.#plot.setData([columns.elapsed, ...this.#definition.series.map(({ field }) => columns[field])]);
    this.#describe();
  }

  redraw() {
    this.#plot.redraw();
  }

  #describe() {
    const { data, cursor } = this.#plot;
    const at = cursor.idx ?? data[0].length - 1;
    this.#caption.forEach((element, index) => {
      const value = data[index + 1][at] ?? null;
      tell(element, value === null ? '–' : this.#definition.format(value));
    });
    const isPointedAt = typeof cursor.idx === 'number';
    tell(byId('moment'), isPointedAt ? `at ${clock(data[0][at])}` : '');
  }

  #options(width) {
    const { format, isLogarithmic, series, steps } = this.#definition;
    const axis = { stroke: colour('--dim'), font: '12px system-ui, sans-serif', ticks: { show: false } };
    const filter = isLogarithmic ? onlyDecades : everyTick;
    const tickText = (tick) => (tick === null ? '' : format(tick).replace('.0 ', ' '));
    const seconds = { ...axis, grid: { show: false }, size: 26, space: 70, incrs: CLOCK_STEPS };
    const values = { ...axis, grid: { stroke: colour('--line'), width: 1, filter }, size: 66, space: 32, filter };
    return {
      width,
      height: PLOT_HEIGHT,
      legend: { show: false },
      cursor: { sync: { key: 'run' }, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: false, range: (_, least, most) => [0, Math.max(most ?? 0, SHORTEST_TIME)] },
        y: isLogarithmic ? { distr: 3, range: decades } : { range: fromZero },
      },
      axes: [
        { ...seconds, values: (_, ticks) => ticks.map(clock) },
        { ...values, values: (_, ticks) => ticks.map(tickText), ...(steps && { incrs: steps }) },
      ],
      series: [
        {},
        ...series.map((one) => ({
          stroke: colour(one.colour),
          fill: one.area && colour(one.area),
          width: 1.8,
          points: { size: 4 },
        })),
      ],
      hooks: { setCursor: [() => this.#describe()] },
    };
  }
}

const CLOCK_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

const everyTick = (_, ticks) => ticks;

/** Lines and labels between the powers of ten would say little. */
const onlyDecades = (_, ticks) => ticks.map((tick) => (Math.abs(Math.log10(tick) % 1) < 1e-9 ? tick : null));

const fromZero = (_, least, most) => uPlot.rangeNum(0, most || 1, 0.1, true);

/** Whole powers of ten around the values. */
function decades(_, least, most) {
  if (least === null || least === undefined) return [0.001, 1];
  const low = Math.floor(Math.log10(least));
  return [10 ** low, 10 ** Math.max(low + 1, Math.ceil(Math.log10(most)))];
}

/** All plots, over the same time. */
class Timeline {
  #columns = Object.fromEntries(FIELDS.map((field) => [field, []]));
  #plots;
  #draw = onceAFrame(() => this.#plots.forEach((plot) => plot.show(this.#columns)));

  constructor() {
    this.#plots = PLOTS.map((definition) => new Plot(definition, byId('plots')));
    const light = matchMedia('(prefers-color-scheme: light)');
    light.addEventListener('change', () => this.#plots.forEach((plot) => plot.redraw()));
  }

  replace(history) {
    for (const field of FIELDS) this.#columns[field] = history[field];
    this.#draw();
  }

  append(point) {
    for (const field of FIELDS) this.#columns[field].push(point[field]);
    this.#draw();
  }
}

// What was answered, and what went wrong.

const CLASSES = { 1: 'upgraded', 2: 'good', 3: 'redirects', 4: 'client errors', 5: 'server errors' };

/** A bar for each class of statuses, and under it one for each status. */
function statusBars(statuses) {
  const classes = new Map();
  for (const [status, count] of Object.entries(statuses)) {
    const first = status[0];
    const kind = first < '4' ? 'ok' : 'http';
    const whole = { key: first, label: `${first}xx, ${CLASSES[first]}`, count: 0, kind };
    const bars = classes.get(first) ?? [whole];
    bars[0].count += count;
    classes.set(first, [...bars, { key: status, label: status, count, kind, isPart: true }]);
  }
  return Array.from(classes.values()).flat();
}

const errorBars = (errors) => errors.map((error) => ({ ...error, key: error.code, label: error.code, kind: 'failed' }));

const skipBars = (skips) =>
  Object.entries(skips).map(([code, count]) => ({ key: code, label: code, count, kind: 'skipped' }));

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

function makeBar({ label, kind, isPart, url, message }) {
  const row = make('li', isPart ? `${kind} part` : kind);
  const bar = make('span', 'bar');
  bar.append(make('i'));
  row.append(make('span', 'label', label), make('span', 'n'), make('span', 'n dim'), bar);
  if (url) {
    const first = make('details');
    first.append(make('summary', '', 'first seen'), make('p', '', message), makeUrl(url));
    row.append(first);
  }
  return row;
}

// The hosts.

const HOSTS_SHOWN = 100;
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
class Hosts {
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
    this.#ask('hosts', this.#view);
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
    document.querySelector('.scroll').scrollTop = 0;
    this.#look({ offset: Math.max(0, this.#view.offset + step) });
  }

  #sort(sort) {
    const isText = (field) => ['host', 'binding', 'robots'].includes(field);
    const descending = sort === this.#view.sort ? !this.#view.descending : !isText(sort);
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
    for (const className of ['url', 'n', 'n', 'n', '', 'n', 'n', 'dim', 'n']) row.append(make('td', className));
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
  return `${amount(offset + 1)}–${amount(offset + hosts.length)} of ${all}`;
}

function fillRow(row, host) {
  const isLeft = host.queued + host.in_flight > 0;
  const texts = [
    host.host,
    amount(host.queued),
    `${amount(host.in_flight)} of ${amount(host.limit)}`,
    host.delay ? duration(host.delay) : '–',
    HELD_BY[host.binding] ?? host.binding ?? (host.queued ? 'nothing' : ''),
    amount(host.done),
    amount(host.failed),
    host.robots,
  ];
  texts.forEach((text, index) => tell(row.children[index], text));
  if (row.dataset.host !== host.host) {
    row.dataset.host = host.host;
    row.lastChild.firstChild.setAttribute('aria-label', `Drop ${host.host}`);
  }
  row.lastChild.firstChild.disabled = !isLeft;
}

// The newest records.

const RECORDS_KEPT = 200;

/** The newest of a kind, the newest first. */
class Newest {
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

function makeRecord({ at, url, outcome, status, error, message, size: bytes, seconds, title }) {
  const kind = outcome === 'ok' && status >= 400 ? 'http' : outcome;
  const row = make('li', kind);
  const facts = [timeOfDay.format(1000 * at), seconds && duration(seconds), bytes && size(bytes), message || title];
  const about = make('p', 'dim', facts.filter(Boolean).join(' · '));
  row.append(make('span', 'mark', error ?? String(status)), makeUrl(url), about);
  return row;
}

// The page.

class Page {
  #progress = new Progress();
  #timeline = new Timeline();
  #records = new Newest(byId('records'));
  #failures = new Newest(byId('failures'));
  #connection = new Connection(
    takeToken(),
    (message) => this.#hear(message),
    (state) => this.#changeState(state),
  );
  #controls = new Controls(this.#connection);
  #hosts = new Hosts(
    (verb, view) => this.#connection.ask(verb, view),
    (host) => this.#controls.drop(host),
  );
  #status = null;
  #isOver = false;
  #draw = onceAFrame(() => this.#show());

  constructor() {
    this.#connection.open();
  }

  #hear(message) {
    switch (message.type) {
      case 'hello': // the run has begun, so it does what it is asked for
        this.#progress.greet(message);
        this.#controls.greet(message);
        this.#controls.enable(true);
        this.#hosts.look();
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
    }
  }

  #hearFrame({ status, records, failures }) {
    this.#status = status;
    this.#progress.nameTab(status.snapshot);
    this.#records.add(records);
    this.#failures.add(failures);
    if (!this.#isOver) this.#showState(status.stopping ? 'stopping' : status.paused ? 'paused' : 'running');
    this.#draw();
  }

  #changeState(state) {
    if (state === 'connected') {
      this.#records.clear(); // its first frame has the newest again
      this.#failures.clear();
      return;
    }
    this.#isOver = state === 'over';
    this.#controls.enable(false);
    this.#showState(state);
    if (state === 'refused') notice(REFUSED, true);
    this.#draw();
  }

  #showState(state) {
    byId('state').dataset.state = state;
    tell(byId('state'), STATES[state]);
  }

  #show() {
    if (this.#status === null) return;
    const { snapshot } = this.#status;
    this.#progress.show(this.#status, this.#isOver);
    this.#controls.show(this.#status);
    showBars(byId('statuses'), statusBars(snapshot.statuses));
    showBars(byId('errors'), errorBars(snapshot.errors));
    showBars(byId('skips'), skipBars(snapshot.skips));
  }
}

new Page();
