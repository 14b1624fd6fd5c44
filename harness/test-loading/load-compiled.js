/** In every process of the test runner: a test file is loaded as compiled by compiled-sources.js. */
import Module from 'node:module';
import { pathToFileURL } from 'node:url';
import { compiledPath } from './compiled-sources.js';

if (process.argv[1]?.endsWith('.ts')) {
  // A process that a test has forked from a source with the arguments of its own process.
  await import('tsx');
} else {
  process.setSourceMapsEnabled(true);
  // The runner loads with `require` what it does not take for a module, and waits for what that gives.
  Module._extensions['.ts'] = (module, file) => {
    module.exports = import(pathToFileURL(compiledPath(file)).href);
  };
}
