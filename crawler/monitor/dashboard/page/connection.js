// The WebSocket to the run: the token that opens it, what it brings, and what is asked over it.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const UNREACHABLE = 'the run cannot be reached';
const OVER = 'the run is over: what it wrote is in its outputs';

/** The token comes behind the # of the address, where no server sees it, and does not stay in the history. */
export function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem('token', given);
    history.replaceState(null, '', location.pathname);
  }
  return given || sessionStorage.getItem('token') || '';
}

/**
 * Connects again and again while the run lives. `heard` gets every message that answers no verb; `stateChanged` gets
 * 'connected', 'lost', 'over' (the run is: nothing comes after that) or 'refused' (the token is not the run's).
 */
export class Connection {
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
    let ticket;
    try {
      ticket = await this.#makeTicket();
    } catch {
      this.#lost();
      return;
    }
    if (ticket === null) {
      this.#stateChanged('refused');
      return;
    }
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws?ticket=${encodeURIComponent(ticket)}`);
    socket.onopen = () => {
      this.#socket = socket;
      this.#wait = FIRST_WAIT;
      this.#stateChanged('connected');
    };
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = () => this.#lost();
  }

  /** What opens one file of the run; null where that cannot be had. */
  async ticket() {
    try {
      return await this.#makeTicket();
    } catch {
      return null;
    }
  }

  /** What opens one WebSocket or file, or null where the token is refused. */
  async #makeTicket() {
    const response = await fetch('api/ticket', {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.#token}` },
    });
    if (response.status === 401 || response.status === 403) return null;
    if (!response.ok) throw new Error(`no ticket: ${response.status}`);
    return (await response.json()).ticket;
  }

  /** Ask the run for something. Fulfilled with null, or with a sentence that says why not. */
  ask(verb, fields = {}) {
    if (this.#socket === null) return Promise.resolve(this.#whyNot());
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ id, verb, ...fields }));
    return new Promise((fulfil) => this.#answers.set(id, fulfil));
  }

  /** What the API shows under a name, which a connection need not be open for; `{ error }` where that cannot be had. */
  async get(view, fields = {}) {
    try {
      const headers = { Authorization: `Bearer ${this.#token}` };
      const response = await fetch(`api/${view}?${new URLSearchParams(fields)}`, { headers });
      return await response.json();
    } catch {
      return { error: this.#whyNot() };
    }
  }

  #whyNot() {
    return this.#isOver ? OVER : UNREACHABLE;
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
    for (const fulfil of this.#answers.values()) fulfil(this.#whyNot());
    this.#answers.clear();
    if (this.#isOver) return;
    this.#stateChanged('lost');
    setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
  }
}
