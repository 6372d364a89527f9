// The page: numbers come in, parts of the document show them.
import { Cards } from './cards.js';
import { Connection } from './connection.js';
import { EventList } from './event-list.js';
import { History } from './history.js';
import { Operator } from './operator.js';
import { byId, make, number, perSecond, setText, setTone } from './page.js';

const { admin } = document.body.dataset;
const history = new History();
const events = new EventList(byId('events'), byId('no-events'));
const operator = new Operator(admin, notify);
const cards = new Cards(byId('kinds'), history, operator);
const filter = byId('filter');
let newest;
let problem;

byId('clear-faults').onclick = () => operator.askToClearFaults();
filter.oninput = () => {
  if (newest !== undefined) cards.show(newest, filter.value);
};

new Connection(admin, {
  stats(stats) {
    newest = stats;
    history.add(stats);
    cards.show(stats, filter.value);
    summarize(stats);
    showDrain(stats.draining);
    byId('chaos').hidden = stats.chaos.activeFaults === 0 || stats.readOnly === true;
    setText(byId('updated'), `at ${new Date(stats.timestamp).toLocaleTimeString()}`);
  },
  event(event) {
    events.add(event);
    if (event.type === 'state-changed') setText(byId('announcer'), `${event.policy} is ${event.details.to}.`);
  },
  state(state, reason) {
    const badge = byId('connection');
    setText(badge, state);
    setTone(badge, state === 'live' ? 'good' : 'warn');
    document.body.classList.toggle('stale', state !== 'live');
    if (reason !== problem) notify((problem = reason));
  },
}).open();

/** Says what went wrong; without a text, that nothing does any more. */
function notify(text) {
  const notice = byId('notice');
  notice.hidden = text === undefined;
  setText(notice, text ?? '');
}

function summarize({ circuitBreakers, bulkheads, rateLimiters, draining, chaos }) {
  const breakers = Object.values(circuitBreakers);
  const rate = (kind, policies, field) => {
    const rates = Object.keys(policies).map((name) => history.rate(kind, name, (one) => one[field]));
    return rates.reduce((sum, one) => sum + (one ?? 0), 0);
  };
  const rejected =
    rate('circuitBreakers', circuitBreakers, 'totalRejected') +
    rate('bulkheads', bulkheads, 'rejectedCalls') +
    rate('rateLimiters', rateLimiters, 'totalRejected');
  showTiles({
    'Circuits not closed': `${number(breakers.filter(({ state }) => state !== 'closed').length)} of ${number(breakers.length)}`,
    Rejected: perSecond(rejected),
    'Requests under way': number(draining.inFlightRequests),
    'Active faults': number(chaos.activeFaults),
  });
}

function showTiles(tiles) {
  const list = byId('summary');
  for (const [label, text] of Object.entries(tiles)) {
    const known = [...list.children].find(({ dataset }) => dataset.label === label);
    if (known !== undefined) setText(known.lastElementChild, text);
    else list.append(make('div', { dataset: { label } }, make('dt', {}, label), make('dd', {}, text)));
  }
}

function showDrain({ phase, inFlightRequests }) {
  setText(byId('drain'), phase === 'ready' ? 'ready' : `${phase}, ${inFlightRequests} under way`);
  setTone(byId('drain'), phase === 'ready' ? 'good' : 'warn');
}
