// A circuit's last five minutes. The text beside it says the same, for who does not see it.
const { uPlot } = globalThis;
const HEIGHT = 110;
const dark = matchMedia('(prefers-color-scheme: dark)');

export class Chart {
  #element;
  #history;
  #name;
  #plot;
  #visible = false;

  constructor(element, name, history) {
    this.#element = element;
    this.#name = name;
    this.#history = history;
    element.setAttribute('role', 'img');
    // Only what is looked at is drawn.
    new IntersectionObserver(([entry]) => {
      this.#visible = entry.isIntersecting;
      if (this.#visible) this.draw();
    }).observe(element);
    new ResizeObserver(() => this.#plot?.setSize({ width: element.clientWidth, height: HEIGHT })).observe(
      element,
    );
    dark.addEventListener('change', () => this.#remake());
  }

  draw() {
    const [times, ...series] = this.#history.series(this.#name);
    const [ok, failed, rejected] = series.map((one) => Math.round(one.at(-1) ?? 0));
    this.#element.setAttribute(
      'aria-label',
      `Calls per second of ${this.#name}: ${ok} successful, ${failed} failed, ${rejected} rejected`,
    );
    if (!this.#visible || times.length < 2) return;
    this.#plot ??= this.#make();
    this.#plot.setData([times, ...series]);
  }

  #remake() {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.draw();
  }

  #make() {
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
    const axis = {
      stroke: color('--muted'),
      grid: { stroke: color('--line'), width: 1 },
      ticks: { show: false },
    };
    const line = (label, name) => ({ label, stroke: color(name), width: 2, points: { show: false } });
    return new uPlot(
      {
        width: this.#element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [
          { ...axis, size: 24, space: 80 },
          { ...axis, size: 40, space: 30 },
        ],
        series: [
          {},
          line('ok', '--series-good'),
          line('failed', '--series-bad'),
          line('rejected', '--series-rejected'),
        ],
      },
      undefined,
      this.#element,
    );
  }
}
