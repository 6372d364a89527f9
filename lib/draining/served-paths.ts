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
  /** Each between slashes, and whether what is below it is served as well. */
  private readonly paths = new Map<string, boolean>();
  private frame: RouteFrame | undefined;
  /** What may stand before a path. */
  private before: RegExp | undefined;

  /** With everything below it. `health`, `/health` and `/health/` are one. */
  add(path: string): void {
    this.note(path, true);
  }

  /** That path alone. */
  addExactly(path: string): void {
    this.note(path, false);
  }

  /** From now on, they are looked for within an application's routes. */
  within(frame: RouteFrame): void {
    this.frame = frame;
    this.before = undefined;
  }

  /** Whether a URL is served; the application's prefix, version and module path may stand before such a path. */
  has(url: string): boolean {
    const query = url.indexOf('?');
    const path = `${query === -1 ? url : url.slice(0, query)}/`.replace(/\/\/$/, '/').toLowerCase();
    for (const [served, withBelow] of this.paths) {
      for (let at = path.indexOf(served); at !== -1; at = path.indexOf(served, at + 1)) {
        if (!withBelow && at + served.length < path.length) continue;
        this.before ??= patternOf(this.frame, [...this.paths.keys()].map(trim));
        if (at === 0 || this.before.test(path.slice(0, at))) return true;
      }
    }
    return false;
  }

  private note(path: string, withBelow: boolean): void {
    const trimmed = trim(path);
    if (trimmed === '') return;
    const served = `/${trimmed}/`;
    this.paths.set(served, withBelow || this.paths.get(served) === true);
    this.before = undefined;
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
