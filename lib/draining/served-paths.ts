/** What an application puts before the paths of its controllers, in this order; each may be missing. */
export interface RouteFrame {
  readonly globalPrefix: string;
  /** With versions in the URI: what stands before the version, and the versions that are no numbers. */
  readonly version: { readonly prefix: string; readonly names: readonly string[] } | undefined;
  /** The paths of modules with controllers at these paths. */
  readonly modulePaths: (served: readonly string[]) => readonly string[];
}

/** Paths that are answered whatever else is refused. */
export class ServedPaths {
  /** Each between slashes. */
  private readonly paths = new Set<string>();
  private frame: RouteFrame | undefined;
  /** What may stand before a path. */
  private before: RegExp | undefined;

  /** `health`, `/health` and `/health/` are one. */
  add(path: string): void {
    const trimmed = trim(path);
    if (trimmed !== '') this.paths.add(`/${trimmed}/`);
    this.before = undefined;
  }

  /** From now on, they are looked for within an application's routes. */
  within(frame: RouteFrame): void {
    this.frame = frame;
    this.before = undefined;
  }

  /** Whether a URL is such a path or below it; the application's prefix, version and module path may stand before it. */
  has(url: string): boolean {
    const query = url.indexOf('?');
    const path = `${query === -1 ? url : url.slice(0, query)}/`.toLowerCase();
    for (const served of this.paths) {
      for (let at = path.indexOf(served); at !== -1; at = path.indexOf(served, at + 1)) {
        this.before ??= patternOf(this.frame, [...this.paths].map(trim));
        if (at === 0 || this.before.test(path.slice(0, at))) return true;
      }
    }
    return false;
  }
}

function patternOf(frame: RouteFrame | undefined, served: readonly string[]): RegExp {
  if (frame === undefined) return /^$/;
  const { globalPrefix, version, modulePaths } = frame;
  const versions = [...(version?.names.map(literal) ?? []), '\\d[^/]*'];
  const parts = [
    [segmentsOf(globalPrefix)],
    version === undefined ? [] : [`/${literal(version.prefix)}(?:${versions.join('|')})`],
    modulePaths(served).map(segmentsOf),
  ];
  return new RegExp(`^${parts.map((alternatives) => `(?:${alternatives.join('|')})?`).join('')}$`);
}

/** A path as a pattern; a parameter or a wildcard is any one segment. */
function segmentsOf(path: string): string {
  const trimmed = trim(path);
  if (trimmed === '') return '';
  const patterns = trimmed.split('/').map((segment) => (/^[:*{]/.test(segment) ? '[^/]+' : literal(segment)));
  return `/${patterns.join('/')}`;
}

function literal(text: string): string {
  return text.toLowerCase().replace(/[$()*+.?[\\\]^{|}]/g, '\\$&');
}

function trim(path: string): string {
  return path.replace(/^\/+|\/+$/g, '').toLowerCase();
}
