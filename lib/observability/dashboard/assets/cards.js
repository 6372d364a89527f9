// A section per kind, a card per policy. Cards are kept and updated, so that focus and selection survive each second.
import { Chart } from './chart.js';
import { KINDS, toneOf } from './kinds.js';
import { ACTIONS } from './operator.js';
import { make, setText, setTone } from './page.js';

/** More than anybody looks at; the filter finds the others. */
const MOST_CARDS = 100;

export class Cards {
  #root;
  #history;
  #operator;
  #sections = new Map();

  constructor(root, history, operator) {
    this.#root = root;
    this.#history = history;
    this.#operator = operator;
  }

  show(stats, filter) {
    for (const kind of KINDS) {
      const policies = stats[kind.plural];
      if (policies === undefined || policies === null) continue;
      this.#showKind(kind, policies, filter, stats.readOnly !== true);
    }
  }

  #showKind(kind, policies, filter, mayChange) {
    const names = Object.keys(policies).toSorted();
    if (names.length === 0 && !this.#sections.has(kind.plural)) return;
    const section = this.#section(kind);
    const wanted = names.filter((name) => name.toLowerCase().includes(filter.toLowerCase()));
    const shown = wanted.slice(0, MOST_CARDS);
    for (const [name, card] of section.cards) {
      if (shown.includes(name)) continue;
      card.element.remove();
      section.cards.delete(name);
    }
    let previous = null;
    for (const name of shown) {
      let card = section.cards.get(name);
      if (card === undefined) {
        card = new Card(kind, name, this.#history, this.#operator);
        section.cards.set(name, card);
        if (previous === null) section.list.prepend(card.element);
        else previous.after(card.element);
      }
      card.show(policies[name], mayChange);
      previous = card.element;
    }
    section.element.hidden = names.length === 0;
    const rest = names.length - shown.length;
    setText(section.more, rest === 0 ? '' : `${rest} more of ${names.length} are not shown.`);
  }

  #section(kind) {
    const known = this.#sections.get(kind.plural);
    if (known !== undefined) return known;
    const id = `${kind.plural}-title`;
    const list = make('ul', { className: 'cards', role: 'list' });
    const more = make('p', { className: 'muted' });
    const element = make('section', { 'aria-labelledby': id }, make('h2', { id }, kind.title), list, more);
    const section = { element, list, more, cards: new Map() };
    this.#sections.set(kind.plural, section);
    const order = KINDS.map(({ plural }) => plural);
    const next = [...this.#sections]
      .filter(([plural]) => order.indexOf(plural) > order.indexOf(kind.plural))
      .toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b))[0];
    this.#root.insertBefore(element, next?.[1].element ?? null);
    return section;
  }
}

class Card {
  #kind;
  #name;
  #history;
  #facts = make('dl');
  #rows = new Map();
  #badge;
  #chart;
  #buttons;

  constructor(kind, name, history, operator) {
    this.#kind = kind;
    this.#name = name;
    this.#history = history;
    const head = make('div', { className: 'card-head' }, make('h3', {}, name));
    this.element = make('li', { className: 'card', dataset: { kind: kind.plural, name } }, head, this.#facts);
    if (kind.plural === 'circuitBreakers') {
      this.#badge = make('span', { className: 'badge' });
      head.append(this.#badge);
      const place = make('div', { className: 'chart' });
      this.element.append(place, legend());
      this.#chart = new Chart(place, name, history);
    }
    if (kind.readOnly !== true) this.#buttons = this.#makeButtons(operator);
  }

  show(stats, mayChange) {
    if (this.#badge !== undefined) {
      setText(this.#badge, stats.state);
      setTone(this.#badge, toneOf(stats.state));
    }
    this.#showFacts(this.#kind.facts(this.#name, stats, this.#history));
    this.#chart?.draw();
    if (this.#buttons !== undefined) this.#buttons.hidden = !mayChange;
  }

  #showFacts(facts) {
    for (const [label, row] of this.#rows) {
      if (facts.some((fact) => fact.label === label)) continue;
      row.term.remove();
      row.value.remove();
      this.#rows.delete(label);
    }
    for (const { label, text, bar } of facts) {
      const row = this.#rows.get(label) ?? this.#addRow(label, bar !== undefined);
      setText(row.text, text);
      if (bar !== undefined) showBar(row.meter, bar, `${label}: ${text}`);
    }
  }

  #addRow(label, hasBar) {
    const term = make('dt', {}, label);
    const text = make('span');
    const value = make('dd', {}, text);
    const row = { term, value, text };
    if (hasBar) {
      row.meter = make('meter', { min: 0 });
      value.append(row.meter);
    }
    this.#facts.append(term, value);
    this.#rows.set(label, row);
    return row;
  }

  #makeButtons(operator) {
    const actions = ACTIONS.filter(
      ({ breakersOnly }) => !breakersOnly || this.#kind.plural === 'circuitBreakers',
    );
    const buttons = actions.map((action) =>
      make(
        'button',
        {
          type: 'button',
          'aria-label': `${action.label} ${this.#kind.one} ${this.#name}`,
          onclick: () => operator.ask(action, this.#kind, this.#name),
        },
        action.label,
      ),
    );
    const row = make('div', { className: 'buttons' }, ...buttons);
    this.element.append(row);
    return row;
  }
}

function showBar(meter, { value, max, emptyIsBad }, label) {
  meter.max = Math.max(max, 1);
  meter.low = meter.max * (emptyIsBad ? 0.2 : 0.7);
  meter.high = meter.max * (emptyIsBad ? 0.5 : 0.9);
  meter.optimum = emptyIsBad ? meter.max : 0;
  meter.value = value;
  meter.setAttribute('aria-label', label);
}

function legend() {
  return make(
    'p',
    { className: 'legend' },
    'Per second:',
    make('span', {}, 'successful'),
    make('span', { className: 'failed' }, 'failed'),
    make('span', { className: 'rejected' }, 'rejected'),
  );
}
