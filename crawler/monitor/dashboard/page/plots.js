// What the run did over time: four plots, drawn by uPlot (a global, from uPlot.iife.min.js).

import { byId, make, tell } from './document.js';
import { amount, clock, duration, rate, size } from './numbers.js';
import { onceAFrame } from './timing.js';

const PLOTS = [
  {
    title: 'URLs per second',
    format: rate,
    series: [
      { field: 'rate', name: 'done', colour: '--ok', area: '--ok-area' },
      { field: 'http_errors', name: 'from 400', colour: '--http' },
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
const CLOCK_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** All plots, over the same time. */
export class Timeline {
  #columns = Object.fromEntries(FIELDS.map((field) => [field, []]));
  #plots = PLOTS.map((definition) => new Plot(definition, byId('plots')));
  #draw = onceAFrame(() => this.#plots.forEach((plot) => plot.show(this.#columns)));

  constructor() {
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

/** One plot. Its caption says in words what is under the cursor, or came last. */
class Plot {
  #definition;
  #values = []; // the elements of the caption, one for each series
  #plot;

  constructor(definition, parent) {
    this.#definition = definition;
    const caption = make('figcaption', '', definition.title);
    for (const { name, colour } of definition.series) {
      const swatch = make('i');
      swatch.style.background = `var(${colour})`;
      const value = make('b', '', '–');
      const key = make('span', 'key');
      key.append(swatch, `${name} `, value);
      caption.append(key);
      this.#values.push(value);
    }
    const field = make('div', 'field');
    const figure = make('figure');
    figure.append(caption, field);
    parent.append(figure);
    const options = optionsOf(definition, field.clientWidth, () => this.#describe());
    this.#plot = new uPlot(options, [[], ...definition.series.map(() => [])], field);
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
    const [elapsed, ...series] = data;
    const at = cursor.idx ?? elapsed.length - 1;
    this.#values.forEach((element, index) => {
      const value = series[index][at] ?? null;
      tell(element, value === null ? '–' : this.#definition.format(value));
    });
    const isPointedAt = typeof cursor.idx === 'number';
    tell(byId('moment'), isPointedAt ? `at ${clock(elapsed[at])}` : '');
  }
}

// What uPlot is told.

function optionsOf({ format, isLogarithmic, series, steps }, width, cursorMoved) {
  const axis = { stroke: colour('--dim'), font: '12px system-ui, sans-serif', ticks: { show: false } };
  const filter = isLogarithmic ? onlyDecades : everyTick;
  const tickText = (tick) => (tick === null ? '' : format(tick).replace('.0', ''));
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
      {
        ...axis,
        grid: { show: false },
        size: 26,
        space: 70,
        incrs: CLOCK_STEPS,
        values: (_, ticks) => ticks.map(clock),
      },
      {
        ...axis,
        grid: { stroke: colour('--line'), width: 1, filter },
        size: 66,
        space: 32,
        filter,
        values: (_, ticks) => ticks.map(tickText),
        ...(steps && { incrs: steps }),
      },
    ],
    series: [
      {},
      ...series.map((one) => ({
        stroke: colour(one.colour),
        fill: one.area && colour(one.area),
        width: 1.8,
        points: { size: 4, filter: lonePoints },
      })),
    ],
    hooks: { setCursor: [cursorMoved] },
  };
}

/** Where there is no room for every point: those that no line shows, because nothing ended before and after. */
function lonePoints({ data }, index, hasRoom) {
  if (hasRoom) return null;
  const has = (at) => (data[index][at] ?? null) !== null;
  return Array.from(data[index].keys()).filter((at) => has(at) && !has(at - 1) && !has(at + 1));
}

/** Colours are looked up when they are drawn with: they change with the light. */
const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name);

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
