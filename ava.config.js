import { compileSources } from './harness/test-loading/compiled-sources.js';

/** The test runner's settings. It reads them before it starts any process for tests. */
// biome-ignore lint/style/noDefaultExport: the runner reads this one.
export default async () => {
  await compileSources();
  return {
    files: ['{harness,adapters,firmware-protocol}/**/*.test.ts'],
    // Not 'module': that would be imported as TypeScript, see harness/test-loading/README.md.
    extensions: { ts: 'commonjs' },
    nodeArguments: [
      `--import=${new URL('harness/test-loading/load-compiled.js', import.meta.url)}`,
    ],
    workerThreads: false,
    timeout: '5m',
  };
};
