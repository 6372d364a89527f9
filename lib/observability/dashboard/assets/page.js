// The small things that every part of the page does with the document.

/** An element with properties and children; text is text, whatever it looks like. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name.startsWith('aria-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Writes only what has changed, so that a screen reader and a selection are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setTone(element, tone) {
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
}

export const byId = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const number = (value) => (typeof value === 'number' ? whole.format(value) : '–');

export const percent = (value) => (typeof value === 'number' ? `${fine.format(value)} %` : '–');

export const perSecond = (value) => (typeof value === 'number' ? `${fine.format(value)} /s` : '–');

/** Milliseconds as people say them. */
export function milliseconds(value) {
  if (typeof value !== 'number') return '–';
  if (value < 1_000) return `${value < 10 ? fine.format(value) : whole.format(value)} ms`;
  if (value < 60_000) return `${fine.format(value / 1_000)} s`;
  return `${fine.format(value / 60_000)} min`;
}
