// Builds the library twice: dist/esm for import, dist/cjs for require.
import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, runBeside } from './run.mjs';

const CHART_FILES = ['uPlot.iife.min.js', 'uPlot.min.css'];

export async function build() {
  const dist = join(root, 'dist');
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  rmSync(join(dist, 'esm'), { recursive: true, force: true });
  rmSync(join(dist, 'cjs'), { recursive: true, force: true });
  // First, so that TypeScript and Node agree on what the files next to it are.
  mkdirSync(join(dist, 'cjs'), { recursive: true });
  writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs" }\n');

  const codes = await Promise.all(
    ['lib/tsconfig.build.json', 'lib/tsconfig.cjs.json'].map((project) =>
      runBeside(process.execPath, [tsc, '--project', project]),
    ),
  );
  for (const format of ['esm', 'cjs']) copyDashboard(join(dist, format));
  return Math.max(...codes);
}

/** The page's files are served as they are; its chart library comes along, with its licence. */
function copyDashboard(target) {
  const dashboard = join('observability', 'dashboard', 'assets');
  const assets = join(target, dashboard);
  cpSync(join(root, 'lib', dashboard), assets, { recursive: true });
  const uPlot = join(root, 'node_modules', 'uplot');
  for (const name of CHART_FILES) copyFileSync(join(uPlot, 'dist', name), join(assets, name));
  copyFileSync(join(uPlot, 'LICENSE'), join(assets, 'uPlot.LICENSE'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await build();
