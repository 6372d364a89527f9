const useColor = process.stdout.isTTY;
const paint = (code: number, text: string) => (useColor ? `\u001B[${code}m${text}\u001B[0m` : text);

/** Tells what happens, and remembers whether it was as expected. */
export class Narrator {
  private passed = 0;
  private readonly failures: string[] = [];
  private readonly skipped: string[] = [];
  private title = '';
  private isProgressing = false;

  step(number: number, of: number, title: string): void {
    this.title = title;
    console.log(`\n${paint(1, `${number}/${of}  ${title}`)}`);
  }

  say(text: string): void {
    this.endProgress();
    console.log(paint(2, `     ${text}`));
  }

  /** What goes on meanwhile; the next one takes its place. */
  progress(text: string): void {
    if (!process.stdout.isTTY) return;
    process.stdout.write(`\r\u001B[2K     … ${text}`);
    this.isProgressing = true;
  }

  /** One line: what was expected, and what was seen. */
  check(expected: string, seen: string, ok: boolean): void {
    this.endProgress();
    const mark = ok ? paint(32, '✓') : paint(31, '✗');
    console.log(`  ${mark}  expected: ${expected}\n     seen:     ${seen}`);
    if (ok) this.passed++;
    else this.failures.push(`${this.title}: expected ${expected}, saw ${seen}`);
  }

  skip(reason: string): void {
    this.endProgress();
    console.log(paint(33, `  –  skipped: ${reason}`));
    this.skipped.push(`${this.title}: ${reason}`);
  }

  fail(error: unknown): void {
    this.check('the step to come to its end', String(error instanceof Error ? error.message : error), false);
  }

  /** The last lines; whether all was as expected. */
  conclude(tookMs: number): boolean {
    const { passed, failures, skipped } = this;
    console.log(
      `\n${passed} as expected, ${failures.length} not, ${skipped.length} skipped, in ${(tookMs / 1_000).toFixed(0)} s.`,
    );
    for (const each of skipped) console.log(paint(33, `  –  ${each}`));
    for (const each of failures) console.log(paint(31, `  ✗  ${each}`));
    return failures.length === 0;
  }

  private endProgress(): void {
    if (this.isProgressing) process.stdout.write('\r\u001B[2K');
    this.isProgressing = false;
  }
}
