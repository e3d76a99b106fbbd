// Where the file lies that worker threads run: beside the module that starts them, built or bundled; from the sources, in the build's
// folder. An application that bundles nori-lsm has to bundle `nori-lsm/lsm-worker` too: see "Bundling" in the README.
import { fileURLToPath } from 'node:url';
import { LsmError } from './errors.js';

const PLACES = ['./lsm-worker.js', '../dist/lsm-worker.js'] as const;
/** What an Electron application keeps out of `app.asar` lies in `app.asar.unpacked`. */
const ARCHIVE = /\.asar(?=[\\/])/;

/**
 * @param moduleUrl `import.meta.url` of the module that starts the thread; undefined in bundles in CommonJS
 * @param exists whether there is a file
 * @throws LsmError `LSM_INVALID_OPTIONS` if it is in none of its places: the default of `executor` cannot be used
 */
export const workerEntry = (moduleUrl: string | undefined, exists: (path: string) => boolean): string => {
  if (moduleUrl?.startsWith('file:')) {
    for (const place of PLACES) {
      const path = fileURLToPath(new URL(place, moduleUrl));
      for (const each of new Set([path.replace(ARCHIVE, '.asar.unpacked'), path])) if (exists(each)) return each;
    }
  }
  const from = moduleUrl === undefined ? 'a module without import.meta.url' : moduleUrl;
  throw new LsmError(
    'LSM_INVALID_OPTIONS',
    `The file that worker threads run, lsm-worker.js, is not beside the code that needs it (${from}). If you bundle nori-lsm, ` +
      'bundle nori-lsm/lsm-worker beside it (see Bundling in its README), or pass executor: inlineExecutor(…). In a checkout, build the package.',
  );
};
