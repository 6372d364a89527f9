// The last events, newest first.
import { make } from './page.js';

const MOST_EVENTS = 200;

export class EventList {
  #list;
  #hint;

  constructor(list, hint) {
    this.#list = list;
    this.#hint = hint;
  }

  add({ time, kind, policy, type, details }) {
    this.#hint.hidden = true;
    const at = make('time', { dateTime: time, title: time }, new Date(time).toLocaleTimeString());
    const what = make('strong', {}, `${policy} ${type}`);
    this.#list.prepend(make('li', {}, at, what, ` (${kind}) `, describe(details)));
    while (this.#list.children.length > MOST_EVENTS) this.#list.lastElementChild.remove();
  }
}

function describe(details) {
  const { from, to, ...rest } = details;
  const move = from !== undefined && to !== undefined ? [`${from} → ${to}`] : [];
  const others = Object.entries(rest).map(([name, value]) => `${name}: ${plain(value)}`);
  return [...move, ...others].join(', ');
}

function plain(value) {
  if (value === null || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? value.map(plain).join(' ') : (value.message ?? JSON.stringify(value));
}
