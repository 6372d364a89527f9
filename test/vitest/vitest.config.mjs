import { fileURLToPath } from 'node:url';

const built = (file) => fileURLToPath(new URL(`../../dist/esm/${file}`, import.meta.url));

export default {
  root: fileURLToPath(new URL('.', import.meta.url)),
  resolve: {
    alias: [
      { find: /^nestjs-breakwater\/testing$/, replacement: built('testing/index.js') },
      { find: /^nestjs-breakwater$/, replacement: built('index.js') },
    ],
  },
  test: { include: ['*.vitest.ts'] },
};
