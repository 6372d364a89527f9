/** Paths that are answered whatever else is refused. */
export class ServedPaths {
  private readonly segments: string[] = [];

  /** `health`, `/health` and `/health/` are one. */
  add(path: string): void {
    const trimmed = path.replace(/^\/+|\/+$/g, '').toLowerCase();
    if (trimmed !== '') this.segments.push(`/${trimmed}/`);
  }

  /** Whether a URL is such a path or below it; a global prefix or a version may stand before it. */
  has(url: string): boolean {
    if (this.segments.length === 0) return false;
    const query = url.indexOf('?');
    const path = `${query === -1 ? url : url.slice(0, query)}/`.toLowerCase();
    return this.segments.some((segment) => path.includes(segment));
  }
}
