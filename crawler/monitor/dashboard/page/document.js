// The document, and how it is written. What a crawled site says (URLs, titles, messages) is put into it as text, and
// only as text.

export const byId = (id) => document.getElementById(id);

/** Set a text where it is another one: what did not change is not laid out anew, and stays selected. */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The value of a tile, and what is noted below it. */
export function tellTile(name, value, note) {
  tell(document.querySelector(`[data-value=${name}]`), value);
  tell(document.querySelector(`[data-note=${name}]`), note);
}

export function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** A URL of the crawl: a link where a browser can follow it. Anything else, javascript: above all, stays a text. */
export function makeUrl(url) {
  if (!/^https?:\/\//i.test(url)) return make('span', 'url', url);
  const link = make('a', 'url', url);
  link.href = url;
  link.target = '_blank';
  link.rel = 'noreferrer noopener';
  return link;
}

/** What opens the newest records of a kind; see drill.js. */
export function makeOpener(of, key, text) {
  const button = make('button', 'open label', text);
  button.type = 'button';
  button.dataset.of = of;
  button.dataset.key = key;
  return button;
}

/** Make the children of `parent` those of `items`, in their order. What is there already is kept and filled anew. */
export function reconcile(parent, items, create, fill) {
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
