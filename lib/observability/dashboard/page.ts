/** Where the page finds things, seen from its own address: so no prefix, of Nest or of a proxy, is in the way. */
export interface PagePaths {
  /** To the folder of the page, with a slash at its end. */
  readonly page: string;
  readonly admin: string;
}

/**
 * @param url - The address that was asked for. Only whether it ends with a slash counts: a browser resolves `x` against
 *   `/a/b` to `/a/x`, and against `/a/b/` to `/a/b/x`.
 */
export function pathsFrom(url: string, path: string, adminPath: string): PagePaths {
  const segments = path.split('/');
  const inside = (url.split('?', 1)[0] as string).endsWith('/');
  const up = '../'.repeat(inside ? segments.length : segments.length - 1) || './';
  return { page: inside ? './' : `./${segments.at(-1)}/`, admin: `${up}${adminPath}` };
}

/** Puts values into a template's `{{…}}`, as text that HTML takes for nothing else. */
export function fillIn(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => escaped(values[name] ?? ''));
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
