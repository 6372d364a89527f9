import 'reflect-metadata';
import { afterEach, describe, expect, it } from '@jest/globals';
import { InvalidOptionsError } from 'nestjs-breakwater';
import { ResilienceDashboardModule, type ResilienceDashboardOptions } from 'nestjs-breakwater/dashboard';
import type { INestApplication } from '@nestjs/common';
import { fillIn, pathsFrom } from '../../lib/observability/dashboard/page.js';
import { listen, moduleOf, platforms } from '../e2e/platforms.js';

describe('ResilienceDashboardModule.register', () => {
  it('OP-03 without a guard it refuses to start', () => {
    expect(() => ResilienceDashboardModule.register({})).toThrow(InvalidOptionsError);
    expect(() => ResilienceDashboardModule.register({ public: true })).not.toThrow();
  });

  it('OP-03 a path below that of the admin routes is refused: it would be taken for a kind', () => {
    const at = (path: string) => () => ResilienceDashboardModule.register({ public: true, path });

    expect(at('/resilience/ui/')).toThrow('"path" must not lie below "adminPath"');
    expect(at('resilience')).toThrow('"path" must not lie below "adminPath"');
    expect(at('resilience-ui')).not.toThrow();
  });
});

describe('where the page finds things', () => {
  it.each([
    ['/ui', 'ui', 'resilience', './ui/', './resilience'],
    ['/ui/', 'ui', 'resilience', './', '../resilience'],
    ['/proxy/api/ops/ui?x=/', 'ops/ui', 'ops/admin', './ui/', '../ops/admin'],
    ['/proxy/api/ops/ui/', 'ops/ui', 'ops/admin', './', '../../ops/admin'],
  ])('OP-03 seen from %s', (url, path, adminPath, page, admin) => {
    const found = pathsFrom(url, path, adminPath);
    const resolve = (to: string) => new URL(to, `http://host${url}`).pathname;
    const prefix = (url.split('?', 1)[0] as string).replace(new RegExp(`/${path}/?$`), '');

    expect(found).toEqual({ page, admin });
    expect(resolve(found.page)).toBe(`${prefix}/${path}/`);
    expect(resolve(found.admin)).toBe(`${prefix}/${adminPath}`);
  });

  it('OP-03 what is filled in is text', () => {
    expect(fillIn('<b title="{{title}}">{{none}}</b>', { title: `"><i>&'` })).toBe(
      '<b title="&#34;&#62;&#60;i&#62;&#38;&#39;"></b>',
    );
  });
});

describe.each(platforms)('the files of the dashboard on %s', (_platform, create) => {
  let app: INestApplication | undefined;
  let url: string;

  async function start(options: ResilienceDashboardOptions = { public: true }) {
    app = await create(moduleOf({ imports: [ResilienceDashboardModule.register(options)] }));
    url = await listen(app);
  }

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  it('OP-03 the page allows nothing but its own files, and each of them is there', async () => {
    await start();

    const page = await fetch(`${url}/resilience-dashboard`);
    const html = await page.text();
    const links = [...html.matchAll(/(?:src|href)="(\.[^"]+)"/g)].map(([, link]) => link as string);
    const files = await Promise.all(links.map((link) => fetch(new URL(link, page.url))));
    const types = files.map((file) => [file.status, file.headers.get('content-type')]);
    const scripts = await Promise.all(files.map((file) => file.text()));
    const folder = new URL(links[3] as string, page.url);
    const imports = [...(scripts[3] as string).matchAll(/from '(.+)'/g)].map(([, name]) => name as string);
    const imported = await Promise.all(imports.map((name) => fetch(new URL(name, folder))));

    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(html).not.toMatch(/<style|style=|<script>| on[a-z]+=|https?:/);
    expect(types).toEqual([
      [200, 'text/css; charset=utf-8'],
      [200, 'text/css; charset=utf-8'],
      [200, 'text/javascript; charset=utf-8'],
      [200, 'text/javascript; charset=utf-8'],
    ]);
    expect(imports.length).toBeGreaterThan(4);
    expect(imported.map(({ status }) => status)).toEqual(imports.map(() => 200));
    expect(imported[0]?.headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
  });

  it('OP-03 a file of another version is not kept, and an unknown one is 404', async () => {
    await start();

    const other = await fetch(`${url}/resilience-dashboard/old/dashboard.js`);
    const unknown = await fetch(`${url}/resilience-dashboard/old/..%2Fpackage.json`);

    expect([other.status, other.headers.get('cache-control'), unknown.status]).toEqual([
      200,
      'no-store',
      404,
    ]);
  });

  it('OP-03 page and files are behind the guards', async () => {
    await start({ guards: [{ canActivate: () => false }] });

    const page = await fetch(`${url}/resilience-dashboard`);
    const file = await fetch(`${url}/resilience-dashboard/x/dashboard.js`);

    expect([page.status, file.status]).toEqual([403, 403]);
  });
});
