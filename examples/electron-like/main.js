// The main process of a desktop application. It is CommonJS, and loads nori-lsm by `import()`, which Electron with Node 20.19 or later can; nothing has
// been compiled, for whatever version of Electron. Its data lie where the system wants data of applications.
const { mkdirSync } = require('node:fs');
const { join } = require('node:path');
const { app } = require('./app.js');

let db;
let isClosed = false;

async function start() {
  await app.whenReady();
  const { Lsm } = await import('nori-lsm');
  const folder = app.getPath('userData');
  mkdirSync(folder, { recursive: true });
  db = await Lsm.open({ dir: join(folder, 'store') });

  const starts = 1 + Number(textOf(await db.get('starts')) ?? 0);
  await db.put('starts', String(starts));
  console.log(`started ${starts} times`);

  // A worker thread writes this table: its file is found in node_modules, beside a bundle, and beside an archive.
  await db.flush();
  console.log(`flushed ${db.stats().flushes}, all is well: ${(await db.verify()).problems.length === 0}`);
  app.quit();
}

// Electron does not wait for promises: hold it back, close, and let it go. (Should it be killed instead, nothing that was acknowledged is
// lost: the log is replayed when it starts the next time.)
app.on('before-quit', (event) => {
  if (isClosed || db === undefined) return;
  event.preventDefault();
  db.close()
    .then(() => console.log('closed'), console.error)
    .finally(() => {
      isClosed = true;
      app.quit();
    });
});

start().catch((error) => {
  console.error(error);
  process.exit(1);
});

function textOf(bytes) {
  return bytes && new TextDecoder().decode(bytes);
}
