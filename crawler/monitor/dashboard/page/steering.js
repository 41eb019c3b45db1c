// All that changes the run: pause and stop, the numbers that can be set, one more URL, one host less.

import { byId, tell } from './document.js';
import { settled } from './timing.js';

const UNTIL_SENT = 150; // milliseconds that a slider rests

/** Says what became of a verb, where a screen reader hears it. */
export function notice(sentence, isError = false) {
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
    const send = settled(() => this.#send(), UNTIL_SENT);
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

/** The controls of the page. `ask` carries a verb to the run, and is fulfilled with null or with why not. */
export class Steering {
  #askRun;
  #concurrency;
  #perHost;
  #delay;
  #isPaused = false;

  constructor(ask) {
    this.#askRun = ask;
    const set = (verb, fields) => this.#ask(verb, fields);
    this.#concurrency = new Setting('concurrency', set);
    this.#perHost = new Setting('per-host', set);
    this.#delay = new Setting('delay', set);
    byId('pause').addEventListener('click', () => this.#ask(this.#isPaused ? 'resume' : 'pause'));
    byId('stop').addEventListener('click', () => this.#stop());
    byId('add').addEventListener('submit', (event) => this.#add(event));
    byId('sure-yes').addEventListener('click', () => byId('sure').close('yes'));
    byId('sure-no').addEventListener('click', () => byId('sure').close());
  }

  greet({ most_concurrency: most }) {
    this.#concurrency.setMost(most);
  }

  enable(isOn) {
    byId('steer').disabled = byId('pause').disabled = byId('stop').disabled = !isOn;
    if (!isOn && byId('sure').open) byId('sure').close();
  }

  show(status) {
    this.#isPaused = status.paused;
    tell(byId('pause'), status.paused ? 'Resume' : 'Pause');
    this.#concurrency.show(status.concurrency);
    this.#perHost.show(status.per_host);
    this.#delay.show(status.delay);
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
    const error = await this.#askRun(verb, fields);
    notice(error ?? success, error !== null);
    return error === null;
  }
}
