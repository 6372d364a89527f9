// CommonJS in both builds: `__dirname` is the only way to one's own folder that both of them have.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Where a file of the page is. They lie beside this one; the chart library joins them when the package is built, and until
 * then it is where npm has put it.
 *
 * @throws Error where it is nowhere: a bundler took the code and left the files.
 */
export function findAsset(name: string): string {
  const own = join(__dirname, 'assets', name);
  if (existsSync(own)) return own;
  try {
    return require.resolve(`uplot/dist/${name}`);
  } catch {
    throw new Error(
      `The dashboard's ${name} is not in ${join(__dirname, 'assets')}. A bundler leaves such files behind: keep nestjs-breakwater out of the bundle, as an external package.`,
    );
  }
}
