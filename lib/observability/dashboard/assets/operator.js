// What an operator can do: a question, a reason, a request. The server decides whether it may be done.
import { byId, setText } from './page.js';

export const ACTIONS = [
  {
    action: 'force-open',
    label: 'Force open',
    breakersOnly: true,
    says: 'It refuses all calls until told otherwise.',
  },
  {
    action: 'close',
    label: 'Close',
    breakersOnly: true,
    says: 'It lets calls pass, and forgets the failures so far.',
  },
  {
    action: 'disable',
    label: 'Disable',
    breakersOnly: true,
    says: 'It lets all calls pass and counts nothing.',
  },
  {
    action: 'meter-only',
    label: 'Meter only',
    breakersOnly: true,
    says: 'It lets all calls pass and only counts.',
  },
  { action: 'reset', label: 'Reset', breakersOnly: false, says: 'Its numbers and its state begin anew.' },
];

export class Operator {
  #admin;
  #say;
  #dialog = byId('confirm');
  #agreed;

  /** @param say - Shows what went wrong; without a text, nothing did. */
  constructor(admin, say) {
    this.#admin = admin;
    this.#say = say;
    byId('confirm-no').onclick = () => this.#dialog.close();
    byId('confirm-yes').onclick = () => this.#agree();
    byId('reason').onkeydown = (event) => {
      if (event.key !== 'Enter') return;
      // Else the button that gets the focus back would take the key for its own.
      event.preventDefault();
      this.#agree();
    };
  }

  /** A dialog, which gives focus back to the button when it closes. */
  ask({ action, label, says }, kind, name) {
    this.#open(`${label} ${kind.one} “${name}”?`, says, label, action !== 'reset', (reason) =>
      this.#send(
        'POST',
        `${kind.plural}/${encodeURIComponent(name)}/${action}`,
        reason === '' ? undefined : { reason },
      ),
    );
  }

  askToClearFaults() {
    this.#open(
      'Stop all faults?',
      'Those of the chaos monkey and of experiments, too.',
      'Stop all',
      false,
      () => this.#send('DELETE', 'chaos/faults'),
    );
  }

  #open(title, text, yes, asksWhy, agreed) {
    setText(byId('confirm-title'), title);
    setText(byId('confirm-text'), text);
    setText(byId('confirm-yes'), yes);
    byId('confirm-why').hidden = !asksWhy;
    byId('reason').value = '';
    this.#agreed = agreed;
    this.#dialog.showModal();
  }

  #agree() {
    const reason = byId('reason').value.trim();
    this.#dialog.close();
    void this.#agreed?.(reason);
  }

  async #send(method, path, body) {
    try {
      const response = await fetch(`${this.#admin}/${path}`, {
        method,
        ...(body !== undefined && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      });
      if (response.ok) return this.#say();
      const answer = await response.json().catch(() => ({}));
      this.#say(`Not done (${response.status}): ${[answer.message ?? response.statusText].flat().join(' ')}`);
    } catch {
      this.#say('Not done: the server cannot be reached.');
    }
  }
}
